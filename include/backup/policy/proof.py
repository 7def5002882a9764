"""The proof that a schedule keeps the RPO of its class, or the date on which it does not.

A recovery point is as old as its consistency point, which is never before its slot; the next one
is committed at most `complete_within` after the next slot. So, as long as runs succeed in time:

    greatest age = longest time between slots + complete within
    slack        = RPO - greatest age                             feasible: slack >= 0

A derived schedule is a grid, whose slots are equally far apart. The slots of an explicit one are
looked at one by one over ten years.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final

from include.backup.errors import PolicyInvalid
from include.backup.policy.durations import DAY, HOUR, every_words, format_duration
from include.backup.policy.schedule import Underivable, longest_interval, schedule_of
from include.backup.policy.slots import Cron, Grid, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.backup.policy.model import DataClass

CALENDAR: Final = timedelta(days=3653)  # ten years, leap days included


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """The first place in the calendar where a schedule does not keep the promises."""

    previous: datetime  # slot
    following: datetime  # the slot after it
    clause: str  # "4.1", "3.1"; "" where it is two runs that would overlap
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a schedule promises, as figures. When it is infeasible they are those of the breach."""

    data_class: str
    schedule: Schedule | None  # None: nothing can be derived
    interval: timedelta  # longest time between two slots
    complete_within: timedelta
    rpo: timedelta
    tick: timedelta  # longest time until a failed dataset is tried again after a quick failure
    survives_one_lost_run: bool
    breach: Breach | None = None
    reason: str = ""  # why it is infeasible; empty when it is feasible
    nearest: str = ""  # the nearest schedule that would do; empty when there is none, or no need

    @property
    def feasible(self) -> bool:
        """Whether the promises are kept whenever runs succeed in time."""
        return not self.reason

    @property
    def greatest_age(self) -> timedelta:
        """How old the newest recovery point can get."""
        return self.interval + self.complete_within

    @property
    def slack(self) -> timedelta:
        """What is left of the RPO at the greatest age; negative when it is broken."""
        return self.rpo - self.greatest_age

    @property
    def catch_up_within(self) -> timedelta:
        """How long after the last good slot a catch-up run may still begin and keep the RPO."""
        return self.rpo - self.complete_within

    def latest_catch_up(self, last_good_slot: datetime) -> datetime:
        """The latest moment at which a catch-up run still keeps the RPO."""
        return last_good_slot + self.catch_up_within

    def require(self) -> Schedule:
        """The schedule, proved.

        Raises:
            PolicyInvalid: it is infeasible.
        """
        if self.schedule is None or self.reason:
            raise PolicyInvalid(
                self.reason,
                path=f"classes.{self.data_class}",
                hint=f'the nearest schedule that would do is "{self.nearest}"'
                if self.nearest
                else "",
            )
        return self.schedule


def prove(data_class: DataClass, *, start: date) -> Proof:
    """Say what the schedule of a class promises from `start` on, for ten years.

    Never raises for a class that was loaded: an infeasible schedule is a proof with a reason.
    """
    try:
        schedule = schedule_of(data_class)
    except Underivable as error:
        return Proof(
            data_class=data_class.name,
            schedule=None,
            interval=data_class.frequency.interval,
            complete_within=data_class.complete_within,
            rpo=data_class.rpo,
            tick=DAY if data_class.frequency.interval >= DAY else HOUR,
            survives_one_lost_run=False,
            reason=error.message.removeprefix(f"{error.path}: "),
            nearest=_nearest(data_class, data_class.frequency.interval, whole_days=False),
        )
    begin = datetime.combine(start, time(), UTC)
    longest, breach = _walk(data_class, _slots(schedule, begin))
    retry_after = _retry_after(schedule.tick, data_class.complete_within)
    lost = longest + retry_after + data_class.complete_within
    return Proof(
        data_class=data_class.name,
        schedule=schedule,
        interval=longest,
        complete_within=data_class.complete_within,
        rpo=data_class.rpo,
        tick=schedule.tick,
        survives_one_lost_run=breach is None and lost <= data_class.rpo,
        breach=breach,
        reason=_refusal(schedule, breach) if breach else "",
        nearest=_nearest(data_class, longest, whole_days=_in_days(schedule, longest))
        if breach
        else "",
    )


def _retry_after(tick: timedelta, complete_within: timedelta) -> timedelta:
    """How long after its slot a run that failed at its deadline is tried again, at the latest.

    The DAG of a class runs once at a time and missed ticks are not made up for: the next run
    stands for the newest tick that came while the failed one ran, or else for the next tick.
    Where ticks are not equally far apart, a feasible schedule has a complete_within below all.
    """
    return max(tick, complete_within // tick * tick)


def _slots(schedule: Schedule, begin: datetime) -> Iterable[datetime]:
    """The slots to look at: ten years of a calendar, or one step of a grid, where all are alike.

    The slot before `begin` counts too: on the first day, its recovery point is the newest.
    """
    first = schedule.newest_slot(begin)
    if isinstance(schedule, Grid):
        return (first, schedule.next_slot(first))
    end = begin + CALENDAR
    return chain(schedule.slots(first, end), (schedule.next_slot(end - timedelta.resolution),))


def _walk(data_class: DataClass, slots: Iterable[datetime]) -> tuple[timedelta, Breach | None]:
    """The longest time between neighbours; or that of the first breach, and the breach."""
    longest, at_least = timedelta(), max(data_class.complete_within + timedelta.resolution, HOUR)
    at_most = min(longest_interval(data_class), data_class.frequency.longest)
    for previous, following in pairwise(slots):
        gap = following - previous
        if at_least <= gap <= at_most:
            longest = max(longest, gap)
            continue
        clause, reason = _judge(data_class, gap)
        return gap, Breach(previous=previous, following=following, clause=clause, reason=reason)
    return longest, None


def _judge(data_class: DataClass, gap: timedelta) -> tuple[str, str]:
    """Which promise a gap between two slots breaks, in words."""
    apart = f"{format_duration(gap)} apart"
    limit, takes = format_duration(data_class.rpo), format_duration(data_class.complete_within)
    if gap > longest_interval(data_class):
        age = format_duration(gap + data_class.complete_within)
        return "4.1", (
            f"{apart}, and a run may take {takes}: "
            f"the newest recovery point would get {age} old, against an RPO of {limit}"
        )
    if gap > data_class.frequency.longest:
        return "3.1", f"{apart}, where the promise is {data_class.frequency.words}"
    if gap <= data_class.complete_within:
        return "", f"{apart}, and a run may take {takes}: it may not be over when the next begins"
    return "", f"{apart}: less than an hour"


def _refusal(schedule: Schedule, breach: Breach) -> str:
    return (
        f"schedule {schedule} breaks on {breach.following:%Y-%m-%d}: the slots of "
        f"{breach.previous:%Y-%m-%d %H:%M} and {breach.following:%Y-%m-%d %H:%M} UTC are "
        f"{breach.reason}"
    )


def _in_days(schedule: Schedule, gap: timedelta) -> bool:
    return gap >= DAY if isinstance(schedule, Cron) else not schedule.interval % DAY


def _nearest(data_class: DataClass, wanted: timedelta, *, whole_days: bool) -> str:
    """The interval closest to `wanted` that keeps every promise, as a schedule is written.

    In whole days when the wish was, if such an interval exists; else in whole hours.
    """
    at_most = min(longest_interval(data_class), data_class.frequency.longest)
    for unit in (DAY, HOUR) if whole_days else (HOUR,):
        least = max(data_class.complete_within // unit + 1, 1) * unit
        most = at_most // unit * unit
        if least <= most:
            return every_words(min(max(-(-wanted // unit) * unit, least), most))
    return ""
