"""Whether our clock is that of the store: dates that nobody can take back hang on it.

What a clock that was set back dates is kept no shorter for it: by the store's clock, from when the
store got it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.backup.errors import ClockWrong
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import SKEW
from include.backup.policy.retention import expires_at
from include.backup.vault.leases import holder

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.format.snapshot import Snapshot
    from include.backup.repository.repository import Repository


def require_clock(place: DatasetVault, lease: str, now: datetime) -> None:
    """Refuse to lock or to remove anything by a clock that differs from that of the store.

    Args:
        lease: which this process has just taken: its file has the store's time.

    Raises:
        ClockWrong: by more than five minutes.
        StorageError.
    """
    if place.vault.local_path:
        return  # its clock is ours
    if (held := holder(place.folder, lease)) is None:
        return
    if abs(off := now - held.renewed_at) > SKEW:
        raise ClockWrong(
            f"the clock of this machine and that of {place.vault.url} differ by "
            f"{format_duration(abs(off))}",
            hint="nothing expires, and nothing is locked, by a wrong clock; set it right (NTP)",
        )


def expiry_of(
    place: DatasetVault,
    repository: Repository,
    snapshot: Snapshot,
    snapshot_id: bytes,
    *,
    committed_at: datetime,
) -> tuple[datetime, timedelta]:
    """When the promise to keep a stored snapshot ends; it counts from its consistency point.

    Args:
        committed_at: by the clock of the machine that took it, as late as that is known.

    Returns:
        That, and by how much the clock of the machine that took it was behind that of the store,
        if it was by more than five minutes: by that much it is kept for longer than it says.

    Raises:
        StorageError.
    """
    expires = expires_at(snapshot.time, place.data_class.retention)
    if place.vault.local_path:
        return expires, timedelta()  # its clock is ours
    stored_at = repository.storage.stat(f"snapshots/{snapshot_id.hex()}").modified_at
    behind = stored_at - committed_at
    return (expires + behind, behind) if behind > SKEW else (expires, timedelta())
