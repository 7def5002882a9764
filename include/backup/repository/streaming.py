"""The files of one snapshot as streams, in order, for targets that cannot write here and there.

A window of some MiB is read ahead while the one before is handed out; within a window, neighbours
in a pack are read with one request. Every blob is compared with its id.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

from include.backup.errors import DamageFound
from include.backup.format.ids import BlobType, short
from include.backup.format.tree import NodeType
from include.backup.repository.reader import load_blobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from include.backup.format.tree import Node
    from include.backup.repository.repository import Repository

WINDOW_BYTES: Final = 8 << 20  # of each stream there are two
_FOLDERS_KEPT: Final = 4  # in memory; one may hold millions of files


class SnapshotFiles:
    """A directory of a snapshot with all that is below it. Safe to use from several threads.

    Args:
        tree: of the directory.
        readers: how many windows are read at a time, of all streams together.
    """

    def __init__(self, repository: Repository, tree: bytes, *, readers: int = 3) -> None:
        self._repository = repository
        self._tree = tree
        # Whoever walks a directory asks for its files one by one.
        self._kept: OrderedDict[bytes, dict[bytes, Node]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="restore")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def list(self, path: bytes) -> list[Node]:
        """The entries of a directory, ascending by name; b"" is the one given.

        Raises:
            DamageFound: it is not there, or not what was written.
            StorageError.
        """
        tree = self._tree if not path else self._node(path).subtree
        if tree is None:
            raise DamageFound(f"{_shown(path)} is no directory of the recovery point")
        return self._repository.load_tree(tree)

    def find(self, path: bytes) -> Node | None:
        """The entry at a path; None when there is none.

        Raises:
            DamageFound: a directory above it is not what was written.
            StorageError.
        """
        folder, _, name = path.rpartition(b"/")
        return self._entries(folder).get(name)

    def _entries(self, folder: bytes) -> dict[bytes, Node]:
        """What a directory holds, by name; nothing where there is none.

        From the nearest directory at hand downwards, however deep it lies.
        """
        at, entries = self._nearest(folder)
        if entries is None:
            entries = self._load_entries(b"", self._tree)
        rest = folder[len(at) :].strip(b"/")
        for part in rest.split(b"/") if rest else ():
            node = entries.get(part)
            at = at + b"/" + part if at else part
            entries = self._load_entries(at, None if node is None else node.subtree)
        return entries

    def _nearest(self, folder: bytes) -> tuple[bytes, dict[bytes, Node] | None]:
        """The deepest directory at hand on the way to another; the root, if there is none."""
        with self._lock:
            on_the_way = [
                one for one in self._kept if one in {b"", folder} or folder.startswith(one + b"/")
            ]
            if not on_the_way:
                return b"", None
            at = max(on_the_way, key=len)
            self._kept.move_to_end(at)
            return at, self._kept[at]

    def _load_entries(self, path: bytes, tree: bytes | None) -> dict[bytes, Node]:
        nodes = [] if tree is None else self._repository.load_tree(tree)
        entries = {node.name: node for node in nodes}
        with self._lock:
            self._kept[path] = entries
            while len(self._kept) > _FOLDERS_KEPT:
                self._kept.popitem(last=False)
        return entries

    def load(self, path: bytes) -> bytes:
        """A file that is small enough to be held in memory.

        Raises:
            as `stream`.
        """
        return b"".join(self.stream(path))

    def stream(self, path: bytes) -> Iterator[bytes]:
        """The content of a file, blob by blob.

        Raises:
            DamageFound: it is not there, or a blob is not what was written.
            StorageError.
        """
        node = self._node(path)
        if node.type != NodeType.FILE:
            raise DamageFound(f"{_shown(path)} is no file of the recovery point")
        return self._named(path, self._blobs(node.content or ()))

    def _named(self, path: bytes, blobs: Iterator[bytes]) -> Iterator[bytes]:
        """The same, with the file's name in what is told of damage."""
        try:
            yield from blobs
        except DamageFound as error:
            raise type(error)(f"{_shown(path)}: {error.message}", hint=error.hint) from None

    def _node(self, path: bytes) -> Node:
        if (node := self.find(path)) is None:
            raise DamageFound(f"{_shown(path)} is not in the recovery point")
        return node

    def _blobs(self, content: Sequence[bytes]) -> Iterator[bytes]:
        ahead: tuple[Sequence[bytes], Future[dict[bytes, bytes]]] | None = None
        for window in self._windows(content):
            future = self._pool.submit(load_blobs, self._repository, window)
            if ahead is not None:
                yield from _in_order(*ahead)
            ahead = window, future
        if ahead is not None:
            yield from _in_order(*ahead)

    def _windows(self, content: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
        window: list[bytes] = []
        size = 0
        for blob_id in content:
            places = self._repository.index.locations(BlobType.DATA, blob_id)
            if not places:
                raise DamageFound(f"data blob {short(blob_id)} is in no index")
            window.append(blob_id)
            size += places[0].plaintext_bytes
            if size >= WINDOW_BYTES:
                yield window
                window, size = [], 0
        if window:
            yield window


def _in_order(window: Sequence[bytes], future: Future[dict[bytes, bytes]]) -> Iterator[bytes]:
    blobs = future.result()
    for blob_id in window:
        yield blobs[blob_id]


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
