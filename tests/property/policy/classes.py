"""Random promises: classes as policies might have them, sensible and not."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import islice, pairwise

from hypothesis import strategies as st

from include.backup.policy.durations import Frequency, parse_frequency
from include.backup.policy.model import DataClass, Method
from include.backup.policy.slots import parse_schedule

_FREQUENCIES = ("hourly", "daily", "weekly", "monthly", "quarterly")


def _every() -> st.SearchStrategy[str]:
    return st.one_of(
        st.integers(1, 400).map(lambda hours: f"every {hours} hours"),
        st.integers(1, 45).map(lambda days: f"every {days} days"),
    )


@st.composite
def crons(draw: st.DrawFn) -> str:
    """Cron expressions as people write them: some days, at most a few times a day."""
    minute = draw(st.integers(0, 59))
    hours = draw(
        st.one_of(
            st.integers(0, 23).map(str),
            st.sampled_from(["*/6", "*/12", "3-21/9", "1,13", "0,1,23", "*"]),
        )
    )
    days = draw(
        st.sampled_from([
            "* * *", "* * 0", "* * mon,thu", "* * 1-5", "*/2 * *", "1 * *", "1,15 * *", "L * *",
            "*/10 * *", "31 * *", "29 2 *", "* 1-11 *", "1 */3 *", "13 * 5", "* * sun#1",
        ])
    )  # fmt: skip
    return f"{minute} {hours} {days}"


def explicit() -> st.SearchStrategy[str]:
    """Schedules as a user writes them."""
    return st.one_of(crons(), _every())


@st.composite
def classes(draw: st.DrawFn, *, schedules: st.SearchStrategy[str] | None = None) -> DataClass:
    """Promises drawn without regard to each other: many cannot be kept together."""
    return _data_class(
        draw,
        frequency=draw(_frequencies()),
        within=timedelta(minutes=draw(st.integers(5, 60 * 60))),
        rpo=timedelta(minutes=draw(st.integers(60, 60 * 24 * 70))),
        schedule=draw(schedules) if schedules is not None else "",
    )


@st.composite
def keepable(draw: st.DrawFn, *, room_hours: int = 48) -> DataClass:
    """Promises from which a schedule can nearly always be derived, with little room or more."""
    frequency = draw(_frequencies())
    most = min(frequency.interval, timedelta(days=45))
    target = timedelta(hours=draw(st.integers(1, most // timedelta(hours=1))))
    within = timedelta(minutes=draw(st.integers(5, max(5, int(target.total_seconds() // 70)))))
    room = timedelta(minutes=draw(st.integers(0, 60 * room_hours)))
    return _data_class(
        draw, frequency=frequency, within=within, rpo=target + within + timedelta(hours=1) + room
    )


@st.composite
def scheduled(draw: st.DrawFn, *, slack: st.SearchStrategy[timedelta]) -> DataClass:
    """An explicit schedule, and an RPO that leaves so much slack to its longest gap."""
    schedule = draw(explicit())
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    slots = parse_schedule(schedule, start_at=time()).slots(begin, begin + timedelta(days=3653))
    gaps = [after - before for before, after in pairwise(islice(slots, 400))]
    minutes = min(int(min(gaps).total_seconds() // 60) - 1, 60 * 60)
    within = timedelta(minutes=draw(st.integers(1, minutes)))
    return _data_class(
        draw,
        frequency=parse_frequency(f"every {-(-max(gaps) // timedelta(hours=1))} hours"),
        within=within,
        rpo=max(max(gaps) + within + draw(slack), timedelta(minutes=1)),
        schedule=schedule,
    )


def _frequencies() -> st.SearchStrategy[Frequency]:
    return st.one_of(st.sampled_from(_FREQUENCIES), _every()).map(parse_frequency)


def _data_class(
    draw: st.DrawFn,
    *,
    frequency: Frequency,
    within: timedelta,
    rpo: timedelta,
    schedule: str = "",
) -> DataClass:
    return DataClass(
        name="drawn",
        frequency=frequency,
        retention=timedelta(days=30),
        method=draw(st.sampled_from(list(Method))),
        rpo=rpo,
        rto=timedelta(days=2),
        complete_within=within,
        schedule=schedule,
        start_at=time(draw(st.integers(0, 23)), draw(st.integers(0, 59))),
    )
