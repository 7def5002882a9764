"""Reading a dataset into a repository: directories into trees, files into blobs.

    walk (this thread)  → reuse what the parent has, or hand on: small files in batches
    workers             → read, cut, hash, compress, seal; see repository/writer.py
    last worker of a directory → its tree; and so upwards to the root

Memory holds the directories between the root and what is being read, a bounded number of batches,
and one buffer for each worker: never a file, and never the whole dataset.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from include.backup.actions.counts import Counts
from include.backup.actions.cutting import Cutter
from include.backup.format.ids import BlobType
from include.backup.format.tree import Node, NodeType, encode_tree
from include.backup.sources.base import MOST_TRIES, SMALL_BYTES, ReadsAhead, Stoppable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from include.backup.repository.progress import Progress
    from include.backup.repository.repository import Repository
    from include.backup.repository.writer import WriteSession
    from include.backup.sources.base import Reading

BATCH_ENTRIES: Final = 256
BATCH_BYTES: Final = 2 << 20
# Below this the interpreter is the limit, not the processor: several threads only take the
# interpreter's lock from each other (measured with 100 bytes: 1.6 times slower with three).
_TINY_BYTES: Final = 16 << 10
_SEAL_TOGETHER_BYTES: Final = 16 << 10  # larger blobs gain nothing from being sealed in one go


class _Folder:
    """A directory on its way to become a tree."""

    __slots__ = (
        *("before", "before_id", "nodes", "parent", "path"),
        *("place", "self_node", "size_bytes", "waiting"),
    )

    def __init__(
        self, path: bytes, node: Node, parent: _Folder | None, place: int, before_id: bytes | None
    ) -> None:
        self.path = path
        self.self_node = node
        self.parent = parent
        self.place = place  # among the nodes of `parent`
        self.before_id = before_id  # the tree that the parent snapshot has here
        self.before: list[Node] = []
        self.nodes: list[Node | None] = []
        self.size_bytes = 0  # of the files below it, as far as its folders are done
        self.waiting = 1  # the walk itself, and each entry handed on

    def inner(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name


# Where, which place there, what, and what the parent snapshot has of that name.
_Job = tuple[_Folder, int, Node, Node | None]


class Archive:
    """One pass of a reading into a write session.

    Args:
        parent_tree: the dataset's own directory in the parent snapshot; None for a full.
        guard: called now and then; raises when this run must stop.
    """

    def __init__(
        self,
        repository: Repository,
        session: WriteSession,
        reading: Reading,
        *,
        parent_tree: bytes | None,
        progress: Progress,
        guard: Callable[[], None],
    ) -> None:
        self._repository = repository
        self._session = session
        self._reading = reading
        self._parent_tree = parent_tree
        self._progress = progress
        self._guard = guard
        self._workers = reading.jobs
        self.counts = Counts()
        self.tree: bytes | None = None  # of the dataset's own directory, when all is done
        self._lock = threading.Lock()
        self._room = threading.Semaphore(2 * reading.jobs)
        self._failure: BaseException | None = None
        self._cutter = Cutter(repository, session, progress=progress, go_on=self._go_on)
        self._ahead = reading if isinstance(reading, ReadsAhead) else None
        self._late: list[_Job] = []
        self._batch: list[_Job] = []
        self._batch_bytes = 0

    def run(self) -> bytes:
        """Read everything; return the tree of the dataset's own directory.

        Raises:
            SourceError: an entry could not be read.
            StorageError, LeaseLost, DeadlinePassed: as the session and the guard say.
        """
        root = _Folder(b"", self._reading.root, None, 0, self._parent_tree)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="archive") as pool:
            try:
                waiting = deque([root])
                while waiting:
                    self._go_on()
                    waiting.extendleft(self._enter(waiting.popleft(), pool))
                self._hand_on_batch(pool)
            except BaseException as error:
                self._failure = self._failure or error
                if isinstance(self._reading, Stoppable):  # the pool waits for its workers
                    self._reading.stop()
                raise
        self._go_on()
        for job in self._late:
            self._read_large(job)
        assert self.tree is not None
        return self.tree

    def _enter(self, folder: _Folder, pool: ThreadPoolExecutor) -> Iterable[_Folder]:
        """List a directory, hand its files on, return its folders (last first, for extendleft)."""
        entries = self._reading.list(folder.path)
        if folder.before_id is not None:
            folder.before = self._repository.load_tree(folder.before_id)
        known = {node.name: node for node in folder.before}
        folder.nodes = [None] * len(entries)
        folder.waiting = 1 + len(entries)  # nothing is handed on yet, so nobody else counts
        done = 1
        inner: list[_Folder] = []
        for place, entry in self._ordered(entries):
            was = known.get(entry.name)
            if entry.type == NodeType.DIR:
                subtree = was.subtree if was is not None else None
                path = folder.inner(entry.name)
                inner.append(_Folder(path, self._whole(path, entry, was), folder, place, subtree))
            elif entry.type != NodeType.FILE:
                folder.nodes[place] = self._whole(folder.inner(entry.name), entry, was)
                self.counts.others += 1
                done += 1
            elif was is not None and self._is_stored(entry, was):
                folder.nodes[place] = _like(entry, was)
                self.counts.files_unmodified += 1
                self.counts.bytes_unmodified += entry.size
                done += 1
            else:
                self._file((folder, place, entry, was), pool)
        self._release(folder, done)
        return reversed(inner)

    def _ordered(self, entries: Sequence[Node]) -> Iterable[tuple[int, Node]]:
        if not self._reading.largest_first:
            return enumerate(entries)
        return sorted(enumerate(entries), key=lambda placed: placed[1].size, reverse=True)

    def _is_stored(self, entry: Node, was: Node) -> bool:
        return self._reading.unchanged(entry, was) and self._holds(was)

    def _holds(self, was: Node) -> bool:
        """Whether the repository has the whole content of a file of the parent snapshot."""
        return was.content is not None and self._repository.index.holds_all(
            BlobType.DATA, was.content
        )

    def _whole(self, path: bytes, entry: Node, was: Node | None) -> Node:
        """An entry without content, with its attributes: the parent's, if nothing changed."""
        if was is not None and self._reading.unchanged(entry, was):
            return _like(entry, was)
        return self._reading.complete(path, entry)

    def _file(self, job: _Job, pool: ThreadPoolExecutor) -> None:
        folder, _, entry, _ = job
        if self._reading.late and folder.inner(entry.name) in self._reading.late:
            self._late.append(job)
            return
        size = entry.size
        if size > SMALL_BYTES:
            self._submit(pool, partial(self._read_large, job))
            return
        if self._ahead is not None:
            self._ahead.expect(folder.inner(entry.name), entry)
        self._batch.append(job)
        self._batch_bytes += size
        if len(self._batch) >= BATCH_ENTRIES or self._batch_bytes >= BATCH_BYTES:
            self._hand_on_batch(pool)

    def _hand_on_batch(self, pool: ThreadPoolExecutor) -> None:
        jobs, size = self._batch, self._batch_bytes
        self._batch, self._batch_bytes = [], 0
        if size >= len(jobs) * _TINY_BYTES:
            self._submit(pool, partial(self._read_batch, jobs))
        else:
            self._go_on()
            self._read_batch(jobs)

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        """Hand work on; waits while the workers have enough."""
        self._room.acquire()
        self._go_on()
        pool.submit(self._work, work)

    def _work(self, work: Callable[[], None]) -> None:
        try:
            if self._failure is None:
                work()
        except BaseException as error:  # noqa: BLE001  the walk raises it; see _go_on
            self._failure = self._failure or error
        finally:
            self._room.release()

    def _go_on(self) -> None:
        """Stop here if anything failed elsewhere.

        Raises:
            what it failed with.
        """
        if self._failure is not None:
            raise self._failure
        self._guard()

    def _read_batch(self, jobs: Sequence[_Job]) -> None:
        together: list[tuple[_Job, Node, bytes]] = []
        for job in jobs:
            folder, _, entry, _ = job
            read = self._reading.read_small(folder.inner(entry.name), entry)
            if read is None:
                self._release(folder, 1)
            elif (data := read[1]) is None:
                self._read_large(job)
            elif not data:
                self._place(job, read[0]._replace(content=(), size=0))
            elif len(data) > _SEAL_TOGETHER_BYTES:
                blob_id = self._session.add_blob(BlobType.DATA, data)
                self._place(job, read[0]._replace(content=(blob_id,), size=len(data)))
            else:
                together.append((job, read[0], data))
        ids = self._session.add_small([data for _, _, data in together])
        for (job, node, data), blob_id in zip(together, ids, strict=True):
            self._place(job, node._replace(content=(blob_id,), size=len(data)))

    def _read_large(self, job: _Job) -> None:
        folder, _, entry, was = job
        path = folder.inner(entry.name)
        if was is not None and not self._holds(was):
            was = None
        for attempt in range(1, MOST_TRIES + 1):
            with self._reading.open(path, entry, was) as content:
                if content is None:
                    self._release(folder, 1)
                    return
                cut = self._cutter.store(content)
                node = content.settle(last=attempt == MOST_TRIES)
            if node is not None:
                self._place(
                    job,
                    node._replace(content=tuple(cut.blobs), size=cut.size_bytes),
                    reused=cut.reused_bytes,
                )
                return
        raise AssertionError(path)  # the last `settle` returns or raises

    def _place(self, job: _Job, node: Node, *, reused: int = 0) -> None:
        """Put a file that was read, but for the bytes that were reused, into its directory."""
        folder, place, entry, was = job
        folder.nodes[place] = node
        small = entry.size <= SMALL_BYTES
        with self._lock:
            self.counts.bytes_read += node.size - reused
            self.counts.bytes_unmodified += reused
            if was is not None:
                self.counts.files_changed += 1
            else:
                self.counts.files_new += 1
        self._progress.add(entries=1, bytes_done=node.size if small else 0)
        self._release(folder, 1)

    def _release(self, folder: _Folder, done: int) -> None:
        """Count down; the last one turns the directory into a tree, and so upwards."""
        current: _Folder | None = folder
        while current is not None:
            with self._lock:
                current.waiting -= done
                if current.waiting:
                    return
            current, done = self._finish(current), 1

    def _finish(self, folder: _Folder) -> _Folder | None:
        """Store the tree of a directory whose entries are all there; return its parent."""
        nodes = [node for node in folder.nodes if node is not None]
        if folder.before_id is not None and nodes == folder.before:
            tree = folder.before_id
        else:
            tree = self._session.add_blob(BlobType.TREE, encode_tree(nodes))
        held = sum(node.size for node in nodes if node.type == NodeType.FILE)
        with self._lock:
            self._account(folder, folder.size_bytes + held)
            if folder.before_id is None:
                self.counts.dirs_new += 1
            elif tree == folder.before_id:
                self.counts.dirs_unmodified += 1
            else:
                self.counts.dirs_changed += 1
        folder.nodes, folder.before = [], []
        if folder.parent is None:
            self.tree = tree
        else:
            folder.parent.nodes[folder.place] = folder.self_node._replace(subtree=tree)
        return folder.parent

    def _account(self, folder: _Folder, size_bytes: int) -> None:
        if (above := folder.parent) is None:
            return
        above.size_bytes += size_bytes
        if above.parent is None:
            self.counts.add_part(folder.path, size_bytes)


def _like(entry: Node, was: Node) -> Node:
    """The parent's node if nothing differs, else the entry with the parent's content."""
    wanted = entry._replace(
        extended_attributes=was.extended_attributes, content=was.content, subtree=was.subtree
    )
    return was if wanted == was else wanted
