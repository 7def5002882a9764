"""What was erased at its source comes back with no restore, until nothing holds it any more."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.choosing import Order
from include.backup.actions.erasures import ErasureOrder, content_of, register, withdraw
from include.backup.actions.expire import expire
from include.backup.actions.outcome import sentence_of
from include.backup.actions.replicate import replicate
from include.backup.actions.restore import restore
from include.backup.actions.rotate_key import rotate_key
from include.backup.errors import ConfigurationInvalid, DamageFound, KeyUnusable, RestoreRefused
from include.backup.policy.model import Method
from include.backup.sources.directory import Directory
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.erasures import ERASURES, Erased
from include.backup.vault.keyring import LocalKey
from tests.damage.expiring import TWO, back_up_daily
from tests.damage.replicas import Lost
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

ADA = Erased(paths=("people/ada", "*/ada.txt"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Files of two people, backed up; those of Ada are erased then."""
    made = Site(tmp_path)
    made.write(people__ada__photo="her face", people__bob__photo="his", notes__ada_txt="of her")
    (made.data / "notes" / "ada_txt").rename(made.data / "notes" / "ada.txt")
    back_up_daily(made, 2)
    made.write(people__bob__more="later")
    return made


def asked(erased: Erased = ADA) -> ErasureOrder:
    """What is to be erased, and who registers it."""
    return ErasureOrder(erased=erased, requested_by="dpo", reason="article 17", ticket="DSR-4")


def people(site: Site, *, replica: str = "") -> set[str]:
    """What a restore brings back of anybody."""
    return {name for name in site.restored(replica=replica) if "/" in name}


def files(site: Site) -> list[str]:
    """Files of requests that lie in the vault."""
    return [info.name for info in site.memory.list() if f"/{ERASURES}" in info.name]


def test_what_was_erased_does_not_come_back(site: Site) -> None:
    """Files and directories that match go before the hand-over; the record says how many."""
    outcome = register(site.setting(), "crm", asked())
    assert "is carried out again after every restore" in outcome.sentence
    assert "2 recovery points may hold it" in outcome.sentence
    assert people(site) == {"people/bob/photo"}
    [record] = [one for one in site.place().ledger.read() if one.kind == "restored"]
    assert "1 erasure carried out again: 3 removed" in record.sentence
    assert record.body["erased"] == [{"erasure": outcome.details["erasure"], "removed": 3}]


def test_nothing_in_the_vault_or_the_ledger_tells_what_it_is(site: Site) -> None:
    """It may name people: it is sealed, and its digest is keyed."""
    before = {info.name for info in site.memory.list()}
    register(site.setting(), "crm", asked())
    again = register(site.setting(), "crm", asked())
    for name in {info.name for info in site.memory.list()} - before:
        held = site.memory.load(name)
        assert b"people/ada" not in held, name
        assert b"ada.txt" not in held, name
    one, two = site.place().state().erasures
    assert one.digest != two.digest
    assert content_of(site.setting(), "crm", again.details["erasure"]) == ADA


def test_later_recovery_points_are_left_alone(site: Site) -> None:
    """What came after it was erased at the source is somebody's new data."""
    register(site.setting(), "crm", asked())
    old = site.place().state().points[-1].snapshot
    site.wait(hours=1)
    site.write(people__ada__photo="she is back")
    back_up_daily(site, 1)
    assert site.restored()["people/ada/photo"] == b"she is back"
    assert "people/ada/photo" not in site.restored(old)


def test_somebody_may_want_it_all_back(site: Site) -> None:
    """For a court, say; the record says so."""
    register(site.setting(), "crm", asked())
    target = site.folder / "all"
    order = Order(address=str(target), requested_by="legal", keeps_erased=True)
    outcome = restore(site.setting(), "crm", Directory(target), order)
    assert "AT RISK: what was erased at the source has come back" in outcome.sentence
    assert "people/ada/photo" in site.content(target)


def test_a_request_that_cannot_be_read_stops_the_hand_over(site: Site) -> None:
    """Its file is gone, or not the one that the ledger names: nothing says what is to go."""
    register(site.setting(), "crm", asked())
    [name] = files(site)
    site.memory.damage(name, site.memory.load(name)[:-9] + b'AAAAAA=="}')
    with pytest.raises(DamageFound, match="erasure of act"):
        site.restored()
    site.memory.delete([name])
    with pytest.raises(DamageFound, match="has no file that master key"):
        site.restored()


def test_what_cannot_be_erased_is_not_handed_over(site: Site) -> None:
    """A request of a database does not fit files."""
    with pytest.raises(ConfigurationInvalid, match="crm is files"):
        register(site.setting(), "crm", asked(Erased(statements="DELETE FROM people")))
    with pytest.raises(ConfigurationInvalid, match="matches the whole dataset"):
        register(site.setting(), "crm", asked(Erased(paths=("./",))))
    with pytest.raises(ConfigurationInvalid, match="either paths or statements"):
        register(site.setting(), "crm", asked(Erased()))
    site.entry_options = ""
    register(site.setting(), "crm", asked())
    target = site.folder / "out"

    class Stubborn(Directory):
        def erase(self, *_: object) -> list[int]:
            raise RestoreRefused("what is to be erased cannot be")

    order = Order(address=str(target), requested_by="tests")
    with pytest.raises(RestoreRefused) as refused:
        restore(site.setting(), "crm", Stubborn(target), order)
    assert sentence_of(refused.value, "").startswith("BROKEN 4.2")


def test_it_is_fulfilled_when_no_generation_holds_it(site: Site) -> None:
    """Not when the last recovery point has expired: its bytes are there until they die."""
    register(site.setting(), "crm", asked())
    site.wait(days=29)
    back_up_daily(site, 2, method=Method.FULL)
    site.wait(days=2)
    expire(site.setting(), "crm")
    assert len(site.place().state().erasures) == 1
    site.wait(days=8)
    back_up_daily(site, 1)
    expire(site.setting(), "crm")
    assert site.place().state().erasures == ()
    site.wait(days=2)
    expire(site.setting(), "crm")
    assert files(site) == []


def test_two_people_take_a_request_back(site: Site) -> None:
    """Then everything comes back as it was."""
    request = register(site.setting(), "crm", asked()).details["erasure"]
    with pytest.raises(ConfigurationInvalid, match="no erasures begin with"):
        withdraw(site.setting(), "crm", "ffff", TWO)
    withdraw(site.setting(), "crm", request[:8], TWO)
    assert len(people(site)) == 3


def test_a_rotation_seals_it_anew(site: Site) -> None:
    """Whoever has the new key alone restores without what was erased."""
    register(site.setting(), "crm", asked())
    old = LocalKey.of_text(site.keys["backup_master_key"])
    site.keys["backup_master_key"] = base64.b64encode(b"n" * 32).decode()
    with pytest.raises((KeyUnusable, DamageFound)):
        site.restored()
    rotate_key(site.setting(), "crm", old)
    assert people(site) == {"people/bob/photo"}
    assert len(files(site)) == 1


def test_a_replica_has_the_register_as_well(site: Site) -> None:
    """A restore from it, with the home lost, erases again; and what is past goes there too."""
    site.second = MemoryStorage(site.clock)
    request = register(site.setting(), "crm", asked()).details["erasure"]
    replicate(site.setting(), "crm", "second")
    home, site.storage = site.storage, Lost()
    assert people(site, replica="second") == {"people/bob/photo"}
    site.storage = home
    withdraw(site.setting(), "crm", request, TWO)
    replicate(site.setting(), "crm", "second")
    assert not [info.name for info in site.second.list() if f"/{ERASURES}" in info.name]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crash_at_every_change(site: Site, *, after: bool) -> None:
    """Registered or not, never half; a file that no record names goes after a day."""
    rewind = site.rewinding()
    counting = Crashing(site.memory)
    register(site.setting(counting), "crm", asked())
    for at in range(1, len(counting.changes) + 1):
        rewind()
        with pytest.raises(Crash):
            register(site.setting(Crashing(site.memory, at=at, after=after)), "crm", asked())
        site.wait(days=8)
        site.restored()
        expire(site.setting(), "crm")
        assert len(files(site)) == len(site.place().state().erasures) <= 1
    assert len(files(site)) == after  # its last change is the record
