"""Restic's lock files: they tell stock restic that a backup is going on.

Two of our own runs are kept apart by leases; these files are for the stock binary, whose `prune`
deletes packs that no snapshot names yet. Ours are shared, refreshed by writing a new file before
the old one goes, and carry a synthetic host name (see format/lock.py).

Of two that begin at once each must see the other, so whoever has written its lock looks a second
time a moment later. Nothing is stored in between, but much can be read: the second look is made
by a thread, and `confirm` waits for it.

Source: restic design document, "Locks"; restic's internal/repository (lock).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from include.backup.errors import (
    BackupError,
    DamageFound,
    FileAbsent,
    LeaseLost,
    RepositoryLocked,
    StorageError,
)
from include.backup.format.ids import digest
from include.backup.format.lock import LockFile, decode_lock, encode_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from include.backup.repository.repository import Repository

REFRESH_SECONDS: Final = 300.0
STALE: Final = timedelta(minutes=30)  # what `restic unlock` removes
# Stock restic gives up a lock it could not refresh for so long; from then on prune may run.
_LOST_SECONDS: Final = 22.5 * 60
_LARGEST_BYTES: Final = 1 << 20  # of a lock file
_SETTLE_SECONDS: Final = 0.2  # between the two looks, as stock restic waits


class RepositoryLock:
    """A shared lock on a repository for as long as the `with` block lasts.

    Args:
        owner: a synthetic host name that says which act holds it, as in ``holdfast/crm/9f2c``.
        clock: the time that goes into the files.
    """

    def __init__(
        self, repository: Repository, *, owner: str, clock: Callable[[], datetime]
    ) -> None:
        self._repository = repository
        self._owner = owner
        self._clock = clock
        self._name = ""
        self._refreshed = time.monotonic()
        self._refusal: BaseException | None = None
        self._settled = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="restic lock", daemon=True)

    def __enter__(self) -> Self:
        """Write the lock. It is not sure yet that it is respected: see `confirm`.

        Raises:
            RepositoryLocked: another holds it alone.
            StorageError.
        """
        if threading.current_thread() is threading.main_thread():
            # `restic unlock` on a host that happens to bear our name must not end us.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._refuse_exclusive()
        self._name = self._save()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._remove(self._name)

    def confirm(self) -> None:
        """Wait until the lock is sure; to be called before anything is stored.

        Raises:
            RepositoryLocked: another took it alone at the same moment.
            StorageError: nobody could look.
            LeaseLost: as `check`.
        """
        self._settled.wait()
        self.check()

    def check(self) -> None:
        """Make sure that stock restic still sees the lock.

        Raises:
            LeaseLost: it could not be refreshed for too long.
            RepositoryLocked, StorageError: as `confirm`, if that is known already.
        """
        if self._refusal is not None:
            raise self._refusal
        if time.monotonic() - self._refreshed > _LOST_SECONDS:
            raise LeaseLost(
                "the restic lock of this run could not be refreshed for more than 22 minutes",
                hint="was the process suspended, or the vault unreachable?",
            )

    def _keep(self) -> None:
        self._ended.wait(_SETTLE_SECONDS)
        try:
            self._refuse_exclusive()
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody has confirmed
            self._refusal = error
        finally:
            self._settled.set()
        while not self._ended.wait(REFRESH_SECONDS):
            with suppress(StorageError):  # the next round tries again; `check` tells when too late
                before, self._name = self._name, self._save()
                self._refreshed = time.monotonic()
                self._remove(before)

    def _save(self) -> str:
        lock = LockFile(
            time=self._clock(),
            exclusive=False,
            hostname=self._owner,
            username="holdfast",
            pid=os.getpid(),
        )
        data = encode_lock(self._repository.key, lock)
        lock_id = digest(data)
        name = f"locks/{lock_id.hex()}"
        self._repository.storage.save(name, data, sha256=lock_id)
        return name

    def _remove(self, name: str) -> None:
        with suppress(StorageError):  # it grows stale by itself
            self._repository.storage.delete([name])

    def _refuse_exclusive(self) -> None:
        for _, lock in locks(self._repository):
            if lock.exclusive:
                raise RepositoryLocked(
                    f"{self._repository.storage.url} is locked exclusively by {lock.username}@"
                    f"{lock.hostname} since {lock.time:%Y-%m-%d %H:%M:%S} UTC",
                    hint="a restic check, prune or forget is running; "
                    "if it is not, `restic unlock` removes its lock",
                )


def locks(repository: Repository) -> Iterator[tuple[str, LockFile]]:
    """Every lock file that can be read, with its name."""
    for info in list(repository.storage.list("locks/")):
        if not 0 < info.size_bytes <= _LARGEST_BYTES:
            continue  # stock restic ignores empty ones as well; a huge one is none
        with suppress(FileAbsent, DamageFound):  # released meanwhile, or never written wholly
            data = repository.storage.load(info.name)
            yield info.name, decode_lock(repository.key, data, what=info.name)


def remove_dead(repository: Repository, *, ours: str, living: Callable[[], set[str]]) -> None:
    """Remove the lock files of acts that have ended without a word.

    Args:
        ours: how the owners of all our locks begin; others are left alone.
        living: the owners whose acts are open. Asked after the locks were seen: whose act begins
            meanwhile has its lock later.
    """
    with suppress(BackupError):  # the next run tries again
        owners = {name: lock.hostname for name, lock in locks(repository)}
        alive = living()
        dead = [name for name, by in owners.items() if by.startswith(ours) and by not in alive]
        if dead:
            repository.storage.delete(dead)
