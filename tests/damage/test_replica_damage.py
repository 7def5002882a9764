"""What is damaged, emptied or strange in a copy, and who mends it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.assess import assess
from include.backup.actions.check import Reading, check
from include.backup.actions.replicate import replicate
from include.backup.errors import LedgerBroken, NotAReplica, ReplicaDamaged
from include.backup.policy.model import Method
from tests.damage.expiring import back_up_daily
from tests.damage.replicas import SECOND, Lost, files, site, spoil, with_roles
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["site"]


def test_a_home_that_is_emptied_takes_no_copy_with_it(site: Site) -> None:
    """Nothing is copied from it, and nothing removed: what this machine has seen is not there."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    before = files(site.second)
    site.memory._names.clear()
    with pytest.raises(LedgerBroken, match="had"):
        replicate(site.setting(), "crm", "second")
    assert files(site.second) == before
    assert site.restored(replica="second") == site.content()


def test_another_dataset_of_that_name_is_no_replica(site: Site, tmp_path: Path) -> None:
    """Its ledger is another one: nothing of it is touched."""
    other = Site(tmp_path / "other", site.second)
    other.memory = site.second
    back_up_daily(other, 1)
    before = files(site.second)
    back_up_daily(site, 1)
    with pytest.raises(NotAReplica, match="another one than at home"):
        replicate(site.setting(), "crm", "second")
    assert files(site.second) == before


def test_what_is_damaged_at_home_is_not_copied(site: Site) -> None:
    """It is named, and the home's next backup is a full; what the copy has stays whole."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    site.write(more=b"x" * 3000)
    back_up_daily(site, 1)
    known = {info.name for info in site.second.list()}
    new = [i.name for i in site.memory.list() if "/data/" in i.name and i.name not in known]
    site.memory.damage(new[0], b"wrong")
    outcome = replicate(site.setting(), "crm", "second")
    assert outcome.sentence.startswith("AT RISK 3.5")
    assert "is not what its name says" in outcome.sentence
    state = site.place().state()
    assert [generation.damaged for generation in state.generations] == [True]
    assert len(state.replica(SECOND).behind(state.points)) == 1
    site.storage = Lost()
    assert check(site.setting(), "crm", reading=Reading.ALL, replica="second")[1] == []


def test_a_damaged_copy_is_mended(site: Site) -> None:
    """A check names it; the home is whole, and the next run copies anew what is wrong."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    pack = next(info.name for info in site.second.list() if "/data/" in info.name)
    site.second.damage(pack, b"wrong")
    damages = check(site.setting(), "crm", reading=Reading.ALL, replica="second")[1]
    assert len(damages) >= 1
    state = site.place().state()
    assert not any(generation.damaged for generation in state.generations)
    assert len(state.replica(SECOND).behind(state.points)) == 2
    assert replicate(site.setting(), "crm", "second").ok
    assert check(site.setting(), "crm", reading=Reading.ALL, replica="second")[1] == []
    state = site.place().state()
    assert state.replica(SECOND).behind(state.points) == []


@pytest.mark.parametrize("part", ["/data/", "/index/", "/snapshots/", "/config", "crm/keys/"])
def test_whatever_is_damaged_in_a_copy_is_mended_by_who_may_delete(site: Site, part: str) -> None:
    """The writer may not; the home is whole, and nothing of it is marked."""
    setting = with_roles(site)
    back_up_daily(site, 2)
    replicate(setting(), "crm", "second")
    spoil(site, part)
    for _ in range(2):  # what no check has found, the first run finds
        outcome = replicate(setting(), "crm", "second")
        check(setting(), "crm", reading=Reading.ALL, replica="second")
    outcome = replicate(setting(), "crm", "second")
    assert not outcome.details["unmet"], outcome.sentence
    assert {name: data for name, data in files(site.second).items() if "/ledger/" not in name} == {
        name: data for name, data in files(site.memory).items() if "/ledger/" not in name
    }
    assert not any(one.damaged for one in site.place().state().generations)


def test_a_locked_damage_keeps_nothing_else_back(site: Site) -> None:
    """It is named until the lock ends; a new full is copied whole."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    spoil(site, "/data/")
    check(site.setting(), "crm", reading=Reading.ALL, replica="second")
    back_up_daily(site, 1, method=Method.FULL)
    outcome = replicate(site.setting(), "crm", "second")
    assert outcome.sentence.startswith("AT RISK 3.5")
    assert "is locked until" in outcome.sentence
    replica = site.place().state().replica(SECOND)
    assert [replica.has(point) for point in site.place().state().points] == [False, False, True]
    assert site.restored(replica="second") == site.content()


def test_a_copy_that_somebody_emptied_counts_no_more(site: Site) -> None:
    """Not while it is filled again, whatever dies then; and the record says that it had gone."""
    site.home_options, site.second_options = ", offsite: false", ", offsite: true"
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    site.second._names.clear()
    home = Crashing(site.memory)
    there = Crashing(site.second, at=9, beside=home)
    home._at = 9
    with pytest.raises(Crash):
        replicate(site.setting(home, there), "crm", "second")
    site.wait(minutes=31)
    assert len(site.place().state().replica(SECOND).behind(site.place().state().points)) == 2
    outcome = replicate(site.setting(), "crm", "second")
    site.second_url = "s3://other/vault', connection: 'none"
    assert assess(site.setting())[0].replicas[0].held == 0
    site.second_url = f"{SECOND}', connection: 'none"
    assert assess(site.setting())[0].replicas[0].held == 2
    assert outcome.ok


def test_an_emptied_copy_is_told(site: Site) -> None:
    """What had gone is named, though all of it is there again."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    site.second._names.clear()
    outcome = replicate(site.setting(), "crm", "second")
    assert "2 recovery points of 20261124T010000Z had gone from the copy" in outcome.sentence
    assert outcome.details["unmet"]
    assert not replicate(site.setting(), "crm", "second").details["unmet"]


def test_damage_in_a_copy_is_never_the_homes(site: Site) -> None:
    """Not even where only the mark of a removal is left."""
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    name = next(info.name for info in site.second.list() if info.name.endswith("/config"))
    site.second.delete([name])
    assert replicate(site.setting(), "crm", "second").ok
    assert not any(one.damaged for one in site.place().state().generations)


def test_each_pack_of_a_copy_is_read_again_within_a_quarter(site: Site) -> None:
    """Without a check, and without a key: what rots there is named, and mended."""
    site.write(**{f"big{number}": random.Random(number).randbytes(3000) for number in range(9)})
    back_up_daily(site, 1)
    site.policy_change = ("retention: 30 days", "retention: 200 days")
    replicate(site.setting(), "crm", "second")
    name = next(info.name for info in site.second.list() if "/data/" in info.name)
    site.second.damage(name, site.second.load(name)[:-1] + b"x")
    for _day in range(84):
        outcome = replicate(site.setting(), "crm", "second")
        if outcome.details["unmet"]:
            break
        site.wait(days=1)
    assert "is not what its name says" in outcome.sentence
    assert not replicate(site.setting(), "crm", "second").details["unmet"]
    assert check(site.setting(), "crm", reading=Reading.ALL, replica="second")[1] == []


def test_a_record_of_another_chain_is_not_copied(site: Site, tmp_path: Path) -> None:
    """Signed by the same key, of the same number, and another vault's: the chain shows it."""
    back_up_daily(site, 1)
    other = Site(tmp_path / "other")
    other.wait(hours=5)
    other.write(z="z")
    back_up_daily(other, 1)
    name = "datasets/crm/ledger/0000000002.json"
    site.memory.damage(name, other.memory.load(name))
    with pytest.raises(LedgerBroken):
        replicate(site.setting(), "crm", "second")
    assert name not in {info.name for info in site.second.list()}


def test_a_pack_that_was_cut_is_named_by_the_next_run(site: Site) -> None:
    """A listing shows its size; nobody waits for the day on which it is read."""
    site.write(a="a" * 5000)
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    name = next(info.name for info in site.second.list() if "/data/" in info.name)
    site.second.damage(name, site.second.load(name)[:-1])
    outcome = replicate(site.setting(), "crm", "second")
    assert "bytes, and" in outcome.sentence
    assert name in outcome.sentence


def test_what_nobody_knows_in_another_vault_is_not_taken_for_a_copy(site: Site) -> None:
    """Generations without a ledger, and those that no record names."""
    back_up_daily(site, 1)
    site.second.save("datasets/crm/generations/20200101T000000Z/config", b"of somebody")
    with pytest.raises(NotAReplica, match="20200101T000000Z"):
        replicate(site.setting(), "crm", "second")
    site.second.delete(["datasets/crm/generations/20200101T000000Z/config"])
    replicate(site.setting(), "crm", "second")
    site.second.save("datasets/crm/generations/20200101T000000Z/config", b"of somebody")
    outcome = replicate(site.setting(), "crm", "second")
    assert "it holds what no ledger names, left alone: 20200101T000000Z" in outcome.sentence


def test_a_check_of_a_copy_is_no_read_of_the_home(site: Site) -> None:
    """Nor does it say anything of the home's ledger; a damaged record of the copy is named."""
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    check(site.setting(), "crm", reading=Reading.ALL, replica="second")
    assert site.place().state().generations[0].reads == ()
    name = "datasets/crm/ledger/0000000002.json"
    site.second.damage(name, site.second.load(name).replace(b"crm", b"crn", 1))
    with pytest.raises(ReplicaDamaged, match="in s3://second/vault: record 2 of crm"):
        check(site.setting(), "crm", reading=Reading.NOTHING, replica="second")
