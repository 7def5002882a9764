"""What somebody deletes or overwrites in a vault with versions: told, read, and undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.actions import undelete as undeleting
from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.configuration import keep_policy
from include.backup.actions.outcome import sentence_of
from include.backup.actions.replicate import replicate
from include.backup.actions.undelete import seen_tampering, undelete, undelete_outside
from include.backup.errors import LedgerBroken, MarkerLeft
from include.backup.evidence.kinds import Kind
from include.backup.policy.model import Method
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.layout import is_write_once
from tests.damage.replicas import Lost
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

DATASET = "datasets/crm/"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A recovery point in a vault in memory."""
    site = Site(tmp_path)
    site.write(file="content", folder__other="x" * 3000)
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    site.wait(days=1)
    return site


def attack(vault: MemoryStorage, *, locks: bool = False) -> set[str]:
    """Hide every file, overwrite every third one; return the names of those that are write-once."""
    for number, info in enumerate(list(vault.list(DATASET))):
        if number % 3 == 0:
            until = vault._clock().replace(year=2126) if locks else None
            vault.overwrite(info.name, b"forged", locked_until=until)
        vault.hide(info.name)
    return {
        info.name for info in vault.list(DATASET) if is_write_once(info.name.removeprefix(DATASET))
    }


def hidden(vault: MemoryStorage) -> list[str]:
    """Write-once files that are not seen as they were saved by who reads newest versions."""
    return [
        info.name
        for info in vault.list()
        if is_write_once(info.name.removeprefix(DATASET))
        and vault.newest(info.name) != vault.load(info.name)
    ]


def test_tampering_is_told_and_hides_nothing_from_us(site: Site) -> None:
    """A check names it, finds no damage, and every recovery point restores."""
    whole = site.content()
    names = attack(site.memory)
    outcome, told = check(site.setting(), "crm", reading=Reading.ALL)
    assert outcome.details == {"damages": 0, "tampering": len(names)}
    assert outcome.sentence.startswith("AT RISK 3.2 · critical/crm")
    assert f"tampering: {len(names)} files hidden by delete markers" in outcome.sentence
    assert "holdfast vault undelete crm" in outcome.sentence
    assert all(one.startswith("tampering: ") for one in told)
    assert not any(one.damaged for one in site.place().state().generations)
    assert site.restored() == whole
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok


def test_undeletion_uncovers_everything_and_says_so(site: Site) -> None:
    """Nothing is hidden any more; what was there stands in a record; again, there is nothing."""
    names = attack(site.memory)
    assert hidden(site.memory)
    assert seen_tampering(site.setting(), "crm").names == len(names)
    assert hidden(site.memory)  # it only looked
    outcome = undelete(site.setting(), "crm")
    assert outcome.sentence.startswith("KEPT 3.2 · critical/crm · tampering in s3://memory/vault")
    assert outcome.details["files"] == outcome.details["markers"] == len(names)
    assert hidden(site.memory) == []
    record = site.place().ledger.head()
    assert record is not None
    assert record.kind == Kind.UNDELETED
    assert record.body["tampering"]["hidden"] == len(names)
    assert len(record.body["tampering"]["first"]) == len(names)
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    again = undelete(site.setting(), "crm")
    assert again.sentence.startswith("KEPT 3.2")
    assert again.details["files"] == 0


def test_leases_and_locks_are_not_touched(site: Site) -> None:
    """They come and go under the same names: what lies there is nobody's tampering."""
    generation = site.place().state().generations[-1].id
    names = [f"{DATASET}leases/x", f"{DATASET}generations/{generation}/locks/ab"]
    for name in names:
        site.memory.overwrite(name, b"one")
        site.memory.overwrite(name, b"two")
        site.memory.hide(name)
    before = list(site.memory.tampering())
    assert check(site.setting(), "crm", reading=Reading.NOTHING)[1] == []
    assert undelete(site.setting(), "crm").details["files"] == 0
    assert list(site.memory.tampering()) == before


def test_what_a_lock_keeps_is_covered_by_a_copy(site: Site) -> None:
    """Forged versions that nobody can remove are told, and hide nothing."""
    attack(site.memory, locks=True)
    outcome = undelete(site.setting(), "crm")
    assert outcome.details["not_removed"] > 0
    assert outcome.details["hidden"] == 0
    assert "not all could be removed" in outcome.sentence
    assert hidden(site.memory) == []
    assert site.restored() == site.content()


def test_killed_at_any_moment_the_next_run_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after each request, nothing of ours is lost, and the next run finds the rest."""
    monkeypatch.setattr(undeleting, "_TOGETHER", 3)
    attack(site.memory)
    site.memory.hide(f"{DATASET}ledger/0000000099.json")
    whole, rewind = site.content(), site.rewinding()
    counted = Crashing(site.memory)
    assert undelete(site.setting(counted), "crm").ok
    assert len(counted.changes) > 5
    oldest = {info.name: site.memory.load(info.name) for info in site.memory.list()}
    for at in range(1, len(counted.changes) + 1):
        for after in (False, True):
            rewind()
            with pytest.raises(Crash):
                undelete(site.setting(Crashing(site.memory, at=at, after=after)), "crm")
            assert undelete(site.setting(), "crm").ok
            assert hidden(site.memory) == []
            assert seen_tampering(site.setting(), "crm").names == 0
            kept = {name: site.memory.load(name) for name in oldest if "/ledger/" not in name}
            assert kept == {name: oldest[name] for name in kept}
            site.place().ledger.verify()
    assert site.restored() == whole


def test_a_marker_on_the_next_record_blocks_backups_until_it_is_removed(site: Site) -> None:
    """Nothing can be recorded; what is there is restored; undeletion frees the number."""
    head = site.place().ledger.head()
    assert head is not None
    site.memory.hide(f"{DATASET}ledger/{head.sequence + 1:010}.json")
    with pytest.raises(MarkerLeft, match="vault undelete"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert site.restored() == site.content()
    outcome = undelete(site.setting(), "crm")
    assert outcome.details["gone"] == 1
    assert outcome.sentence.startswith("AT RISK 3.2")
    assert "evidence crm/" in outcome.sentence
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    kinds = {record.kind for record in site.place().ledger.read()}
    assert {Kind.FAILED, Kind.RESTORED} <= kinds  # what waited in the spool is there now


def test_files_come_to_light_though_the_ledger_is_forged(site: Site) -> None:
    """Somebody has written a record of his own: what is done waits in the spool, and is told."""
    head = site.place().ledger.head()
    assert head is not None
    attack(site.memory)
    site.memory.save(f"{DATASET}ledger/{head.sequence + 1:010}.json", b"forged")
    with pytest.raises(LedgerBroken) as caught:
        undelete(site.setting(), "crm")
    assert hidden(site.memory) == []
    sentence = sentence_of(caught.value, "")
    assert "seen until then: " in sentence
    assert "waits in the spool" in sentence


def test_a_replica_is_uncovered_by_its_name(site: Site) -> None:
    """The record is in the home; without the home, it waits."""
    site.second = second = MemoryStorage(site.clock)
    assert replicate(site.setting(), "crm", "second").ok
    names = attack(second)
    outcome, told = check(site.setting(), "crm", reading=Reading.NOTHING, replica="second")
    assert outcome.details["tampering"] == len(told) == len(names)
    assert "holdfast vault undelete crm --vault second" in outcome.sentence
    assert check(site.setting(), "crm", reading=Reading.NOTHING)[1] == []
    assert undelete(site.setting(), "crm").details["files"] == 0
    outcome = undelete(site.setting(), "crm", vault="second")
    assert outcome.details["files"] == len(names)
    assert hidden(second) == []
    attack(second)
    outcome = undelete(site.setting(Lost()), "crm", vault="second")  # type: ignore[arg-type]
    assert "waits in the spool" in outcome.sentence
    assert hidden(second) == []


def test_what_belongs_to_no_dataset_is_uncovered_as_well(site: Site) -> None:
    """The policy, what leads a stranger, a rescue kit; recorded in the ledger of the policy."""
    setting = site.setting()
    site.memory.save("rescue-kits/00.tar", b"kit")
    keep_policy(setting, setting.datasets.vaults["primary"])
    names = [one.name for one in site.memory.list() if not one.name.startswith("datasets/")]
    assert {"RECOVERY.txt", "unwrap.py", "rescue-kits/00.tar"} < set(names)
    for name in names:
        site.memory.hide(name)
    assert "hidden" in undelete_outside(site.setting(), "primary", dry_run=True)
    told = undelete_outside(site.setting(), "primary")
    assert told.startswith("KEPT 3.2")
    assert list(site.memory.tampering()) == []
    assert list(site.memory.list("policy/ledger/"))
