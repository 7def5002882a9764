"""A home that is lost, moves or is another one: two people let its copy take over, or it waits."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.choosing import Order
from include.backup.actions.expire import expire
from include.backup.actions.promote import promote
from include.backup.actions.replicate import replicate
from include.backup.actions.restore import restore
from include.backup.actions.two_people import TwoPeople
from include.backup.errors import (
    AccessRefused,
    ConfigurationInvalid,
    LedgerBroken,
    NotAReplica,
    RecordRefused,
)
from include.backup.policy.model import Method
from include.backup.sources.directory import Directory
from include.backup.storage.memory import MemoryStorage
from tests.damage.expiring import TWO, back_up_daily
from tests.damage.replicas import SECOND, Lost, WriteOnly, files, site
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.setting import Setting

__all__ = ["site"]


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


def test_a_promotion_needs_two_people(site: Site) -> None:
    """Who asks for it does not approve it."""
    back_up_daily(site, 1)
    alone = TwoPeople(reason="x", requested_by="anna", approved_by="Anna")
    with pytest.raises(ConfigurationInvalid, match="four eyes"):
        promote(site.setting(), "crm", "second", alone)
