"""Adding to a repository: blobs into packs, packs into the storage, packs into the index.

Threads call `add_blob` and `add_small`; each has one open pack per blob type, so none waits for
another, and the length of no file shows in the order of a pack. Full packs go to a few uploading
threads through a queue that holds one more: a slow storage slows the readers down instead of
filling the memory.

    invariant: snapshot → trees → blobs → packs, every one durable before what names it

A blob is stored once: ids known to the index, or claimed by an earlier call of this session, are
only referred to. If the session is given up, the packs already stored are still written into the
index, so that the next attempt finds their blobs.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.backup.errors import BackupError, NameTaken
from include.backup.format.ids import BlobType, digest
from include.backup.format.index import FULL_BLOBS, encode_index
from include.backup.repository.packer import BUFFER_BYTES, PackBuilder, room_for
from include.backup.repository.repository import Repository, data_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from include.backup.format.pack import PackedBlob
    from include.backup.repository.packer import FinishedPack
    from include.backup.repository.progress import Progress

INDEX_SECONDS = 120.0  # how old packs may get before an index names them
_SPARE_BUFFERS = 3


@dataclass(slots=True)
class Added:
    """What a session has added so far."""

    data_blobs: int = 0
    tree_blobs: int = 0
    data_bytes: int = 0  # plaintext of the data blobs
    plaintext_bytes: int = 0  # with the trees
    stored_bytes: int = 0
    packs: list[tuple[bytes, BlobType]] = field(default_factory=list)


class WriteSession:
    """Adds blobs to one repository.

    Args:
        guard: called before anything is stored; raises when this run must not write any more.
        locked_until: the lock date of packs and indexes, where the storage has Object Lock.
        uploads: how many packs are stored at a time.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        progress: Progress,
        guard: Callable[[], None],
        locked_until: datetime | None = None,
        uploads: int = 2,
    ) -> None:
        self._repository = repository
        self._progress = progress
        self._guard = guard
        self._locked_until = locked_until
        self.added = Added()
        self._lock = threading.Lock()
        self._claimed: dict[BlobType, set[bytes]] = {kind: set() for kind in BlobType}
        self._open = threading.local()
        self._builders: list[dict[BlobType, PackBuilder]] = []
        self._buffers: list[bytearray] = []
        self._uploader = ThreadPoolExecutor(uploads, thread_name_prefix="upload")
        self._room = threading.Semaphore(uploads)  # whoever waits has the next one ready
        self._uploads: set[Future[None]] = set()
        self._failure: BaseException | None = None
        self._unindexed: list[tuple[bytes, list[PackedBlob]]] = []
        self._unindexed_blobs = 0
        self._indexed_at = time.monotonic()

    def add_blob(self, kind: BlobType, plaintext: bytes | memoryview) -> bytes:
        """Store one blob unless the repository has it; return its id.

        Raises:
            whatever an upload failed with, and what `guard` raises.
        """
        blob_id = digest(plaintext)
        if self._claim(kind, [blob_id]):
            with self._unforgiving():
                builder = self._builder(kind, len(plaintext), 1)
                stored = builder.add(blob_id, plaintext)
                self._count(kind, 1, len(plaintext), stored)
                if builder.is_full:
                    self._upload(kind)
        return blob_id

    def add_small(self, plaintexts: Sequence[bytes]) -> list[bytes]:
        """Store many small data blobs at once; return their ids in order.

        Raises:
            as `add_blob`.
        """
        kind = BlobType.DATA
        ids = [digest(plaintext) for plaintext in plaintexts]
        new = set(self._claim(kind, ids))
        blobs = []
        for blob_id, plaintext in zip(ids, plaintexts, strict=True):
            if blob_id in new:
                new.discard(blob_id)
                blobs.append((blob_id, plaintext))
        if blobs:
            total = sum(len(plaintext) for _, plaintext in blobs)
            with self._unforgiving():
                builder = self._builder(kind, total, len(blobs))
                self._count(kind, len(blobs), total, builder.add_many(blobs))
                if builder.is_full:
                    self._upload(kind)
        return ids

    def flush(self) -> None:
        """Store everything that is open and name it in the index. Other threads must be idle.

        Raises:
            as `add_blob`.
        """
        with self._unforgiving():
            for kind in BlobType:
                self._upload_leftovers(kind)
        for future in list(self._uploads):
            future.result()
        self._raise_failure()
        self._save_index()

    def close(self) -> None:
        """End the session; name in the index what was stored, if storage and guard still let us.

        Raises nothing of ours: a session whose `flush` returned has nothing left to store, and
        what ended any other is already on its way to the caller.
        """
        self._uploader.shutdown(wait=True)
        # A storage that fails, or a guard that refuses because the lease is lost or the time is
        # over, leaves packs that no index names: cost, not damage. The guard is asked first, so
        # after its refusal nothing is written.
        with suppress(BackupError):
            if self._unindexed:
                self._save_index()
        # What it failed with refers to this session, and this session to it: until Python finds
        # the circle, the packs would stay in memory.
        self._builders.clear()
        self._buffers.clear()
        self._open = threading.local()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def _unforgiving(self) -> Iterator[None]:
        """End the session with whatever goes wrong here: claimed blobs may be lost by it.

        Somebody else may have been told already that they are stored.
        """
        try:
            yield
        except BaseException as error:
            self._failure = self._failure or error
            raise

    def _claim(self, kind: BlobType, ids: Sequence[bytes]) -> list[bytes]:
        """Those of `ids` that nobody has stored or is about to store; they are ours now."""
        claimed, holds = self._claimed[kind], self._repository.index.holds
        with self._lock:
            new = [i for i in ids if i not in claimed and not holds(kind, i)]
            claimed.update(new)
        return new

    def _builder(self, kind: BlobType, plaintext_bytes: int, count: int) -> PackBuilder:
        """This thread's open pack, with room for what comes."""
        mine: dict[BlobType, PackBuilder] | None = getattr(self._open, "packs", None)
        if mine is None:
            mine = self._open.packs = {}
            with self._lock:
                self._builders.append(mine)
        builder = mine.get(kind)
        if builder is not None and not builder.has_room(plaintext_bytes, count):
            self._upload(kind)
            builder = None
        if builder is None:
            builder = mine[kind] = PackBuilder(
                self._repository.key, kind, self._buffer(room_for(plaintext_bytes, count))
            )
        return builder

    def _buffer(self, needed: int) -> bytearray:
        if needed > BUFFER_BYTES:
            return bytearray(needed)
        with self._lock:
            return self._buffers.pop() if self._buffers else bytearray(BUFFER_BYTES)

    def _count(self, kind: BlobType, blobs: int, plaintext_bytes: int, stored: int) -> None:
        with self._lock:
            if kind is BlobType.DATA:
                self.added.data_blobs += blobs
                self.added.data_bytes += plaintext_bytes
            else:
                self.added.tree_blobs += blobs
            self.added.plaintext_bytes += plaintext_bytes
            self.added.stored_bytes += stored
        self._progress.add(bytes_stored=stored)

    def _upload(self, kind: BlobType) -> None:
        """Hand this thread's open pack over; waits while too many are on their way."""
        self._submit(self._open.packs.pop(kind))

    def _upload_leftovers(self, kind: BlobType) -> None:
        leftovers = [mine.pop(kind) for mine in self._builders if kind in mine]
        leftovers.sort(key=lambda builder: builder.size_bytes)
        while leftovers:
            builder = leftovers.pop(0)
            if not any(builder.pour_into(other) for other in leftovers):
                self._submit(builder)

    def _submit(self, builder: PackBuilder) -> None:
        self._raise_failure()
        self._guard()
        pack = builder.finish()
        self._room.acquire()
        try:
            future = self._uploader.submit(self._store, pack, builder.kind)
        except BaseException:
            self._room.release()
            raise
        self._uploads.add(future)
        future.add_done_callback(self._uploads.discard)

    def _store(self, pack: FinishedPack, kind: BlobType) -> None:
        try:
            self._raise_failure()
            self._guard()  # again: the pack may have waited long for its turn
            pack_id = digest(pack.data)
            with suppress(NameTaken):  # named by hash: it is there already
                self._repository.storage.save(
                    data_name(pack_id), pack.data, sha256=pack_id, locked_until=self._locked_until
                )
            self._register(pack_id, pack, kind)
        except BaseException as error:
            self._failure = self._failure or error
            raise
        finally:
            self._room.release()

    def _register(self, pack_id: bytes, pack: FinishedPack, kind: BlobType) -> None:
        self._repository.index.add_pack(pack_id, pack.blobs)
        with self._lock:
            self._claimed[kind].difference_update(blob.id for blob in pack.blobs)
            self.added.packs.append((pack_id, kind))
            self._unindexed.append((pack_id, pack.blobs))
            self._unindexed_blobs += len(pack.blobs)
            if len(pack.buffer) == BUFFER_BYTES and len(self._buffers) < _SPARE_BUFFERS:
                self._buffers.append(pack.buffer)
            due = (
                self._unindexed_blobs >= FULL_BLOBS
                or time.monotonic() - self._indexed_at >= INDEX_SECONDS
            )
        if due:
            self._save_index()

    def _save_index(self) -> None:
        """Name the packs stored so far in index files of at most 50,000 blobs or one pack."""
        with self._lock:
            packs, self._unindexed, self._unindexed_blobs = self._unindexed, [], 0
            self._indexed_at = time.monotonic()
        while packs:
            part = [packs.pop()]
            count = len(part[0][1])
            while packs and count + len(packs[-1][1]) <= FULL_BLOBS:
                part.append(packs.pop())
                count += len(part[-1][1])
            try:
                self._guard()
                save_index(self._repository, part, locked_until=self._locked_until)
            except BaseException:
                with self._lock:  # not named yet: closing tries once more
                    self._unindexed += packs + part
                raise


def save_index(
    repository: Repository,
    packs: Sequence[tuple[bytes, list[PackedBlob]]],
    *,
    locked_until: datetime | None,
) -> bytes:
    """Save one index file for packs that are stored already; return its id."""
    data = encode_index(repository.key, packs)
    index_id = digest(data)
    repository.storage.save(
        f"index/{index_id.hex()}", data, sha256=index_id, locked_until=locked_until
    )
    return index_id
