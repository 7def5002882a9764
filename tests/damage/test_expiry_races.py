"""An expiry beside whatever else happens to the same vault."""

from __future__ import annotations

import pytest

from include.backup.actions import check as check_module
from include.backup.actions import expire as expire_module
from include.backup.actions import generation as generation_module
from include.backup.actions.acts import Act, lock_owner
from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.expire import expire, plan_of
from include.backup.actions.kept import standing
from include.backup.actions.open_acts import EXPIRE, RESTORE
from include.backup.policy.model import Method
from include.backup.policy.objectives import Verdict
from include.backup.repository import lock
from include.backup.vault.fold import BACK_UP
from include.backup.vault.leases import Lease
from tests.damage.expiring import (
    a_generation_dies,
    a_point_leaves,
    back_up_daily,
    generations,
    site,
    snapshots,
)
from tests.damage.site import Crash, Crashing, Site

__all__ = ["site"]


def test_two_runs_at_once(site: Site) -> None:
    """The second says who is at it, and touches nothing."""
    a_point_leaves(site)
    before = snapshots(site)
    place = site.place()
    act = Act(place, EXPIRE)
    with Lease.acquire(place.folder, EXPIRE, owner=act.owner, now=act.now()):
        outcome, _ = expire(site.setting(), "crm")
    assert outcome.kind == "refused"
    assert "is being removed: already running since" in outcome.sentence
    assert snapshots(site) == before
    expire(site.setting(), "crm")
    assert snapshots(site) != before


def test_a_check_beside_an_expiry_condemns_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points leave while it reads, for it takes longer than a day: they are not damage."""
    back_up_daily(site, 5)
    site.wait(days=26)
    packs = check_module.check_packs

    def meanwhile(*args: object) -> object:
        site.wait(days=2)
        expire(site.setting(), "crm")
        return packs(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(check_module, "check_packs", meanwhile)
    _, damages = check(site.setting(), "crm", reading=Reading.ALL)
    assert damages == []
    assert len(snapshots(site)) == 2
    assert not any(one.damaged for one in site.place().state().generations)


def test_an_incremental_beside_an_expiry_condemns_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan knows points that have left meanwhile; nor does it adopt them."""
    a_point_leaves(site)
    require = generation_module.require_packs

    def meanwhile(*args: object) -> None:
        expire(site.setting(), "crm")
        require(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(generation_module, "require_packs", meanwhile)
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert outcome.kind == "recovery-point", outcome.sentence
    state = site.place().state()
    assert len(state.points) == 4
    assert {point.snapshot for point in state.points} == snapshots(site)


def test_whoever_reads_finds_it_to_the_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that begins after the plan is stronger than the plan."""
    a_generation_dies(site)
    before = snapshots(site)
    planned = expire_module.plan_expiry

    def plan(*args: object) -> object:
        made = planned(*args)  # type: ignore[arg-type]
        Act(site.place(), RESTORE).begin()
        return made

    monkeypatch.setattr(expire_module, "plan_expiry", plan)
    outcome, _ = expire(site.setting(), "crm")
    assert "somebody is reading since" in outcome.sentence
    assert snapshots(site) == before
    site.wait(hours=6)
    assert set(site.place().state().left) == before - planned_kept(site)
    assert standing(site.setting(), "crm").verdict is Verdict.BROKEN
    monkeypatch.undo()
    site.wait(days=2)
    expire(site.setting(), "crm")
    assert snapshots(site) < before
    assert standing(site.setting(), "crm").verdict is Verdict.KEPT


def planned_kept(site: Site) -> set[str]:
    """The snapshots that a plan keeps now."""
    return {one.snapshot for one in plan_of(site.setting(), "crm")[1].kept}


def test_what_a_zombie_writes_into_a_dead_generation_goes(site: Site) -> None:
    """The next run finds it."""
    a_generation_dies(site)
    old, new = [one.id for one in site.place().state().generations]
    expire(site.setting(), "crm")
    site.memory.save(f"datasets/crm/generations/{old}/data/ab/{'ab' * 32}", b"late")
    assert generations(site) == {old, new}
    expire(site.setting(), "crm")
    assert generations(site) == {new}


def test_a_lock_that_a_dead_act_has_left_goes(site: Site) -> None:
    """Nobody adds to its generation any more; the locks of others, and of who works, stay."""
    back_up_daily(site, 1)
    back_up_daily(site, 1, method=Method.FULL)
    place = site.place()
    older = place.repository(place.state().generations[0])

    def left_by(owner: str) -> str:
        return lock.RepositoryLock(older, owner=owner, clock=site.clock)._save()

    working = Act(place, BACK_UP, method=Method.INCREMENTAL)
    with Lease.acquire(place.folder, Method.INCREMENTAL, owner=working.owner, now=working.now()):
        working.begin()
        left_by(lock_owner(place, "dead"))
        others = {left_by("laptop"), left_by(working.lock_owner)}
        expire(site.setting(), "crm")
    assert {name for name, _ in lock.locks(older)} == others


def test_an_interrupted_expiry_is_told_as_one(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What it had begun is gone on with."""
    a_generation_dies(site)
    with pytest.raises(Crash):
        expire(site.setting(Crashing(site.memory, at=6)), "crm")
    site.wait(minutes=31)
    expire(site.setting(), "crm")
    assert "the expiry begun" in caplog.text
    assert "goes on with what it had begun, and removes nothing else" in caplog.text
