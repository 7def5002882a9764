"""Where a recovery point is restored to be looked at, and removed whatever happens.

A scratch is made for one recovery point and lives as long as the block around it. What a run that
was killed has left is removed by the next one (`sweep`): each scratch tells whose it is.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from include.backup.errors import BackupError
    from include.backup.quality.comparing import Compared, Restored
    from include.backup.quality.data import Data
    from include.backup.sources.base import Destination, Server
    from include.backup.vault.owners import Owner


LONGEST: Final = timedelta(days=7)  # of a run on a machine that nobody can ask


class Scratch(Protocol):
    """One recovery point's place."""

    @property
    def destination(self) -> Destination | Server:
        """Where it is restored to."""

    def compare(self, restored: Restored) -> Compared:
        """Compare what is there with what the recovery point says of itself.

        Raises:
            DamageFound, StorageError: the recovery point cannot be read.
            RestoreRefused: the place cannot be asked.
        """

    def data(self, restored: Restored) -> Data:
        """What is there, as expectations want it.

        Raises:
            RestoreRefused: the place cannot be asked.
        """


class ScratchPlace(Protocol):
    """A place for many of them, one after the other."""

    @property
    def address(self) -> str:
        """For people."""

    def sweep(self, now: datetime) -> list[str]:
        """Remove what runs have left that certainly ended; return what it was called.

        Raises:
            RestoreRefused: the place cannot be used.
        """

    def blames_data(self, error: BackupError) -> bool:
        """Whether a restore that was refused tells of what was restored, and not of the place."""

    def make(self, name: str, owner: Owner, size_bytes: int) -> AbstractContextManager[Scratch]:
        """Make a scratch; at the end of the block nothing is left of it.

        Args:
            name: of the recovery point, in letters and digits.
            size_bytes: of what will be restored.

        Raises:
            RestoreRefused, StorageFull: there is no right, or no room.
        """
