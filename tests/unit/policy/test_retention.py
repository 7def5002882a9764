"""Verdicts on recovery points: kept until they expire, and longer only with a reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from include.backup.policy.objectives import SKEW
from include.backup.policy.retention import KEPT_POINTS, Circumstances, judge_points

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
DAY = timedelta(days=1)
RETENTION = 30 * DAY


@dataclass(frozen=True, kw_only=True)
class Point:
    """What retention knows of a recovery point."""

    snapshot: str
    generation: str = "g"
    taken_at: datetime
    expires_at: datetime
    sequence: int = 1
    verified_at: datetime | None = None


def points(*ages: float, kept: timedelta = RETENTION) -> list[Point]:
    """Recovery points so many days old, in the order of the ledger."""
    taken = [NOW - timedelta(days=age) for age in ages]
    return [
        Point(snapshot=f"{number:064x}", taken_at=at, expires_at=at + kept, sequence=number + 1)
        for number, at in enumerate(taken)
    ]


ABOUT = Circumstances(now=NOW, retention=RETENTION, complete_within=timedelta(hours=12))
POINTS = st.lists(
    st.builds(
        lambda number, age, kept, verified, generation: Point(
            snapshot=f"{number:064x}",
            generation=generation,
            taken_at=NOW - age,
            expires_at=NOW - age + kept,
            verified_at=NOW if verified else None,
        ),
        st.integers(0, 1 << 64),
        st.timedeltas(-2 * DAY, 400 * DAY),
        st.timedeltas(timedelta(hours=1), 200 * DAY),
        st.booleans(),
        st.sampled_from("abc"),
    ),
    max_size=20,
    unique_by=lambda point: point.snapshot,
)


@given(POINTS, st.timedeltas(timedelta(hours=1), 200 * DAY), st.sets(st.sampled_from("abc")))
def test_nothing_goes_before_its_time(
    found: list[Point], retention: timedelta, damaged: set[str]
) -> None:
    """Neither by its record nor by the class of today; and the last ways back stay."""
    about = replace(ABOUT, retention=retention, damaged=damaged)
    verdicts = judge_points(found, about)
    assert [one.snapshot for one in verdicts] == [point.snapshot for point in found]
    gone = {one.snapshot for one in verdicts if one.expires}
    for point in found:
        if point.snapshot in gone:
            assert point.expires_at <= NOW
            assert point.taken_at + retention <= NOW
    sound = [point for point in found if point.generation not in damaged] or found
    assert not gone.intersection(point.snapshot for point in sound[-KEPT_POINTS:])
    verified = [point.snapshot for point in sound if point.verified_at]
    assert not gone.intersection(verified[-1:])


@given(POINTS)
def test_what_is_kept_longer_has_a_reason(found: list[Point]) -> None:
    """Of a retired dataset, in order, everything that has expired goes."""
    ordered = sorted(found, key=lambda point: point.taken_at)
    for one in judge_points(ordered, replace(ABOUT, retired=True)):
        assert one.expires == (one.until <= NOW)
        assert one.why


@given(POINTS, st.sampled_from(["held", "suspicion"]))
def test_nothing_goes_while_it_is_held_or_in_doubt(found: list[Point], why: str) -> None:
    """Whatever else is said."""
    about = replace(ABOUT, retired=True, **{why: "a reason"})  # type: ignore[arg-type]
    assert all("a reason" in one.why and not one.expires for one in judge_points(found, about))


@given(POINTS, st.timedeltas(DAY, 300 * DAY))
def test_a_verdict_is_never_taken_back(found: list[Point], later: timedelta) -> None:
    """As time goes on, only more goes: nothing that has expired comes to life again."""
    past = [point for point in found if point.taken_at <= NOW]
    now = {one.snapshot for one in judge_points(past, ABOUT) if one.expires}
    then = judge_points(past, replace(ABOUT, now=NOW + later))
    assert now <= {one.snapshot for one in then if one.expires}


def test_a_longer_retention_lengthens_and_a_shorter_one_does_not_shorten() -> None:
    """What was promised when it was taken is kept."""
    found = points(100, 40, 20, 2, 1)
    longer = judge_points(found, replace(ABOUT, retention=90 * DAY))
    assert [one.expires for one in longer] == [True, False, False, False, False]
    shorter = judge_points(found, replace(ABOUT, retention=10 * DAY))
    assert [one.expires for one in shorter] == [True, True, False, False, False]


def test_a_clock_that_was_set_back_makes_no_point_older() -> None:
    """It is as old as the newest that the ledger had before it."""
    found = points(3, 9000, 2, 1)
    verdicts = judge_points(found, ABOUT)
    assert not any(one.expires for one in verdicts)
    assert verdicts[1].until == found[0].taken_at + RETENTION


def test_a_long_full_that_lies_behind_keeps_its_own_time() -> None:
    """It was recorded after a younger incremental: that is no clock gone wrong."""
    found = points(40, 40.4, 2, 1)
    assert [one.until - one.taken_at for one in judge_points(found, ABOUT)] == [RETENTION] * 4


def test_a_point_from_the_future_stays() -> None:
    """Within the skew of clocks it is none."""
    found = points(-1, 3, 2, 1)
    assert "future" in judge_points(found, ABOUT)[0].why
    near = points(-SKEW / DAY, 3, 2, 1)
    assert "future" not in judge_points(near, ABOUT)[0].why


def test_a_hold_on_one_point_keeps_it_alone() -> None:
    """The others go."""
    found = points(50, 49, 2, 1)
    about = replace(ABOUT, held_points={found[0].snapshot: "a lawsuit"})
    verdicts = judge_points(found, about)
    assert [one.expires for one in verdicts] == [False, True, False, False]
    assert verdicts[0].why == "on hold: a lawsuit"
