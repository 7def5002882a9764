"""Leases: one writer per dataset and kind, on storage that can only create files.

A lease is as old as the server's time says: its newest file's against that of a probe saved now.
Older than its time to live, another may take it over. If the server's clock was set back the age
is negative, and the lease counts as alive. On the holder's own machine nobody has to wait: the
kernel knows whether the process is there.

What a lease cannot do is stop a process that sleeps: it must ask (`check`) before anything that
must not happen twice, and whatever is irrevocable must fit into the time to live.
"""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from include.backup.errors import AlreadyRunning, LeaseLost, StorageError
from include.backup.vault.lease_files import (
    MOST_TRIES,
    Created,
    LeaseFile,
    create,
    is_alive,
    newest_holder,
)

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.storage.base import Storage
    from include.backup.vault.lease_files import Holder
    from include.backup.vault.owners import Owner

# Longer than a storage tries to save one file (storage/retry.py, and boto3's own attempts below
# it): whoever has just renewed its lease has it still when its snapshot is saved at last.
TIME_TO_LIVE: Final = timedelta(minutes=30)
RENEW_EVERY: Final = timedelta(minutes=1)

log = logging.getLogger(__name__)


def holder(storage: Storage, kind: str, *, time_to_live: timedelta = TIME_TO_LIVE) -> Holder | None:
    """Who holds the lease of a kind; None when it can be taken.

    Args:
        storage: the folder of the dataset.

    Raises:
        StorageError.
    """
    newest = newest_holder(storage, kind)
    return newest if newest and is_alive(storage, kind, newest, time_to_live) else None


class Lease:
    """A lease that this process holds until it is released or taken over. Thread-safe.

    As a context manager it renews itself in a thread, and is released at the end.
    """

    def __init__(
        self, storage: Storage, kind: str, *, number: int, file: LeaseFile, renew_every: timedelta
    ) -> None:
        """For `acquire`, which is how one gets a lease."""
        self.kind = kind
        self._storage = storage
        self._number = number
        self._file = file
        self._renew_every = renew_every
        self._over = ""  # why it is ours no more
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def acquire(
        cls,
        storage: Storage,
        kind: str,
        *,
        owner: Owner,
        now: datetime,
        time_to_live: timedelta = TIME_TO_LIVE,
        renew_every: timedelta = RENEW_EVERY,
    ) -> Lease:
        """Take the lease of a kind.

        Args:
            storage: the folder of the dataset.
            kind: "incremental" or "full".
            now: for people who read "already running since"; ages are the server's.

        Raises:
            AlreadyRunning: somebody else holds it; says who and since when.
            StorageError.
        """
        file = LeaseFile(token=secrets.token_hex(16), owner=owner, since=now)
        for _ in range(MOST_TRIES):
            newest = newest_holder(storage, kind)
            if newest is not None and is_alive(storage, kind, newest, time_to_live):
                raise AlreadyRunning(
                    str(newest), hint="wait for its end; nothing is wrong with the backup"
                )
            number = newest.number + 1 if newest else 1
            if create(storage, kind, number, file) is not Created.LOST:
                return cls(storage, kind, number=number, file=file, renew_every=renew_every)
        raise AlreadyRunning(f"the {kind} lease changes hands too quickly", hint="try again")

    @property
    def over(self) -> str:
        """Why it is known to be ours no more; empty while nothing of the kind is known."""
        return self._over

    def check(self) -> None:
        """Renew the lease; on return it is ours for another time to live.

        Looking would not be enough: a lease that was ours may be too old to last until the caller
        has done what it checks for.

        Raises:
            LeaseLost: another has taken over, or it was released.
            StorageError: nobody can say; do not go on.
        """
        with self._lock:
            self._advance(self._file)

    def release(self) -> None:
        """Let go. A lease that is ours no more is left as it is.

        Raises:
            StorageError: others have to wait until it is too old, or this process has ended.
        """
        with self._lock, suppress(LeaseLost):
            self._advance(replace(self._file, released=True))
            self._over = f"the {self.kind} lease was released"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._keep, name=f"lease {self.kind}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self.release()
        except StorageError as error:
            # What was done is done; a lease that stays is only waited for.
            log.warning("lease %s: not released: %s", self.kind, error)

    def _keep(self) -> None:
        while not self._stop.wait(self._renew_every.total_seconds()):
            try:
                self.check()
            except LeaseLost as error:
                log.warning("lease %s: %s", self.kind, error)
                return  # whoever works under it learns it from `check`
            except StorageError as error:
                log.warning("lease %s: not renewed, trying again: %s", self.kind, error)

    def _advance(self, file: LeaseFile) -> None:
        """Put `file` in the next number."""
        while not self._over:
            number = self._number + 1
            created = create(self._storage, self.kind, number, file)
            if created is Created.LOST:
                self._over = f"another run has taken over the {self.kind} lease"
                break
            self._number = number
            # A number found from an earlier try, whose answer was lost, may be old: once more.
            if created is Created.NOW:
                return
        raise LeaseLost(self._over, hint="this run slept, or lost the vault, for too long")
