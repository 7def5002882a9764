"""Which ticks find a dataset due, and the lifetimes that clause 3.2 promises."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from include.backup.policy.due import Due, due
from include.backup.policy.retention import closes_at, expires_at, longest_life
from include.backup.policy.slots import grid

DAY = timedelta(days=1)
WEEKLY = grid(6 * DAY, start_at=time(1))
SLOT = WEEKLY.newest_slot(datetime(2026, 11, 24, 1, tzinfo=UTC))


def at(tick: datetime, last: datetime | None, *, now: datetime | None = None) -> Due:
    return due(
        WEEKLY,
        last_completed_slot=last,
        tick=tick,
        complete_within=timedelta(hours=12),
        now=now or tick,
    )


def test_a_dataset_never_backed_up_is_due_at_any_tick() -> None:
    """The first backup does not wait for a slot."""
    found = at(SLOT + 3 * DAY, None)
    assert found.due
    assert found.slot == SLOT
    assert found.reason == "no scheduled backup was completed yet"
    assert found.deadline == SLOT + 3 * DAY + timedelta(hours=12)


def test_a_failed_dataset_is_due_at_the_next_tick() -> None:
    """Only a completed slot ends being due; its retry completes the same slot, later."""
    assert at(SLOT, SLOT - 6 * DAY).due
    again = at(SLOT + DAY, SLOT - 6 * DAY)
    assert again.due
    assert again.slot == SLOT
    assert again.deadline == SLOT + DAY + timedelta(hours=12)
    assert again.reason == f"due since {SLOT:%Y-%m-%d %H:%M} UTC"


def test_a_late_backup_does_not_shift_the_next_slot() -> None:
    """Catching up two days late leaves the next slot where it was: nothing drifts."""
    waiting = at(SLOT + 2 * DAY, SLOT)
    assert not waiting.due
    assert waiting.next_due_at == SLOT + 6 * DAY
    assert waiting.reason == f"nothing due until {SLOT + 6 * DAY:%Y-%m-%d %H:%M} UTC"


def test_a_dataset_long_away_is_due_once() -> None:
    """Missed slots are not made up for one by one."""
    found = at(SLOT + 60 * DAY, SLOT)
    assert found.due
    assert not at(SLOT + 61 * DAY, found.slot).due


def test_a_completed_slot_of_the_future_does_not_stop_backups() -> None:
    """A clock that was wrong once must not leave a dataset unprotected until its date comes."""
    found = at(SLOT, SLOT + 600 * DAY)
    assert found.due
    assert "a slot of the future" in found.reason


def test_an_old_tick_run_again_finds_nothing_due() -> None:
    """Clearing a run of last week does not back up what was completed since."""
    found = at(SLOT, SLOT + 6 * DAY, now=SLOT + 8 * DAY)
    assert not found.due
    assert found.next_due_at == SLOT + 12 * DAY


def test_lifetimes_add_up() -> None:
    """A point lives its retention; its generation until the last point in it could expire."""
    taken_at = datetime(2026, 11, 23, 1, 0, 4, tzinfo=UTC)
    assert expires_at(taken_at, 30 * DAY) == datetime(2026, 12, 23, 1, 0, 4, tzinfo=UTC)
    closing = closes_at(taken_at, 28 * DAY, 7 * DAY)
    assert closing == taken_at + 35 * DAY
    assert expires_at(closing, 30 * DAY) == taken_at + longest_life(30 * DAY, 28 * DAY, 7 * DAY)
