"""Another master key, and none at all: whatever dies on the way, one of two keys opens all."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.acts import Act
from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.erase import erase
from include.backup.actions.hold import add_hold
from include.backup.actions.open_acts import EXPIRE, ROTATE
from include.backup.actions.outcome import sentence_of
from include.backup.actions.rotate_key import _remove_old, rotate_key
from include.backup.actions.two_people import TwoPeople
from include.backup.errors import ConfigurationInvalid, KeyUnusable, RecordRefused
from include.backup.policy.model import Method
from include.backup.vault.keyring import LocalKey
from include.backup.vault.leases import Lease
from tests.damage.expiring import LOCKED, back_up_daily, generations, snapshots
from tests.damage.site import MASTER_KEY, Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

OLD = LocalKey.of_text(MASTER_KEY)
NEW_TEXT = base64.b64encode(b"n" * 32).decode()
TWO = TwoPeople(reason="the customer left", requested_by="anna", approved_by="bob")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two generations, and the key that is to be configured next."""
    site = Site(tmp_path)
    back_up_daily(site, 2)
    back_up_daily(site, 2, method=Method.FULL)
    return site


def envelopes(site: Site) -> set[str]:
    """The master keys that have an envelope."""
    return {
        info.name.rsplit("/", 1)[1].removesuffix(".json")
        for info in site.memory.list("datasets/crm/keys/")
    }


def test_everything_opens_with_the_new_key_and_nothing_with_the_old(site: Site) -> None:
    """No data moves; the next backup adds to what is there."""
    before = {info.name for info in site.memory.list() if "/data/" in info.name}
    site.keys["backup_master_key"] = NEW_TEXT
    outcome = rotate_key(site.setting(), "crm", OLD)
    assert outcome.sentence.startswith("KEPT 3.3 · critical/crm · opens with master key")
    assert "2 generations opened and wrapped anew" in outcome.sentence
    assert envelopes(site) == {LocalKey.of_text(NEW_TEXT).master_key_id}
    assert {info.name for info in site.memory.list() if "/data/" in info.name} == before
    assert site.restored() == site.content()
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    again = rotate_key(site.setting(), "crm", OLD)
    assert "every generation did already" in again.sentence
    site.keys["backup_master_key"] = MASTER_KEY
    with pytest.raises(KeyUnusable):
        site.restored()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_at_every_change(site: Site, *, after: bool) -> None:
    """The key of before, or the new one, opens each generation; the next run goes on."""
    rewind = site.rewinding()
    site.keys["backup_master_key"] = NEW_TEXT
    counting = Crashing(site.memory)
    rotate_key(site.setting(counting), "crm", OLD)
    for at, change in enumerate(counting.changes, start=1):
        rewind()
        with pytest.raises(Crash):
            rotate_key(site.setting(Crashing(site.memory, at=at, after=after)), "crm", OLD)
        site.wait(minutes=31)
        for point in site.place().state().points:
            assert opens(site, point.snapshot), change
        outcome = rotate_key(site.setting(), "crm", OLD)
        assert outcome.ok, change
        assert envelopes(site) == {LocalKey.of_text(NEW_TEXT).master_key_id}, change
        assert site.restored() == site.content(), change
        site.place().ledger.verify()


def opens(site: Site, snapshot: str) -> bool:
    """Whether one of the two keys restores a recovery point."""
    for key in (NEW_TEXT, MASTER_KEY):
        site.keys["backup_master_key"] = key
        try:
            return bool(site.restored(snapshot))
        except KeyUnusable:
            continue
        finally:
            site.keys["backup_master_key"] = NEW_TEXT
    return False


def test_a_key_that_opens_nothing_changes_nothing(site: Site) -> None:
    """It is said which one is needed."""
    site.keys["backup_master_key"] = NEW_TEXT
    wrong = LocalKey(b"w" * 32)
    with pytest.raises(KeyUnusable, match=OLD.master_key_id) as caught:
        rotate_key(site.setting(), "crm", wrong)
    sentence = sentence_of(caught.value, "")
    assert sentence.startswith("AT RISK 3.3")
    assert envelopes(site) == {OLD.master_key_id}


def test_an_old_envelope_that_is_locked_is_told(tmp_path: Path) -> None:
    """The old key still opens it: keep it, and rotate again later."""
    site = Site(tmp_path)
    site.vault_url = LOCKED
    back_up_daily(site, 1)
    site.keys["backup_master_key"] = NEW_TEXT
    outcome = rotate_key(site.setting(), "crm", OLD)
    assert outcome.sentence.startswith("AT RISK 3.3")
    assert "1 old envelope locked" in outcome.sentence
    assert site.restored() == site.content()
    assert len(envelopes(site)) == 2


def test_a_generation_is_erased_its_key_first(site: Site) -> None:
    """Even one that has not expired; the record is the proof."""
    old, new = [one.id for one in site.place().state().generations]
    counting = Crashing(site.memory)
    outcome = erase(site.setting(counting), "crm", TWO, generation=old)
    assert generations(site) == {new}
    assert "1 generation erased before its time, the key first" in outcome.sentence
    assert "approved by bob" in outcome.sentence
    deleted = [change for change in counting.changes if change.startswith("delete datasets")]
    kinds = [change for change in deleted if "/leases/" not in change and "/locks/" not in change]
    assert "/snapshots/" in kinds[0]
    assert "/keys/" in kinds[1]
    assert all("/generations/" in change for change in kinds[2:])
    erase(site.setting(), "crm", TWO)
    assert generations(site) == set()
    assert snapshots(site) == set()
    site.place().ledger.verify()
    with pytest.raises(ConfigurationInvalid, match="has no generation to erase"):
        erase(site.setting(), "crm", TWO)


def test_what_is_on_hold_is_not_erased(site: Site) -> None:
    """Nor without two people."""
    add_hold(site.setting(), "crm", TWO)
    before = snapshots(site)
    with pytest.raises(RecordRefused, match="on hold"):
        erase(site.setting(), "crm", TWO)
    alone = TwoPeople(reason="x", requested_by="anna", approved_by="anna")
    with pytest.raises(ConfigurationInvalid, match="four eyes"):
        erase(site.setting(), "crm", alone)
    assert snapshots(site) == before


def test_a_generation_that_opens_with_the_old_key_keeps_its_envelope(site: Site) -> None:
    """Whatever a rotation has planned: the ledger of that moment says which envelope counts."""
    place = site.place()
    act = Act(place, ROTATE)
    names = envelopes(site)
    with Lease.acquire(place.folder, EXPIRE, owner=act.owner, now=act.now()) as lease:
        act.begin(held=EXPIRE)
        for generation in place.state().generations:
            [told] = _remove_old(act, lease, generation.id, OLD, LocalKey.of_text(NEW_TEXT))
            assert "opened with the old key meanwhile" in told
    assert envelopes(site) == names


def test_a_generation_without_an_envelope_holds_up_no_rotation(site: Site) -> None:
    """Nobody can open it; the others are not to suffer for it."""
    site.keys["backup_master_key"] = NEW_TEXT
    with pytest.raises(Crash):  # between the record and its envelope
        back_up(site.setting(Crashing(site.memory, at=4)), "crm", method=Method.FULL, new_key=True)
    site.wait(minutes=31)
    rotate_key(site.setting(), "crm", OLD)
    assert site.restored() == site.content()


def test_nothing_is_erased_where_locks_last(tmp_path: Path) -> None:
    """Nor is it begun: everything can still be restored."""
    site = Site(tmp_path)
    site.vault_url = LOCKED
    back_up_daily(site, 2)
    with pytest.raises(ConfigurationInvalid, match="nothing was erased"):
        erase(site.setting(), "crm", TWO)
    assert len(site.place().state().points) == 2
    assert site.restored() == site.content()
