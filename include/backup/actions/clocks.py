"""Whether our clock is that of the store: dates that nobody can take back hang on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.errors import ClockWrong
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import SKEW
from include.backup.vault.leases import holder

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.dataset_vault import DatasetVault


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
