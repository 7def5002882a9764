"""One dataset against its objectives: every verdict with its reason."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from include.backup.policy.load import load_policy
from include.backup.policy.objectives import Judgement, Standing, Verdict, judge
from include.backup.policy.schedule import schedule_of
from include.backup.policy.slots import parse_schedule

CRITICAL = load_policy().data_class("critical")
SLOT = datetime(2026, 11, 24, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(
    now: datetime,
    *,
    point: datetime | None = SLOT,
    slot: datetime | None = SLOT,
    since: datetime = SLOT - 100 * DAY,
    failed: str = "",
) -> Judgement:
    standing = Standing(
        protected_since=since,
        newest_point_at=point,
        last_completed_slot=slot,
        last_run_failed=bool(failed),
        failure=failed,
    )
    return judge(standing, data_class=CRITICAL, schedule=schedule_of(CRITICAL), now=now)


@pytest.mark.parametrize("hours", [0, 1, 24, 30, 36])
def test_a_fresh_point_and_no_missed_slot_is_kept(hours: int) -> None:
    """Until the next slot's deadline, 36 hours after the last slot, all is as promised."""
    found = at(SLOT + hours * HOUR)
    assert found.verdict is Verdict.KEPT
    assert found.age == hours * HOUR
    assert found.reason.endswith("old (limit 48 h)")
    assert found.next_due_at == SLOT + (DAY if hours <= 24 else 2 * DAY)
    assert found.next_deadline == SLOT + 36 * HOUR


def test_a_late_run_puts_the_rpo_at_risk() -> None:
    """Within the RPO but past the deadline of the slot, the verdict warns before it breaks."""
    found = at(SLOT + 37 * HOUR)
    assert found.verdict is Verdict.AT_RISK
    assert found.reason == (
        "the newest recovery point is 37 h old (limit 48 h), "
        "but the next was due by 2026-11-25 13:00 UTC"
    )


def test_the_next_run_is_never_in_the_past() -> None:
    """A slot that waits, or is late, is taken at the next tick; its deadline stays where it was."""
    for hours, due_hours in ((24, 24), (25, 48), (37, 48), (48, 72), (49, 72)):
        found = at(SLOT + hours * HOUR)
        assert found.next_due_at == SLOT + due_hours * HOUR
        assert found.next_deadline == SLOT + 36 * HOUR
    weekly = load_policy().data_class("important")
    schedule = schedule_of(weekly)
    slot = schedule.newest_slot(SLOT)
    missed = Standing(protected_since=slot, newest_point_at=slot, last_completed_slot=slot)
    now = slot + 6 * DAY + 2 * HOUR
    assert judge(missed, data_class=weekly, schedule=schedule, now=now).next_due_at == (
        slot + 7 * DAY
    )


def test_a_new_dataset_is_taken_at_the_next_tick() -> None:
    """Whatever the slot: on a day at the hour of the DAG, and not at the hour of its entry."""
    since = SLOT + 3 * HOUR + timedelta(minutes=17)
    found = at(since, point=None, slot=None, since=since)
    assert found.next_due_at == SLOT + DAY
    later = at(since + 9 * DAY, point=None, slot=None, since=since)
    assert later.next_due_at == SLOT + 10 * DAY
    assert "the first was due by 2026-11-25 13:00 UTC" in later.reason


def test_ticks_of_a_cron_are_the_times_of_its_slots_on_every_day() -> None:
    """Which is when its DAG looks what is due."""
    sundays = parse_schedule("30 6,18 * * 0", start_at=time(1))
    tuesday = datetime(2026, 11, 24, 7, tzinfo=UTC)
    assert sundays.next_tick(tuesday) == datetime(2026, 11, 24, 18, 30, tzinfo=UTC)
    assert sundays.next_tick(tuesday + 12 * HOUR) == datetime(2026, 11, 25, 6, 30, tzinfo=UTC)
    hourly = parse_schedule("every 5 hours", start_at=time(0, 10))
    assert hourly.next_tick(tuesday) == tuesday + timedelta(minutes=10)


def test_a_failed_run_puts_the_rpo_at_risk() -> None:
    """A failure is told at once, with its reason, though the newest point is young enough."""
    found = at(SLOT + 25 * HOUR, failed="disk full")
    assert found.verdict is Verdict.AT_RISK
    assert found.reason.endswith("but the newest run failed: disk full")


def test_the_rpo_is_broken_just_past_its_limit() -> None:
    """At 48 hours the promise holds, a second later it does not, and the figures show it."""
    assert at(SLOT + 48 * HOUR).verdict is Verdict.AT_RISK
    found = at(SLOT + 48 * HOUR + timedelta(seconds=1), failed="vault unreachable")
    assert found.verdict is Verdict.BROKEN
    assert found.reason == (
        "the newest recovery point is 48 h 1 min old (limit 48 h): vault unreachable"
    )


def test_a_new_dataset_is_not_tested_until_its_first_deadline() -> None:
    """Without a point nothing is called kept; past the first deadline it is broken."""
    since = SLOT + 3 * HOUR
    first_deadline = SLOT + DAY + 12 * HOUR
    before = at(first_deadline, point=None, slot=None, since=since)
    assert before.verdict is Verdict.NOT_TESTED
    assert before.next_deadline == first_deadline
    assert before.age is None
    failed = at(first_deadline, point=None, slot=None, since=since, failed="no right to read")
    assert failed.verdict is Verdict.AT_RISK
    after = at(first_deadline + HOUR, point=None, slot=None, since=since)
    assert after.verdict is Verdict.BROKEN
    assert "there is no recovery point; the first was due by 2026-11-25 13:00 UTC" in after.reason


def test_a_point_from_the_future_proves_nothing() -> None:
    """A clock that ran ahead does not make data look fresh; small skew is no fault."""
    found = at(SLOT, point=SLOT + 30 * DAY)
    assert found.verdict is Verdict.AT_RISK
    assert "in the future: a clock is or was wrong" in found.reason
    skewed = at(SLOT, point=SLOT + timedelta(seconds=2))
    assert skewed.verdict is Verdict.KEPT
    assert skewed.reason == "the newest recovery point is 0 min old (limit 48 h)"


def test_a_completed_slot_of_the_future_does_not_hide_a_missed_one() -> None:
    """The next slot due is reckoned from now when the ledger's last one has not come yet."""
    found = at(SLOT + 5 * HOUR, slot=SLOT + 600 * DAY)
    assert found.next_due_at == SLOT + DAY
