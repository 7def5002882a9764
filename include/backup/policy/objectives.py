"""Whether one dataset is within its objectives at a moment (3.1, 4.1): a verdict with its reason.

    KEPT         the newest recovery point is within the RPO, and no slot was missed
    AT RISK      it is within the RPO, but the newest scheduled run failed or is late
    BROKEN       it is older than the RPO; or none exists, and the first was due
    NOT TESTED   nothing can be said yet: the first run is not due before its deadline

What is not proven is never called kept: a recovery point from the future proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from include.backup.policy.durations import format_duration

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.policy.model import DataClass
    from include.backup.policy.slots import Schedule

CLAUSES: Final = ("3.1", "4.1")
SKEW: Final = timedelta(minutes=5)  # clocks of different machines may differ by as much


class Verdict(StrEnum):
    """The word that opens each sentence about a dataset."""

    KEPT = "KEPT"
    AT_RISK = "AT RISK"
    BROKEN = "BROKEN"
    NOT_TESTED = "NOT TESTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger says about one dataset."""

    protected_since: datetime  # when the dataset was first seen; its first run is due from then on
    newest_point_at: datetime | None  # consistency point of the newest recovery point
    last_completed_slot: datetime | None
    last_run_failed: bool = False  # the newest run that ended; a refusal is no failure
    failure: str = ""  # why, in words for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One dataset against its objectives."""

    verdict: Verdict
    reason: str
    age: timedelta | None  # of the newest recovery point; None when there is none
    rpo: timedelta
    next_due_at: datetime | None  # the tick whose run takes it, never past; None: there is none
    next_deadline: datetime | None  # of the first slot that is not completed; past: it is late


def judge(
    standing: Standing, *, data_class: DataClass, schedule: Schedule, now: datetime
) -> Judgement:
    """Judge one dataset at `now`.

    Args:
        schedule: that of the class's own method; see schedule.schedule_of.
    """
    waits_since = _first_open(standing, schedule, now)
    deadline = waits_since + data_class.complete_within
    age = _age(standing, now)
    verdict, reason = (
        _without_point(standing, deadline, now)
        if age is None
        else _with_point(standing, age, data_class, deadline, now)
    )
    return Judgement(
        verdict=verdict,
        reason=reason,
        age=age,
        rpo=data_class.rpo,
        next_due_at=waits_since if waits_since >= now else schedule.next_tick(now),
        next_deadline=deadline,
    )


def judge_retired(
    standing: Standing, *, data_class: DataClass, why: str, now: datetime
) -> Judgement:
    """Judge a dataset of which no more recovery points are taken: it promises none."""
    return _unscheduled(Verdict.KEPT, why, standing, data_class, now)


def judge_without_schedule(
    standing: Standing, *, data_class: DataClass, why: str, now: datetime
) -> Judgement:
    """Judge a dataset whose class has no schedule that keeps its promises: by its age alone.

    Args:
        why: what is wrong with the policy.
    """
    age = _age(standing, now)
    verdict = Verdict.BROKEN if age is not None and age > data_class.rpo else Verdict.AT_RISK
    reason = f"its class cannot keep its promises: {why}"
    return _unscheduled(verdict, reason, standing, data_class, now)


def _unscheduled(
    verdict: Verdict, reason: str, standing: Standing, data_class: DataClass, now: datetime
) -> Judgement:
    return Judgement(
        verdict=verdict,
        reason=reason,
        age=_age(standing, now),
        rpo=data_class.rpo,
        next_due_at=None,
        next_deadline=None,
    )


def _age(standing: Standing, now: datetime) -> timedelta | None:
    return None if standing.newest_point_at is None else now - standing.newest_point_at


def _first_open(standing: Standing, schedule: Schedule, now: datetime) -> datetime:
    """The first slot that is not completed yet.

    Before the first backup of the schedule it is the first tick that found the dataset: that one
    takes it at once, whatever the slot. A slot of the future is a clock gone wrong, and completes
    nothing.
    """
    if (last := standing.last_completed_slot) is not None:
        return schedule.next_slot(min(last, now))
    return schedule.next_tick(standing.protected_since)


def _without_point(standing: Standing, deadline: datetime, now: datetime) -> tuple[Verdict, str]:
    if now > deadline:
        return Verdict.BROKEN, (
            f"there is no recovery point; the first was due by {_utc(deadline)}{_because(standing)}"
        )
    if standing.last_run_failed:
        return Verdict.AT_RISK, f"there is no recovery point yet{_because(standing)}"
    return Verdict.NOT_TESTED, (
        f"there is no recovery point yet; the first is due by {_utc(deadline)}"
    )


def _with_point(
    standing: Standing, age: timedelta, data_class: DataClass, deadline: datetime, now: datetime
) -> tuple[Verdict, str]:
    limit = format_duration(data_class.rpo)
    if age > data_class.rpo:
        return Verdict.BROKEN, (
            f"the newest recovery point is {format_duration(age)} old (limit {limit})"
            f"{_because(standing)}"
        )
    if age < -SKEW:
        return Verdict.AT_RISK, (
            f"the newest recovery point lies {format_duration(-age)} in the future: "
            "a clock is or was wrong"
        )
    held = (
        f"the newest recovery point is {format_duration(max(age, timedelta()))} old (limit {limit})"
    )
    if standing.last_run_failed:
        return Verdict.AT_RISK, f"{held}, but the newest run failed{_because(standing)}"
    if now > deadline:
        return Verdict.AT_RISK, f"{held}, but the next was due by {_utc(deadline)}"
    return Verdict.KEPT, held


def _because(standing: Standing) -> str:
    return f": {standing.failure}" if standing.failure else ""


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
