"""One snapshot on its way to a destination: trees walked, files opened, pieces put in place.

The walk makes what has no content and opens what has; the reader brings the blobs pack by pack, in
whatever order they lie; the last piece of a file closes it.
"""

from __future__ import annotations

import threading
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from include.backup.errors import DamageFound, InTheWay
from include.backup.format.ids import BlobType
from include.backup.format.tree import Node, NodeType
from include.backup.repository.reader import BlobReader, Piece
from include.backup.sources.noting import Notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.repository.progress import Progress
    from include.backup.repository.repository import Repository
    from include.backup.sources.base import Destination, Sink


# More than a file system takes in one path; the work of a walk grows with depth times length.
LONGEST_PATH_BYTES: Final = 1 << 20
_SHOWN_BYTES: Final = 200


class Restoring:
    """One snapshot on its way to a destination."""

    def __init__(
        self, repository: Repository, destination: Destination, pattern: str, progress: Progress
    ) -> None:
        self._repository = repository
        self._destination = destination
        self._pattern = pattern
        self._progress = progress
        self._first_names: dict[tuple[str, int, int], bytes] = {}
        self._not_made: set[bytes] = set()  # directories, of which nothing below is tried
        self._lock = threading.Lock()
        self.unfinished: set[_File] = set()
        self.matched = False  # whether the pattern fits anything
        self.files = 0
        self.bytes_written = 0
        self.damages: dict[str, str] = {}
        self.refused: list[str] = []  # entries not put back for what stands there, and why
        self.notes = Notes()

    def run(self, own: Node) -> None:
        """Restore a directory, that of the dataset.

        Raises:
            StorageError, RestoreRefused, DamageFound.
        """
        try:
            BlobReader(self._repository).read(self._pieces(own))
        except BaseException:
            for file in self.unfinished:
                file.abort()
            raise
        self.notes = self._destination.finish()

    def fail(self, path: bytes, damage: DamageFound) -> None:
        """Note an entry that cannot be restored."""
        with self._lock:
            self.damages[path.decode("utf-8", "backslashreplace")] = damage.message

    def refuse(self, why: InTheWay) -> None:
        """Note an entry in whose place something stands that is not replaced."""
        with self._lock:
            self.refused.append(why.message)

    def count(self, size_bytes: int) -> None:
        """Count a file that is whole."""
        with self._lock:
            self.files += 1
            self.bytes_written += size_bytes
        self._progress.add(entries=1)

    def add_progress(self, size_bytes: int) -> None:
        """Count bytes that were written."""
        self._progress.add(bytes_done=size_bytes)

    def _pieces(self, own: Node) -> Iterator[Piece]:
        """Walk the trees: make what has no content, tell the pieces of what has."""
        self._destination.make(b"", own)
        waiting: list[tuple[bytes, Node, bool]] = [(b"", own, not self._pattern)]
        pending: dict[bytes, Node] = {}  # directories not made yet: is anything below wanted?
        while waiting:
            folder, node, chosen = waiting.pop()
            assert node.subtree is not None
            try:
                nodes = self._repository.load_tree(node.subtree)
            except DamageFound as damage:
                self.fail(folder or b".", damage)
                continue
            inner = []
            if len(folder) > LONGEST_PATH_BYTES:
                self.fail(folder[:_SHOWN_BYTES] + b"...", DamageFound("it lies too deep"))
                continue
            for entry in nodes:
                path = folder + b"/" + entry.name if folder else entry.name
                wanted = chosen or self._matches(path)
                if entry.type == NodeType.DIR:
                    if not wanted:
                        pending[path] = entry
                    elif not self._make(path, entry, pending):
                        self._not_made.add(path)
                        continue
                    inner.append((path, entry, wanted))
                elif wanted:
                    yield from self._entry(path, entry, pending)
            waiting.extend(reversed(inner))

    def _matches(self, path: bytes) -> bool:
        fits = fnmatchcase(path.decode("utf-8", "surrogateescape"), self._pattern)
        self.matched = self.matched or fits
        return fits

    def _make(self, path: bytes, node: Node, pending: dict[bytes, Node]) -> bool:
        """Make an entry, and the directories above it that were not wanted for themselves.

        Returns:
            Whether it, or at least what is above it, could be made.
        """
        if not self._make_above(path, pending):
            return False
        try:
            self._destination.make(path, node)
        except InTheWay as why:
            self.refuse(why)
            return False
        return True

    def _make_above(self, path: bytes, pending: dict[bytes, Node]) -> bool:
        chain = []
        while (path := path.rpartition(b"/")[0]) in pending:
            chain.append(path)
        if path in self._not_made:
            self._not_made.update(chain)
            return False
        for above in reversed(chain):
            try:
                self._destination.make(above, pending.pop(above))
            except InTheWay as why:
                self.refuse(why)
                self._not_made.update(chain)
                return False
        return True

    def _entry(self, path: bytes, node: Node, pending: dict[bytes, Node]) -> Iterator[Piece]:
        if not self._make_above(path, pending):
            return
        if node.links > 1 and node.inode:
            key = (node.type, node.device_id, node.inode)  # of other types are other entries
            first = self._first_names.setdefault(key, path)
            if first != path:
                self._destination.link(path, first)
                return
        if node.type != NodeType.FILE:
            self._make(path, node, pending)
            return
        content = node.content or ()
        file = _File(self, path, node, self._destination.create(path, node), len(content))
        if not content:
            file.finish()
        offset = 0
        for blob_id in content:
            yield Piece(blob_id, file, offset)
            places = self._repository.index.locations(BlobType.DATA, blob_id)
            offset += places[0].plaintext_bytes if places else 0


class _File:
    """One file that waits for its pieces."""

    __slots__ = ("_damaged", "_left", "_lock", "_node", "_path", "_restoring", "_sink", "_written")

    def __init__(
        self, restoring: Restoring, path: bytes, node: Node, sink: Sink, pieces: int
    ) -> None:
        self._restoring = restoring
        self._path = path
        self._node = node
        self._sink = sink
        self._left = pieces
        self._written = 0
        self._damaged = False
        self._lock = threading.Lock()
        restoring.unfinished.add(self)

    def write(self, data: bytes, offset: int) -> None:
        """See reader.Target."""
        if not self._damaged:
            self._sink.write(data, offset)
            self._restoring.add_progress(len(data))
        self._count(len(data))

    def spoil(self, damage: DamageFound) -> None:
        """See reader.Target."""
        self._damaged = True
        self._restoring.fail(self._path, damage)
        self._count(0)

    def finish(self) -> None:
        """All pieces came: close the file, or leave nothing of it."""
        if not self._damaged and self._written != self._node.size:
            self._damaged = True
            what = f"its blobs have {self._written} bytes, its node says {self._node.size}"
            self._restoring.fail(self._path, DamageFound(what))
        self._restoring.unfinished.discard(self)
        if self._damaged:
            self._sink.abort()
        else:
            try:
                self._sink.close()
            except InTheWay as why:
                self._restoring.refuse(why)
            else:
                self._restoring.count(self._node.size)

    def abort(self) -> None:
        """Leave nothing of it: the restore ends before it is whole."""
        self._sink.abort()

    def _count(self, size: int) -> None:
        with self._lock:
            self._written += size
            self._left -= 1
            last = self._left == 0
        if last:
            self.finish()
