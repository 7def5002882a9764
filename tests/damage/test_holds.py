"""A hold keeps everything, and two people decide what is kept for a shorter time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.actions import expire as expire_module
from include.backup.actions.expire import expire
from include.backup.actions.hold import add_hold, lift_hold
from include.backup.actions.kept import standing
from include.backup.actions.shorten import shorten
from include.backup.actions.two_people import TwoPeople
from include.backup.errors import ConfigurationInvalid
from include.backup.policy.objectives import Verdict
from tests.damage.expiring import (
    LOCKED,
    TWO,
    a_generation_dies,
    a_point_leaves,
    back_up_daily,
    site,
    snapshots,
)
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from include.backup.vault.expiry import ExpiryPlan, Terms
    from include.backup.vault.state import DatasetState

__all__ = ["site"]


def test_a_hold_keeps_everything_until_it_is_lifted(site: Site) -> None:
    """All of a dataset, or one recovery point; two people stand behind it."""
    a_generation_dies(site)
    everything = snapshots(site)
    hold = add_hold(site.setting(), "crm", TWO).details["hold"]
    outcome, _ = expire(site.setting(), "crm")
    assert snapshots(site) == everything
    assert "on hold: a lawsuit" in outcome.sentence
    with pytest.raises(ConfigurationInvalid, match="has no hold"):
        lift_hold(site.setting(), "crm", "other", TWO)
    lift_hold(site.setting(), "crm", hold, TWO)
    oldest = site.place().state().points[0].snapshot
    add_hold(site.setting(), "crm", TWO, points=[oldest[:8]])
    expire(site.setting(), "crm")
    assert oldest in snapshots(site)
    assert len(snapshots(site)) == 4
    assert site.restored(oldest)


def test_a_hold_needs_two_people(site: Site) -> None:
    """Who asks for it does not approve it."""
    back_up_daily(site, 1)
    alone = TwoPeople(reason="x", requested_by="anna", approved_by="Anna")
    with pytest.raises(ConfigurationInvalid, match="four eyes"):
        add_hold(site.setting(), "crm", alone)


def test_a_hold_that_comes_meanwhile_is_stronger(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was planned before is refused by the ledger itself."""
    a_point_leaves(site)
    before = snapshots(site)
    planned = expire_module.plan_expiry

    def plan(state: DatasetState, terms: Terms) -> ExpiryPlan:
        made = planned(state, terms)
        add_hold(site.setting(), "crm", TWO)
        return made

    monkeypatch.setattr(expire_module, "plan_expiry", plan)
    outcome, _ = expire(site.setting(), "crm")
    assert "they are on hold: a lawsuit" in outcome.sentence
    assert snapshots(site) == before


def test_a_hold_is_kept_by_the_store_as_well(site: Site) -> None:
    """Nobody deletes what it covers, whatever lock dates say; what it does not cover goes."""
    site.vault_url = LOCKED
    back_up_daily(site, 4)
    oldest, *_ = site.place().state().points
    hold = add_hold(site.setting(), "crm", TWO, points=[oldest.snapshot]).details["hold"]
    site.wait(days=200)
    held = [info.name for info in site.memory.list() if is_held(site, info.name)]
    assert any(name.endswith(oldest.snapshot) for name in held)
    assert any("/data/" in name for name in held)
    assert any("/keys/" in name for name in held)
    outcome, plan = expire(site.setting(), "crm")
    assert outcome.details["expired"] == 1
    assert oldest.snapshot in {one.snapshot for one in plan.kept}
    lift_hold(site.setting(), "crm", hold, TWO)
    assert not any(is_held(site, info.name) for info in site.memory.list())
    outcome, _ = expire(site.setting(), "crm")
    assert "not yet gone: recovery points of" in outcome.sentence
    assert "is locked until" in outcome.sentence
    assert standing(site.setting(), "crm").verdict is Verdict.KEPT
    site.wait(days=14)
    expire(site.setting(), "crm")
    assert oldest.snapshot not in snapshots(site)


def is_held(site: Site, name: str) -> bool:
    """Whether the store has a file on hold."""
    return site.memory._file(name).on_hold


def test_a_hold_that_a_crash_has_left_on_files_keeps_nothing(site: Site) -> None:
    """The ledger knows of none: what has to go goes."""
    site.vault_url = LOCKED
    a_point_leaves(site)
    counting = Crashing(site.memory)
    rewind = site.rewinding()
    add_hold(site.setting(counting), "crm", TWO)
    last = max(n for n, change in enumerate(counting.changes, 1) if change.startswith("hold"))
    rewind()
    with pytest.raises(Crash):
        add_hold(site.setting(Crashing(site.memory, at=last, after=True)), "crm", TWO)
    assert site.place().state().holds == ()
    assert any(is_held(site, info.name) for info in site.memory.list())
    site.wait(days=1)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.details["expired"] >= 2, outcome.sentence


def test_a_shorter_retention_needs_two_people(site: Site) -> None:
    """By itself it shortens nothing that was promised; on their word it does."""
    back_up_daily(site, 5)
    site.policy_change = ("retention: 30 days", "retention: 10 days")
    site.wait(days=9)
    expire(site.setting(), "crm")
    assert len(snapshots(site)) == 5
    outcome = shorten(site.setting(), "crm", TWO)
    assert "5 recovery points that were promised more are kept for 10 days now" in outcome.sentence
    expire(site.setting(), "crm")
    assert len(snapshots(site)) == 2
    with pytest.raises(ConfigurationInvalid, match="was promised more"):
        shorten(site.setting(), "crm", TWO)
    site.place().ledger.verify()
