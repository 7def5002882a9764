"""Which datasets a tick finds due.

A dataset is due when the newest slot at or before the tick is later than the last slot that was
completed. Nothing hangs on earlier ticks: a failed dataset is due again at the next tick, and one
that was away for a month is due once, not thirty times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from include.backup.policy.slots import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What one tick means for one dataset."""

    due: bool
    slot: datetime  # the newest one at or before the tick: what a run at this tick completes
    deadline: datetime  # of a run at this tick, all attempts included
    next_due_at: datetime  # when due: the slot after this one; else the one to wait for
    reason: str


def due(
    schedule: Schedule,
    *,
    last_completed_slot: datetime | None,
    tick: datetime,
    complete_within: timedelta,
    now: datetime,
) -> Due:
    """Say whether a dataset is due at `tick`, and until when its run may take.

    Args:
        last_completed_slot: from the ledger; None when no backup was ever completed.
        tick: the moment that the run stands for.
        now: a completed slot later than this and the tick is no reason to wait for it: some clock
            was wrong, and the dataset would stay unprotected until then.
    """
    slot = schedule.newest_slot(tick)
    is_due, next_due_at = True, schedule.next_slot(tick)
    if last_completed_slot is None:
        reason = "no scheduled backup was completed yet"
    elif last_completed_slot > max(now, tick):
        reason = f"a slot of the future, {_utc(last_completed_slot)}, is recorded as completed"
    elif slot > last_completed_slot:
        reason = f"due since {_utc(slot)}"
    else:
        is_due, next_due_at = False, schedule.next_slot(max(tick, last_completed_slot))
        reason = f"nothing due until {_utc(next_due_at)}"
    return Due(
        due=is_due,
        slot=slot,
        # A run that begins late breaks its promise already, but it must not break the next one.
        deadline=max(tick, now) + complete_within,
        next_due_at=next_due_at,
        reason=reason,
    )


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
