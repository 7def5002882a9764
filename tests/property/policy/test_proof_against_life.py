"""The proof and the simulator, which know nothing of each other, must agree."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from include.backup.policy.due import due
from include.backup.policy.durations import parse_duration, parse_frequency
from include.backup.policy.model import DataClass, Method
from include.backup.policy.proof import Proof, prove
from include.backup.policy.schedule import schedule_of
from include.backup.policy.slots import Grid
from tests.property.policy.classes import classes, explicit, keepable, scheduled
from tests.property.policy.simulator import Life, Outcome, Weather, play, ticks

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

START = date(2026, 11, 24)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SOME = st.timedeltas(timedelta(), timedelta(days=2))
MUCH = st.timedeltas(timedelta(days=1), timedelta(days=9))
QUICK = settings(max_examples=60, deadline=None)


class Worst:
    """Data is consistent at once and points come at the last moment.

    Nobody else is in the way: who waits for others reads later, and has a younger point. Runs are
    lost after a slot that was met in time, since a late point is a younger one, too.
    """

    def __init__(self, *, loses: bool = False) -> None:
        self._loses = loses
        self._runs = 0

    def outcome(self) -> Outcome:
        """See Weather."""
        self._runs += 1
        return Outcome(lost=self._loses and self._runs % 4 == 3)

    def others_busy(self) -> float:
        """See Weather."""
        return 0.0


class Drawn:
    """Whatever Hypothesis comes up with."""

    def __init__(self, data: st.DataObject, *, loses: bool = False) -> None:
        part = st.floats(0, 1)
        self._draw = lambda: data.draw(st.lists(part, min_size=8, max_size=8))
        self._parts: list[float] = []
        self._loses, self._lost = loses, False

    def _next(self) -> float:
        # Drawn in portions and gone through again: Hypothesis is slow at thousands of numbers.
        if not self._parts:
            self._parts = self._draw() * 16
        return self._parts.pop()

    def outcome(self) -> Outcome:
        """See Weather."""
        *attempts, ends = sorted(self._next() for _ in range(3))
        self._lost = self._loses and not self._lost and self._next() < 0.5
        return Outcome(attempts=tuple(attempts), ends=ends, lost=self._lost)

    def others_busy(self) -> float:
        """See Weather."""
        return self._next()


def dues(
    data_class: DataClass, dataset: str = ""
) -> tuple[str, Callable[[datetime, datetime | None], datetime | None]]:
    """The ticks and the first task of the class's DAG, as one dataset meets them."""
    schedule = schedule_of(data_class, dataset=dataset)

    def is_due(tick: datetime, last: datetime | None) -> datetime | None:
        found = due(
            schedule,
            last_completed_slot=last,
            tick=tick,
            complete_within=data_class.complete_within,
            now=tick,
        )
        return found.slot if found.due else None

    return schedule.tick_cron, is_due


def live(
    data_class: DataClass,
    weather: Weather,
    *,
    first_day: date = START,
    days: int = 0,
    dataset: str = "",
) -> Life:
    """Some cycles of a dataset's life, or so many days."""
    cron, is_due = dues(data_class, dataset)
    interval = schedule_of(data_class).next_slot
    if not days:
        moment = _midnight(first_day)
        days = min(4 * (interval(interval(moment)) - interval(moment)).days + 5, 150)
    moments = ticks(cron, first_day, days)[:1500]
    return play(moments, is_due=is_due, complete_within=data_class.complete_within, weather=weather)


def _midnight(day: date) -> datetime:
    [midnight] = ticks("0 0 * * *", day, 1)
    return midnight


@given(data_class=keepable(), dataset=st.text("abc-1", max_size=8), data=st.data())
@settings(QUICK, max_examples=120)
def test_a_derived_schedule_never_breaks_the_rpo(
    data_class: DataClass, dataset: str, data: st.DataObject
) -> None:
    """Whatever the weather, while each slot's run completes within its time, the RPO is kept."""
    proof = prove(data_class, start=START)
    assume(proof.feasible)
    life = live(data_class, Drawn(data), dataset=dataset)
    assert life.greatest_age <= proof.greatest_age <= data_class.rpo


@given(data_class=keepable())
@QUICK
def test_the_proved_greatest_age_is_reached_by_the_worst_weather(data_class: DataClass) -> None:
    """The proof does not exaggerate: bad luck alone makes the newest point as old as it says."""
    proof = prove(data_class, start=START)
    assume(proof.feasible and proof.interval < 70 * DAY)
    life = live(data_class, Worst(), days=max(5, 3 * proof.interval.days + 3))
    assert life.greatest_age == proof.greatest_age


@given(data_class=scheduled(slack=SOME), data=st.data())
@settings(QUICK, max_examples=40)
def test_an_accepted_explicit_schedule_never_breaks_the_rpo(
    data_class: DataClass, data: st.DataObject
) -> None:
    """A cron or an interval of the user's that was proved keeps the RPO on random days."""
    proof = prove(data_class, start=START)
    assume(proof.feasible)
    first_day = START + timedelta(days=data.draw(st.integers(0, 3500)))
    for weather in (Drawn(data), Worst()):
        life = live(data_class, weather, first_day=first_day)
        assert life.greatest_age <= proof.greatest_age <= data_class.rpo


@given(data_class=scheduled(slack=SOME.map(lambda it: -it - timedelta(minutes=1))))
@settings(QUICK, max_examples=40)
def test_a_schedule_refused_for_the_rpo_breaks_it_where_it_says(data_class: DataClass) -> None:
    """On the first date named, the worst weather makes the newest point older than the RPO."""
    proof = prove(data_class, start=START)
    assume(proof.breach is not None and proof.breach.clause == "4.1")
    assert proof.breach is not None
    gap = proof.breach.following - proof.breach.previous
    assume(gap < 400 * DAY)
    cron, is_due = dues(data_class)
    begin = proof.breach.previous
    moments = [moment for moment in ticks(cron, begin.date(), gap.days + 5) if moment >= begin]
    life = play(moments, is_due=is_due, complete_within=data_class.complete_within, weather=Worst())
    first, second = life.points[:2]
    assert first[0] == begin
    assert second[1] - first[0] >= proof.greatest_age > data_class.rpo


@given(data_class=st.one_of(keepable(room_hours=240), scheduled(slack=MUCH)), data=st.data())
@QUICK
def test_surviving_one_lost_run_is_true_of_life(data_class: DataClass, data: st.DataObject) -> None:
    """Where the proof says a run may be lost, losing runs, never two in a row, keeps the RPO."""
    proof = prove(data_class, start=START)
    assume(proof.survives_one_lost_run)
    for weather in (Drawn(data, loses=True), Worst(loses=True)):
        assert live(data_class, weather).greatest_age <= data_class.rpo


@given(data_class=keepable(room_hours=12))
@QUICK
def test_not_surviving_one_lost_run_is_true_of_life(data_class: DataClass) -> None:
    """Where the proof says no run may be lost, losing one in the worst weather breaks the RPO."""
    proof = prove(data_class, start=START)
    assume(proof.feasible and not proof.survives_one_lost_run and proof.interval < 70 * DAY)
    life = live(data_class, Worst(loses=True), days=max(8, 9 * proof.interval.days + 4))
    assert life.lost
    assert life.greatest_age > data_class.rpo


@given(data_class=st.one_of(classes(), keepable()))
@QUICK
def test_what_cannot_be_derived_does_not_exist(data_class: DataClass) -> None:
    """No whole number of hours does, when the derivation says so; else it chose the longest."""
    margin = data_class.rpo - data_class.complete_within - HOUR
    possible = [
        hours * HOUR
        for hours in range(1, 24 * 100)
        if hours * HOUR <= min(margin, data_class.frequency.interval)
    ]
    whole_days = [length for length in possible if length % DAY == timedelta()]
    proof = prove(data_class, start=START)
    longest = max(whole_days or possible or [timedelta()])
    if proof.feasible:
        assert isinstance(proof.schedule, Grid)
        assert proof.interval == longest
    else:
        assert longest <= data_class.complete_within


@given(data_class=classes(schedules=explicit()))
@settings(QUICK, max_examples=120)
def test_the_nearest_schedule_would_do(data_class: DataClass) -> None:
    """What a refusal recommends is accepted; and it recommends something if anything would do."""
    proof = prove(data_class, start=START)
    assume(not proof.feasible)
    if proof.nearest:
        assert prove(replace(data_class, schedule=proof.nearest), start=START).feasible
    else:
        bound = min(data_class.rpo - data_class.complete_within, data_class.frequency.longest)
        assert not any(
            data_class.complete_within < hours * HOUR <= bound for hours in range(1, 24 * 130)
        )


@pytest.mark.parametrize(
    ("schedule", "rpo", "greatest_age"),
    [
        ("0 1 1 * *", "33 days", timedelta(days=32, hours=12)),
        ("30 2 L * *", "33 days", timedelta(days=32, hours=12)),
    ],
)
def test_ten_years_of_life_find_the_age_that_was_proved(
    schedule: str, rpo: str, greatest_age: timedelta
) -> None:
    """Lived day by day for ten years, a calendar schedule gets exactly as old as proved."""
    data_class = DataClass(
        name="monthly",
        frequency=parse_frequency("monthly"),
        retention=parse_duration("180 days"),
        method=Method.FULL,
        rpo=parse_duration(rpo),
        rto=parse_duration("7 days"),
        complete_within=parse_duration("36 h"),
        schedule=schedule,
    )
    proof: Proof = prove(data_class, start=START)
    assert proof.feasible
    cron, is_due = dues(data_class)
    life = play(
        ticks(cron, START, 3653),
        is_due=is_due,
        complete_within=data_class.complete_within,
        weather=Worst(),
    )
    assert life.greatest_age == proof.greatest_age == greatest_age


@given(data_class=st.one_of(keepable(), classes(schedules=explicit())))
@QUICK
def test_every_slot_is_a_tick(data_class: DataClass) -> None:
    """Airflow starts a run at every slot, and ticks are never further apart than the tick says."""
    proof = prove(data_class, start=START)
    assume(proof.schedule is not None)
    assert proof.schedule is not None
    moments = ticks(proof.schedule.tick_cron, START, 40)
    slots = list(proof.schedule.slots(moments[0], moments[-1]))
    assert set(slots) <= set(moments)
    assert max(b - a for a, b in pairwise(moments)) <= proof.schedule.tick <= DAY
