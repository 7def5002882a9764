"""A copy in another vault is whole at every moment, and loses nothing but by a verdict."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions import copying, copying_data
from include.backup.actions.acts import Act
from include.backup.actions.assess import assess
from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.configuration import keep_configuration
from include.backup.actions.expire import expire
from include.backup.actions.open_acts import REPLICATE
from include.backup.actions.promote import promote
from include.backup.actions.replicas import findings_of
from include.backup.actions.replicate import replicate
from include.backup.actions.review import review
from include.backup.errors import LeaseLost
from include.backup.policy.model import Method
from include.backup.vault.leases import Lease
from tests.damage.expiring import TWO, back_up_daily
from tests.damage.replicas import SECOND, Lost, a_generation_has_died, files, site
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["site"]


def test_a_replica_is_the_same_vault(site: Site, restic: Callable[..., str]) -> None:
    """File for file; it restores by us, and by stock restic; a second run copies nothing."""
    back_up_daily(site, 3)
    outcome = replicate(site.setting(), "crm", "second")
    assert outcome.sentence.startswith("NOT TESTED 3.5 · critical/crm · replica in s3://second")
    assert files(site.second) == files(site.memory)
    assert site.restored(replica="second") == site.content()
    again = replicate(site.setting(), "crm", "second")
    assert "nothing was to be copied" in again.sentence
    state = site.place().state()
    assert state.replica(SECOND).behind(state.points) == []


def nothing_yet(site: Site) -> None:
    """Three recovery points, and an empty second vault."""
    back_up_daily(site, 3)


def points_have_left(site: Site) -> None:
    """The second vault has recovery points that have expired since, and lacks new ones."""
    back_up_daily(site, 5)
    replicate(site.setting(), "crm", "second")
    site.wait(days=26)
    back_up_daily(site, 1, method=Method.INCREMENTAL)
    expire(site.setting(), "crm")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scene", [nothing_yet, points_have_left, a_generation_has_died])
def test_crash_at_every_change(
    scene: Callable[[Site], None], site: Site, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """What the copy names is whole, also with the home lost; the next run ends what was begun."""
    scene(site)
    rewind = site.rewinding()
    counting = Crashing(site.memory)
    beside = Crashing(site.second, beside=counting)
    replicate(site.setting(counting, beside), "crm", "second")
    wanted = files(site.memory)
    assert len(counting.changes) > 12
    for at, change in enumerate(counting.changes, start=1):
        rewind()
        dying = Crashing(site.memory, at=at, after=after)
        there = Crashing(site.second, at=at, after=after, beside=dying)
        with pytest.raises(Crash):
            replicate(site.setting(dying, there), "crm", "second")
        site.wait(minutes=31)  # the leases of the dead are over then
        home, site.storage = site.storage, Lost()
        if any("/ledger/" in info.name for info in site.second.list()):
            outcome, damages = check(site.setting(), "crm", reading=Reading.ALL, replica="second")
            assert damages == [], change
            assert "waits in the spool" in outcome.sentence
        site.storage = home
        outcome = replicate(site.setting(), "crm", "second")
        assert outcome.ok, f"{change}: {outcome.sentence}"
        state = site.place().state()
        assert state.acts == (), change
        held = files(site.second)
        assert {name: held[name] for name in wanted if "/ledger/" not in name} == {
            name: data for name, data in wanted.items() if "/ledger/" not in name
        }, change
        assert files(site.second) == files(site.memory), change
        assert site.restored(replica="second") == site.content(), change


def test_what_expires_while_it_is_copied(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generation that dies, and points that leave, are not needed any more: no damage."""
    a_generation_has_died_but_for_its_end(site)
    copy = copying.copy_generation
    expired = []

    def slowly(route: copying.Route, *, mend: bool = False) -> copying.Copied:
        if not expired:
            expired.append(expire(site.setting(), "crm")[0])
        return copy(route, mend=mend)

    monkeypatch.setattr(copying_data, "copy_generation", slowly)
    outcome = replicate(site.setting(), "crm", "second")
    assert expired[0].details["generations"]
    assert not outcome.details["unmet"], outcome.sentence
    assert not any(one.damaged for one in site.place().state().generations)
    monkeypatch.undo()
    replicate(site.setting(), "crm", "second")
    assert files(site.second) == files(site.memory)


def a_generation_has_died_but_for_its_end(site: Site) -> None:
    """Everything of the first of two generations has expired, and lies there still."""
    back_up_daily(site, 3)
    site.wait(days=40)
    back_up_daily(site, 3, method=Method.FULL)


def test_only_what_is_offsite_counts(site: Site) -> None:
    """A copy beside the data keeps no objective, unless somebody waives it; one elsewhere does."""
    site.home_options, site.second_options = ", offsite: false", ", offsite: true"
    back_up_daily(site, 1)

    def verdict() -> str:
        return str(assess(site.setting())[0].row.verdict)

    site.wait(days=2)
    assert verdict() == "BROKEN"
    back_up_daily(site, 1)
    assert verdict() == "BROKEN"
    outcome = replicate(site.setting(), "crm", "second")
    assert outcome.sentence.startswith("KEPT 3.5")
    assert verdict() != "BROKEN"
    site.wait(days=3)
    back_up_daily(site, 1)
    assert verdict() == "BROKEN"
    site.second_options = ", offsite: false"
    assert verdict() == "BROKEN"
    site.waiver = "offsite_waiver: {reason: a move, by: cto, until: 2027-01-01}\n"
    assert verdict() != "BROKEN"
    assert any("a move" in line for line in findings_of(site.setting(), site.now))
    site.wait(days=60)
    assert verdict() == "BROKEN"
    site.waiver = site.home_options = site.second_options = ""
    assert any("nobody says" in line for line in findings_of(site.setting(), site.now))


def test_a_third_vault_does_not_stop_a_replication(site: Site) -> None:
    """The policy lies in the first one; that can be copied another day."""
    back_up_daily(site, 1)
    promote(site.setting(), "crm", "second", TWO)
    site.moved = True
    setting = site.setting()
    vaults = dict(reversed(setting.datasets.vaults.items()))
    third = replace(setting.datasets.vaults["primary"], name="third", url="s3://third/vault")
    datasets = replace(setting.datasets, vaults={"third": third, **vaults})
    usual = setting.open_storage
    setting = replace(
        setting,
        datasets=datasets,
        open_storage=lambda vault: Lost() if vault.name == "third" else usual(vault),
    )
    assert replicate(setting, "crm", "primary").ok


def test_what_is_begun_while_it_is_listed_is_copied_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup between two listings: no index without its packs, no record without its data."""
    back_up_daily(site, 1)
    listed = copying._listed

    def slowly(storage: Any, prefix: str) -> dict[str, int]:
        found = listed(storage, prefix)
        if "memory" in storage.url and prefix in {"index/", "data/"} and len(done) < 2:
            done.append(prefix)
            site.write(**{f"new{len(done)}": random.Random(len(done)).randbytes(2000)})
            back_up(site.setting(), "crm", method=Method.INCREMENTAL)
        return found

    done: list[str] = []
    monkeypatch.setattr(copying, "_listed", slowly)
    replicate(site.setting(), "crm", "second")
    monkeypatch.undo()
    assert done == ["index/", "data/"]
    home, site.storage = site.storage, Lost()
    assert check(site.setting(), "crm", reading=Reading.ALL, replica="second")[1] == []
    assert len(site.restored(replica="second")) == 1  # the others came later
    site.storage = home
    replicate(site.setting(), "crm", "second")
    assert site.restored(replica="second") == site.content()


@pytest.mark.parametrize("where", ["home", "copy"])
def test_two_replicators_do_not_meet(site: Site, where: str) -> None:
    """The second says so; a run that lost its lease stops before it saves anything more."""
    back_up_daily(site, 1)
    folder = site.place().folder if where == "home" else site.place().as_replica("second").folder
    act = Act(site.place(), REPLICATE)
    with Lease.acquire(folder, REPLICATE, owner=act.owner, now=site.now):
        outcome = replicate(site.setting(), "crm", "second")
    assert outcome.kind == "refused"
    assert "it is being replicated to second already" in outcome.sentence
    replicate(site.setting(), "crm", "second")


def test_a_run_that_lost_its_lease_copies_nothing_more(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept; another one has gone on with it."""
    back_up_daily(site, 1)
    monkeypatch.setattr(Lease, "over", property(lambda _: "another run has taken over"))
    with pytest.raises(LeaseLost):
        replicate(site.setting(), "crm", "second")
    assert not [info.name for info in site.second.list() if "/data/" in info.name]


def test_reports_and_policies_are_in_the_copy_as_well(site: Site) -> None:
    """Whoever has the copy alone shows an auditor what was proved, under which promises."""
    back_up_daily(site, 1)
    site.memory.save("datasets/crm/reports/0123456789abcdef.json", b"{}")
    setting = site.setting()
    keep_configuration(setting, setting.datasets.vaults["primary"], site.memory)
    review(site.setting(), by="Ada", note="fine")
    replicate(site.setting(), "crm", "second")
    names = {info.name for info in site.second.list()}
    wanted = {info.name for info in site.memory.list() if "/reports/" in info.name}
    wanted |= {info.name for info in site.memory.list("policy/")}
    assert len(wanted) >= 4
    assert wanted <= names
