"""A copy in another vault is whole at every moment, and loses nothing but by a verdict."""

from __future__ import annotations

import base64
import copy
import random
import shutil
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions import copying, copying_data
from include.backup.actions import replicate as replicate_module
from include.backup.actions.acts import Act
from include.backup.actions.assess import assess
from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.choosing import Order
from include.backup.actions.configuration import keep_configuration
from include.backup.actions.erase import erase
from include.backup.actions.expire import expire
from include.backup.actions.hold import add_hold, lift_hold
from include.backup.actions.leaving import remove_departed
from include.backup.actions.open_acts import REPLICATE
from include.backup.actions.promote import promote
from include.backup.actions.replica import News, Pair
from include.backup.actions.replicas import findings_of
from include.backup.actions.replicate import replicate
from include.backup.actions.restore import restore
from include.backup.actions.review import review
from include.backup.actions.rotate_key import rotate_key
from include.backup.actions.two_people import TwoPeople
from include.backup.errors import (
    AccessRefused,
    ClockWrong,
    ConfigurationInvalid,
    DamageFound,
    FileHeld,
    LeaseLost,
    LedgerBroken,
    NotAReplica,
    RecordRefused,
    ReplicaDamaged,
    StorageUnreachable,
)
from include.backup.policy.model import Method
from include.backup.repository import lock
from include.backup.sources.directory import Directory
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.keyring import LocalKey
from include.backup.vault.leases import Lease
from tests.damage.site import Crash, Crashing, Site
from tests.damage.test_expiry import TWO, back_up_daily

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from include.backup.actions.setting import Setting


SECOND = "s3://second/vault"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait for the locks of others."""
    monkeypatch.setattr(lock, "_SETTLE_SECONDS", 0.0)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One dataset with a vault, and a second one that holds a replica."""
    made = Site(tmp_path)
    made.second = MemoryStorage(made.clock)
    return made


def files(storage: MemoryStorage) -> dict[str, bytes]:
    """What a vault holds of the dataset, but for who works on it."""
    names = [info.name for info in storage.list("datasets/crm/")]
    passing = ("/leases/", "/locks/", "/replica.json")
    return {name: storage.load(name) for name in names if not any(one in name for one in passing)}


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


class Lost:
    """A vault that nobody reaches any more."""

    url = "s3://memory/vault"
    restic_address = "s3:memory/vault"
    transport = "sent over nothing"

    def __getattr__(self, name: str) -> Callable[..., object]:
        def lost(*_: object, **__: object) -> object:
            raise StorageUnreachable("no answer")

        return lost


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


def a_generation_has_died(site: Site) -> None:
    """The second vault has a generation that is gone since, and lacks its successor."""
    back_up_daily(site, 3)
    replicate(site.setting(), "crm", "second")
    site.wait(days=40)
    back_up_daily(site, 3, method=Method.FULL)
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


def test_expiry_follows_verdicts_and_never_absence(site: Site) -> None:
    """A home that loses its snapshots takes none of the copy's; a verdict does."""
    back_up_daily(site, 5)
    replicate(site.setting(), "crm", "second")
    before = files(site.second)
    for name in [info.name for info in site.memory.list() if "/snapshots/" in info.name]:
        site.memory.delete([name])
    outcome = replicate(site.setting(), "crm", "second")
    assert {name for name in before if name not in files(site.second)} == set()
    assert outcome.ok
    site.wait(days=26)
    with pytest.raises(DamageFound):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert site.restored(replica="second") == site.content()


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


def test_what_happens_while_the_home_is_lost_is_recorded_later(site: Site) -> None:
    """The record of a restore from a replica waits on this machine, until somebody replicates."""
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    home, site.storage = site.storage, Lost()
    assert site.restored(replica="second") == site.content()
    site.storage = home
    replicate(site.setting(), "crm", "second")
    [restored] = [one for one in site.place().ledger.read() if one.kind == "restored"]
    assert restored.spooled is not None
    assert restored.body["vault"] == "second"


def test_a_replica_takes_no_backup(site: Site) -> None:
    """Who names it as the home without a promotion is refused: no ledger goes on in two vaults."""
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    before = files(site.second)
    site.moved = True
    with pytest.raises(RecordRefused, match="holds a replica, and was not promoted"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert files(site.second) == before


def test_a_promoted_vault_is_the_home(site: Site) -> None:
    """Backups go on there; the former home takes none, and becomes the replica."""
    back_up_daily(site, 2)
    outcome = promote(site.setting(), "crm", "second", TWO)
    assert outcome.sentence.startswith("KEPT 3.5 · critical/crm · s3://second/vault is its home")
    with pytest.raises(RecordRefused, match="goes on in s3://second/vault"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    site.moved = True
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "primary")
    assert files(site.second) == files(site.memory)
    assert promote(site.setting(), "crm", "primary", TWO).ok
    site.moved = False
    back_up_daily(site, 1)
    assert site.restored() == site.content()
    site.place().ledger.verify()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_promotion_that_dies_is_gone_on_with(site: Site, *, after: bool) -> None:
    """At no moment do two vaults take records; the next run ends it."""
    back_up_daily(site, 2)
    rewind = site.rewinding()
    counting = Crashing(site.memory)
    promote(site.setting(counting, Crashing(site.second, beside=counting)), "crm", "second", TWO)
    for at, change in enumerate(counting.changes, start=1):
        rewind()
        site.moved = False
        dying = Crashing(site.memory, at=at, after=after)
        there = Crashing(site.second, at=at, after=after, beside=dying)
        with pytest.raises(Crash):
            promote(site.setting(dying, there), "crm", "second", TWO)
        site.wait(minutes=31)
        assert promote(site.setting(), "crm", "second", TWO).ok, change
        site.moved = True
        back_up_daily(site, 1)
        assert replicate(site.setting(), "crm", "primary").ok, change
        assert files(site.second) == files(site.memory), change


def test_a_copy_is_read_with_the_glass_broken_too(site: Site, tmp_path: Path) -> None:
    """Without the home and without a signing key: its own ledger, or else its repositories tell."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    site.storage = Lost()  # type: ignore[assignment]
    setting = replace(site.setting(), break_glass="all is lost")
    order = Order(address="there", requested_by="tests", replica="second")
    assert restore(setting, "crm", Directory(tmp_path / "one"), order).ok
    assert site.content(tmp_path / "one") == site.content()
    assert site.second is not None
    site.second.delete([info.name for info in site.second.list("datasets/crm/ledger/")])
    outcome = restore(setting, "crm", Directory(tmp_path / "two"), order)
    assert "the ledger of crm cannot be believed" in outcome.sentence
    assert site.content(tmp_path / "two") == site.content()


def test_a_lost_home_is_replaced(site: Site) -> None:
    """On two people's word; what it had recorded last is told; if it comes back, it is told too."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    back_up_daily(site, 1)
    home, site.storage = site.storage, Lost()
    with pytest.raises(ConfigurationInvalid, match="cannot be gone on with"):
        promote(site.setting(), "crm", "second", TWO)
    outcome = promote(site.setting(), "crm", "second", TWO, lost=True)
    assert "of the former home lost, whatever they were about" in outcome.sentence
    site.storage = home
    with pytest.raises(LedgerBroken, match="no longer the home of crm: s3://second/vault"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    site.moved = True
    back_up_daily(site, 2)
    assert site.restored() == site.content()
    with pytest.raises(NotAReplica, match="two vaults have gone on"):
        replicate(site.setting(), "crm", "primary")
    site.place().ledger.verify()


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


def test_a_replica_that_locks(site: Site) -> None:
    """What has expired, and its own lock keeps, is told, tried again, and goes at last."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 5)
    replicate(site.setting(), "crm", "second")
    hold = add_hold(site.setting(), "crm", TWO).details["hold"]
    replicate(site.setting(), "crm", "second")
    snapshot = next(info.name for info in site.second.list() if "/snapshots/" in info.name)
    with pytest.raises(FileHeld):
        site.second.delete([snapshot])
    site.wait(days=27)
    replicate(site.setting(), "crm", "second")  # what is on hold is locked for longer
    lift_hold(site.setting(), "crm", hold, TWO)
    expire(site.setting(), "crm")
    outcome = replicate(site.setting(), "crm", "second")
    assert "not yet gone: recovery points of" in outcome.sentence
    assert "is locked until" in outcome.sentence
    before = len(list(site.second.list("datasets/crm/")))
    site.wait(days=15)
    expire(site.setting(), "crm")
    outcome = replicate(site.setting(), "crm", "second")
    assert "not yet gone" not in outcome.sentence
    assert len(list(site.second.list("datasets/crm/"))) < before + 10
    assert files(site.second) == files(site.memory)


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


def test_a_rotation_reaches_the_replica(site: Site) -> None:
    """It opens with the new key, and with no former one."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    old = LocalKey.of_text(site.keys["backup_master_key"])
    site.keys["backup_master_key"] = base64.b64encode(b"n" * 32).decode()
    rotate_key(site.setting(), "crm", old)
    replicate(site.setting(), "crm", "second")
    assert files(site.second) == files(site.memory)
    assert site.restored(replica="second") == site.content()


def test_what_is_erased_is_erased_in_every_copy(site: Site) -> None:
    """Its key first; the record of the replication says so."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    erase(site.setting(), "crm", TWO)
    outcome = replicate(site.setting(), "crm", "second")
    assert len(outcome.details["generations"]) == 1
    assert [name for name in files(site.second) if "/keys/" in name or "/data/" in name] == []


class WriteOnly:
    """A vault as who writes may use it: nothing is deleted but leases and locks."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def delete(self, names: Sequence[str], *, bypass_governance: bool = False) -> None:
        """See Storage."""
        if any("/leases/" not in name and "/locks/" not in name for name in names):
            raise AccessRefused(f"{names[0]}: no right")
        self._storage.delete(names, bypass_governance=bypass_governance)


def with_roles(site: Site) -> Callable[[], Setting]:
    """The second vault with a connection that writes, and one that may delete."""
    site.second_url = f"{SECOND}', connection: 'writer', expirer: 'expirer"
    roles = {"writer": WriteOnly(site.second), "expirer": site.second, "none": site.memory}
    return lambda: replace(site.setting(), open_storage=lambda vault: roles[vault.connection])


def spoil(site: Site, part: str) -> str:
    """Change one file of the copy, as no writer would."""
    name = next(info.name for info in site.second.list() if part in info.name)
    site.second.damage(name, b"wrong")
    return name


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


@pytest.mark.parametrize("how", ["begun anew", "rolled back"])
def test_a_home_that_is_another_one_keeps_nobody_from_the_copy(site: Site, how: str) -> None:
    """A strange machine, and a vault that was emptied, or put back to an older state."""
    back_up_daily(site, 1)
    older = copy.deepcopy(site.memory._names)
    site.wait(hours=1)
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    content = site.content()
    site.memory._names = older if how == "rolled back" else {}
    shutil.rmtree(site.folder / "state")
    with pytest.raises((NotAReplica, ConfigurationInvalid)):
        replicate(site.setting(), "crm", "second")
    if how == "begun anew":
        assert list(site.memory.list("datasets/crm/ledger/")) == []
        site.write(other="life")
        back_up_daily(site, 1)
    assert site.restored(replica="second") == content
    outcome = promote(site.setting(), "crm", "second", TWO, lost=True)
    assert "is its home from now on" in outcome.sentence
    site.moved = True
    back_up_daily(site, 1)
    assert site.restored() == site.content()


def test_a_stranger_restores_from_a_copy_alone(site: Site) -> None:
    """A configuration that names it as the vault: it is read, and nothing is added to it."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    before = files(site.second)
    shutil.rmtree(site.folder / "state")
    site.storage, site.moved = Lost(), True
    assert site.restored() == site.content()
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    with pytest.raises(RecordRefused, match="was not promoted"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert files(site.second) == before
    outcome = promote(site.setting(), "crm", "second", TWO, lost=True)
    assert "a vault that nobody names" in outcome.sentence
    back_up_daily(site, 1)


def test_a_home_that_moves_to_another_address_says_so(site: Site) -> None:
    """A promoted vault in a new place: read at once, written to on two people's word."""
    back_up_daily(site, 1)
    promote(site.setting(), "crm", "second", TWO)
    site.moved, site.second_url = True, "s3://elsewhere/vault', connection: 'none"
    assert site.restored() == site.content()
    with pytest.raises(RecordRefused):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert promote(site.setting(), "crm", "second", TWO).ok
    back_up_daily(site, 1)


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


def held_files(site: Site) -> int:
    """Files of the copy under a legal hold."""
    names = [info.name for info in site.second.list("datasets/crm/generations/")]
    return sum(site.second._file(name).on_hold for name in names)


def test_a_hold_reaches_the_copy_whenever_it_comes(site: Site) -> None:
    """While it is copied; and what is copied anew gets it as well."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 2)
    lock_of = replicate_module.lock_replica

    def meanwhile(*arguments: Any) -> Any:
        add_hold(site.setting(), "crm", TWO)
        return lock_of(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicate_module, "lock_replica", meanwhile)
        replicate(site.setting(), "crm", "second")
    assert held_files(site) == 0
    replicate(site.setting(), "crm", "second")
    assert held_files(site) > 5
    before = held_files(site)
    site.second._names.clear()
    replicate(site.setting(), "crm", "second")
    assert held_files(site) == before


def test_the_end_of_one_hold_leaves_the_others_on_the_packs(site: Site) -> None:
    """Two points of a generation on hold; one is freed, and leaves alone."""
    site.second_options = ", object_lock: 'governance'"
    back_up_daily(site, 5)
    first, second = (point.snapshot for point in site.place().state().points[:2])
    add_hold(site.setting(), "crm", TWO, points=[second])
    hold = add_hold(site.setting(), "crm", TWO, points=[first]).details["hold"]
    replicate(site.setting(), "crm", "second")
    packs = [info.name for info in site.second.list() if "/data/" in info.name]
    lift_hold(site.setting(), "crm", hold, TWO)
    for _ in range(3):
        site.wait(days=16)
        expire(site.setting(), "crm")
        replicate(site.setting(), "crm", "second")
    names = {info.name.rpartition("/")[2] for info in site.second.list()}
    assert first not in names
    assert second in names
    assert all(site.second._file(name).on_hold for name in packs)


def test_a_home_that_takes_no_record_keeps_nobody_from_the_copy(site: Site) -> None:
    """It can be read, and not be written to: a restore goes on, and so does who gives it up."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")

    class ReadOnly(WriteOnly):
        def save(self, name: str, *_: Any, **__: Any) -> None:
            raise AccessRefused(f"{name}: read-only")

    home, site.storage = site.storage, ReadOnly(site.memory)
    assert site.restored(replica="second") == site.content()
    with pytest.raises(AccessRefused):
        promote(site.setting(), "crm", "second", TWO)
    assert promote(site.setting(), "crm", "second", TWO, lost=True).ok
    site.storage, site.moved = home, True
    back_up_daily(site, 1)


def test_damage_in_a_copy_is_never_the_homes(site: Site) -> None:
    """Not even where only the mark of a removal is left."""
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    name = next(info.name for info in site.second.list() if info.name.endswith("/config"))
    site.second.delete([name])
    assert replicate(site.setting(), "crm", "second").ok
    assert not any(one.damaged for one in site.place().state().generations)


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


def test_nobody_promotes_the_staler_of_two(site: Site) -> None:
    """Nor a second vault once a first was promoted."""
    back_up_daily(site, 1)
    third = MemoryStorage(site.clock)

    def setting() -> Setting:
        made = site.setting()
        vault = replace(made.datasets.vaults["second"], name="third", url="s3://third/vault")
        crm = replace(made.datasets.good["crm"], replicas=("second", "third"))
        datasets = replace(
            made.datasets,
            vaults={**made.datasets.vaults, "third": vault},
            good={"crm": crm},
        )
        usual = made.open_storage
        return replace(
            made,
            datasets=datasets,
            open_storage=lambda one: third if one.name == "third" else usual(one),
        )

    replicate(setting(), "crm", "third")
    back_up_daily(site, 1)
    replicate(setting(), "crm", "second")
    site.storage = Lost()
    with pytest.raises(ConfigurationInvalid, match="hint: promote second"):
        promote(setting(), "crm", "third", TWO, lost=True)
    promote(setting(), "crm", "second", TWO, lost=True)
    with pytest.raises(ConfigurationInvalid, match="s3://second/vault was promoted already"):
        promote(setting(), "crm", "third", TWO, lost=True)


def test_a_long_outage_is_not_forgotten(site: Site) -> None:
    """How old the newest copy there has ever been, though what it held has expired at home."""
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    back_up_daily(site, 45)
    expire(site.setting(), "crm")
    replicate(site.setting(), "crm", "second")
    assert site.place().state().replica(SECOND).greatest_age > timedelta(days=45)


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


def test_whatever_is_copied_is_locked_as_long_as_it_must(site: Site) -> None:
    """Snapshots until they expire, records as evidence; a longer retention reaches both."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 2)
    dying = Crashing(site.memory, at=20)
    there = Crashing(site.second, at=20, beside=dying)
    with pytest.raises(Crash):
        replicate(site.setting(dying, there), "crm", "second")
    site.wait(minutes=31)
    site.policy_change = ("retention: 30 days", "retention: 45 days")
    replicate(site.setting(), "crm", "second")
    expire(site.setting(), "crm")
    replicate(site.setting(), "crm", "second")
    state = site.place().state()
    kept = {point.snapshot: point.expires_at for point in state.points}
    assert {date - point.taken_at for point, date in zip(state.points, kept.values(), strict=True)
            } == {timedelta(days=45)}  # fmt: skip
    last = state.generations[0].closes_at + timedelta(days=45)
    for info in site.second.list("datasets/crm/"):
        until = site.second.locked_until(info.name)
        if any(part in info.name for part in ("/leases/", "/locks/", "/replica.json")):
            assert until is None
            continue
        assert until is not None, info.name
        if "/snapshots/" in info.name:
            assert until == kept[info.name[-64:]], info.name
        elif "/ledger/" in info.name:
            assert until > site.now + timedelta(days=1000)
        else:
            assert until >= last, info.name


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_a_longer_retention_reaches_the_locks_after_any_run(site: Site, runs: int) -> None:
    """The dates that a replica's locks have are known from run to run."""
    site.second_options = ", object_lock: 'compliance'"
    for _ in range(runs):
        back_up_daily(site, 1)
        replicate(site.setting(), "crm", "second")
    [known] = site.place().state().replicas
    assert len(known.locked_until) == 1
    site.policy_change = ("retention: 30 days", "retention: 45 days")
    site.wait(days=29)
    expire(site.setting(), "crm")
    replicate(site.setting(), "crm", "second")
    kept = max(point.expires_at for point in site.place().state().points)
    for info in site.second.list("datasets/crm/"):
        if "/keys/" in info.name or "/data/" in info.name or "/index/" in info.name:
            until = site.second.locked_until(info.name)
            assert until is not None
            assert until >= kept
    for point in site.place().state().points:
        [name] = [one.name for one in site.second.list() if one.name.endswith(point.snapshot)]
        assert site.second.locked_until(name) == point.expires_at


def test_what_was_on_hold_and_dies_whole_goes_from_the_copy(site: Site) -> None:
    """The hold was lifted: what it left on snapshots of the copy keeps no dead generation."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 3)
    replicate(site.setting(), "crm", "second")
    old = site.place().state().generations[0].id
    hold = add_hold(site.setting(), "crm", TWO).details["hold"]
    replicate(site.setting(), "crm", "second")
    lift_hold(site.setting(), "crm", hold, TWO)
    site.wait(days=100)
    back_up_daily(site, 3, method=Method.FULL)
    for _ in range(2):
        expire(site.setting(), "crm")
        outcome = replicate(site.setting(), "crm", "second")
        site.wait(days=15)
    assert "not yet gone" not in outcome.sentence
    assert not [info for info in site.second.list() if old in info.name]


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


def test_a_snapshot_is_locked_by_its_first_request(site: Site) -> None:
    """Not by a later one: between the two somebody could delete it."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 1)
    point = site.place().state().points[0]
    saved: dict[str, datetime | None] = {}
    save = site.second.save

    def noted(name: str, data: bytes, **more: Any) -> None:
        saved[name] = more.get("locked_until")
        save(name, data, **more)

    site.second.save = noted  # type: ignore[method-assign,assignment]
    replicate(site.setting(), "crm", "second")
    [until] = [date for name, date in saved.items() if f"/snapshots/{point.snapshot}" in name]
    assert until == point.expires_at


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


def test_a_record_that_is_older_than_its_lock_is_copied(site: Site) -> None:
    """A store refuses lock dates of the past: a copy begun after years would never be made."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 1)
    old = len(list(site.place().ledger.read()))
    site.wait(days=1)
    setting = site.setting()
    brief = replace(setting, policy=replace(setting.policy, evidence_retention=timedelta(hours=1)))
    replicate(brief, "crm", "second")
    dates = [
        site.second.locked_until(info.name) for info in site.second.list("datasets/crm/ledger/")
    ]
    assert dates[:old] == [None] * old
    assert all(date is not None and date > site.now for date in dates[old:])
    assert dates[old:]


def test_a_wrong_clock_locks_nothing_in_a_copy(site: Site) -> None:
    """In compliance nobody could take it back."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 1)
    setting = site.setting()
    object.__setattr__(setting, "clock", lambda: site.clock() + timedelta(days=3650))
    with pytest.raises(ClockWrong):
        replicate(setting, "crm", "second")
    assert not [info.name for info in site.second.list() if "/generations/" in info.name]


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


def test_a_former_envelope_goes_only_when_the_new_one_is_there(site: Site) -> None:
    """A run between the two would leave a copy that nobody opens."""
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    pair = Pair.of(site.place(), "second")
    state = site.place().state()
    generation = replace(state.generations[0], key="ab" * 8)  # the ledger names another one
    other = replace(state, generations=(generation,))
    site.memory.delete([next(i.name for i in site.memory.list("datasets/crm/keys/"))])
    before = files(site.second)
    remove_departed(pair, other, News(), go_on=lambda: None)
    assert files(site.second) == before


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


def test_a_promotion_needs_two_people(site: Site) -> None:
    """Who asks for it does not approve it."""
    back_up_daily(site, 1)
    alone = TwoPeople(reason="x", requested_by="anna", approved_by="Anna")
    with pytest.raises(ConfigurationInvalid, match="four eyes"):
        promote(site.setting(), "crm", "second", alone)


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
