"""Storages that misbehave, and repositories in few words."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.backup.errors import StorageUnreachable
from include.backup.format.config import Config
from include.backup.format.crypto import MasterKey
from include.backup.format.ids import BlobType
from include.backup.repository.progress import Progress
from include.backup.repository.repository import Repository
from include.backup.repository.writer import WriteSession
from include.backup.storage.base import Folder
from include.backup.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.backup.storage.base import Storage

NOW = datetime(2026, 11, 1, 2, 3, 4, tzinfo=UTC)
PASSWORD = "correct horse"
KEY = MasterKey.generate()


def memory() -> MemoryStorage:
    """An empty storage."""
    return MemoryStorage(lambda: NOW)


def create(storage: Storage) -> Repository:
    """A new repository."""
    return Repository.create(storage, PASSWORD, now=NOW, locked_until=None)


def bare(storage: Storage) -> Repository:
    """An empty repository without key file and config, which cost time and are not asked for."""
    return Repository(storage, KEY, Config(version=2, id="", chunker_polynomial=0x3DA3358B4DC173))


def reopened(repository: Repository, storage: Storage | None = None) -> Repository:
    """The same repository as another process finds it, with its index."""
    again = Repository(storage or repository.storage, repository.key, repository.config)
    again.load_index()
    return again


@contextmanager
def writing(
    repository: Repository, *, guard: Callable[[], None] = lambda: None, uploads: int = 2
) -> Iterator[WriteSession]:
    """A write session that is closed at the end, however it ends."""
    session = WriteSession(repository, progress=Progress(), guard=guard, uploads=uploads)
    try:
        yield session
    finally:
        session.close()


def store(repository: Repository, *blobs: bytes, kind: BlobType = BlobType.DATA) -> list[bytes]:
    """Store some blobs in one pack and name it in the index."""
    with writing(repository) as session:
        ids = [session.add_blob(kind, blob) for blob in blobs]
        session.flush()
    return ids


def names(storage: Storage, prefix: str = "") -> list[str]:
    """What the storage holds."""
    return [info.name for info in storage.list(prefix)]


class Failing(Folder):
    """A storage whose saves fail, from the `first` on (counted from 1), `times` times.

    `times` None: for ever, as after the death of the process or of the network.
    """

    def __init__(self, storage: Storage, *, first: int, times: int | None = None) -> None:
        super().__init__(storage, "")
        self.saves = 0
        self._first = first
        self._last = None if times is None else first + times - 1
        self._counting = threading.Lock()

    def save(
        self,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        sha256: bytes | None = None,
        locked_until: datetime | None = None,
    ) -> None:
        """See Storage.save."""
        with self._counting:
            self.saves += 1
            number = self.saves
        if number >= self._first and (self._last is None or number <= self._last):
            raise StorageUnreachable(f"{name} could not be saved: the network is gone")
        super().save(name, data, sha256=sha256, locked_until=locked_until)


class Flipping(Folder):
    """A storage that spoils the first `times` loads of names that begin with `prefix`."""

    def __init__(self, storage: Storage, prefix: str, *, times: int) -> None:
        super().__init__(storage, "")
        self.loads = 0
        self.times = times
        self._only = prefix

    def load(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See Storage.load."""
        data = super().load(name, offset=offset, length=length)
        if name.startswith(self._only):
            self.loads += 1
            if self.loads <= self.times:
                place = len(data) // 4  # of a whole pack: within its blobs
                return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        return data


class Waiting(Folder):
    """A storage whose first save waits until it may go on."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage, "")
        self.arrived = threading.Event()
        self.go_on = threading.Event()

    def save(
        self,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        sha256: bytes | None = None,
        locked_until: datetime | None = None,
    ) -> None:
        """See Storage.save."""
        self.arrived.set()
        assert self.go_on.wait(20)
        super().save(name, data, sha256=sha256, locked_until=locked_until)
