"""A clock that is wrong expires nothing, and locks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.expire import expire
from include.backup.errors import ClockWrong
from include.backup.policy.model import Method
from tests.damage.expiring import (
    DAY,
    LOCKED,
    a_point_leaves,
    back_up_daily,
    generations,
    site,
    snapshots,
)
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["site"]


def test_a_wrong_clock_expires_nothing(site: Site) -> None:
    """Where the store has a clock of its own."""
    a_point_leaves(site)
    everything = snapshots(site)
    setting = site.setting()
    object.__setattr__(setting, "clock", lambda: site.clock() + 300 * DAY)
    with pytest.raises(ClockWrong, match="the clock of this machine and that of"):
        expire(setting, "crm")
    assert snapshots(site) == everything


def test_a_wrong_clock_locks_nothing(site: Site) -> None:
    """In compliance mode nobody could take the dates back."""
    site.vault_url = LOCKED
    back_up_daily(site, 1)
    setting = site.setting()
    object.__setattr__(setting, "clock", lambda: site.clock() + 3650 * DAY)
    with pytest.raises(ClockWrong, match="hint: nothing expires, and nothing is locked"):
        back_up(setting, "crm", method=Method.FULL)
    assert len(generations(site)) == 1


def test_points_of_the_future_stay(site: Site) -> None:
    """Some clock was wrong; nobody knows how old they are."""
    site.wait(days=400)
    back_up_daily(site, 2)
    site.now -= 400 * DAY
    back_up_daily(site, 3)
    outcome, plan = expire(site.setting(), "crm")
    assert outcome.sentence.startswith("AT RISK 3.2")
    assert "2 recovery points dated in the future" in outcome.sentence
    assert len(plan.kept) == 5


def test_a_clock_that_jumps_is_doubted_once(tmp_path: Path) -> None:
    """In a directory there is no other clock to ask; the next daily run goes on."""
    site = Site(tmp_path)
    site.vault_url = "file:///nowhere/vault"
    back_up_daily(site, 5)
    site.wait(days=300)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.sentence.startswith("AT RISK 3.2")
    assert "a clock has jumped" in outcome.sentence
    assert len(snapshots(site)) == 5
    expire(site.setting(), "crm")  # a retry does not help
    assert len(snapshots(site)) == 5
    site.wait(days=1)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.sentence.startswith("KEPT 3.2")
    assert len(snapshots(site)) == 2


def test_a_clock_that_is_put_right_again_is_believed(tmp_path: Path) -> None:
    """What it had said meanwhile holds nothing up."""
    site = Site(tmp_path)
    site.vault_url = "file:///nowhere/vault"
    back_up_daily(site, 5)
    site.wait(days=300)
    expire(site.setting(), "crm")  # doubted
    site.now -= 300 * DAY
    site.wait(days=26)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.details["expired"] == 2, outcome.sentence


def test_what_a_crash_leaves_to_be_adopted_is_doubted_as_well(site: Site) -> None:
    """The recovery point of a dataset that has shrunk, saved, and not yet recorded."""
    site.write(**{f"file{number}": "x" * 100 for number in range(30)})
    back_up_daily(site, 2)
    for number in range(2, 30):
        (site.data / f"file{number}").unlink()
    counting = Crashing(site.memory)
    rewind = site.rewinding()
    back_up(site.setting(counting), "crm", method=Method.INCREMENTAL)
    at = next(n for n, change in enumerate(counting.changes, 1) if "/snapshots/" in change)
    rewind()
    with pytest.raises(Crash):
        back_up(
            site.setting(Crashing(site.memory, at=at, after=True)),
            "crm",
            method=Method.INCREMENTAL,
        )
    site.wait(minutes=31)
    back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    [doubt, *_] = site.place().state().suspicions
    assert "entries are left of" in doubt.reason
