"""What a backup should do to which generation: a pure decision with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.backup.policy.model import Method

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from include.backup.vault.generations import Generation
    from include.backup.vault.state import DatasetState


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One way to take a recovery point."""

    method: Method
    generation: Generation | None  # None: open a new one
    abandon: Generation | None = None  # an unfinished one that is not worth going on with
    done_slot: datetime | None = None  # the slot was completed before: nothing to do
    remark: str = ""  # what a reader of the sentence should know


def plan(
    state: DatasetState,
    *,
    method: Method,
    slot: datetime | None,
    now: datetime,
    complete_within: timedelta,
) -> Plan:
    """Choose what to do.

    Args:
        slot: what the schedule wants completed; None when a person asks, and then a recovery
            point is taken whatever there is.

    An unfinished generation is gone on with as long as the run can end before it closes: a first
    full may take many runs, each of which ends in time.
    """
    last = state.last_slot(method, now=now)
    if slot is not None and last is not None and slot <= last <= now:
        return Plan(method=method, generation=None, done_slot=last)
    remark, ends_at = "", now + complete_within
    if method is Method.INCREMENTAL:
        usable = state.newest_completed_generation(closing_after=ends_at)
        if usable is not None:
            return Plan(method=method, generation=usable)
        remark = _why_full(state)
    unfinished = state.unfinished_generation
    if unfinished is None:
        return Plan(method=Method.FULL, generation=None, remark=remark)
    if unfinished.damaged or unfinished.closes_at < ends_at:
        return Plan(method=Method.FULL, generation=None, abandon=unfinished, remark=remark)
    return Plan(method=Method.FULL, generation=unfinished, remark=remark)


def _why_full(state: DatasetState) -> str:
    if not state.points:
        return "taken as a full: there was no generation to add to"
    if any(generation.damaged for generation in state.generations):
        return "taken as a full: the newest generation is damaged"
    return "taken as a full: the newest generation is closing"
