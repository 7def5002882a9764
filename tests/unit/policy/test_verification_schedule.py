"""When restores are tried: as often as the policy says, spread over a week, after the backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.policy.load import load_policy
from include.backup.policy.schedule import VERIFICATION_HOURS, verification_schedule

if TYPE_CHECKING:
    from include.backup.policy.model import DataClass

POLICY = load_policy()
NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.mark.parametrize("data_class", POLICY.classes, ids=lambda one: one.name)
def test_no_time_between_two_is_longer_than_promised(data_class: DataClass) -> None:
    """Each dataset has its own day of the same week, for ever."""
    days = set()
    for number in range(50):
        schedule = verification_schedule(POLICY, data_class, dataset=f"d{number}")
        first = schedule.next_slot(NOW)
        assert schedule.next_slot(first) - first <= POLICY.restore_tests.longest
        hour = (data_class.start_at.hour + VERIFICATION_HOURS) % 24
        assert (first.hour, first.minute) == (hour, data_class.start_at.minute)
        days.add(first.date())
    assert len(days) == 7
    assert schedule.tick == timedelta(days=1)
