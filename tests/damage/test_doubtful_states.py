"""States in which a backup could do harm by going on, or by stopping for good."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions import take
from include.backup.actions.acts import Act
from include.backup.actions.assess import assess
from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.open_acts import RESTORE
from include.backup.actions.outcome import attached_outcome
from include.backup.actions.review import review
from include.backup.errors import DatasetInvalid, KeyUnusable, LedgerBroken
from include.backup.policy.model import Method
from include.backup.policy.objectives import Verdict
from include.backup.storage.memory import MemoryStorage
from include.backup.storage.retry import Patience
from include.backup.vault import leases
from include.backup.vault.leases import Lease
from include.backup.vault.owners import Owner
from tests.damage.site import Site, kept
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.policy.dataset_model import VaultSettings
    from include.backup.storage.base import Storage
    from tests.interop.conftest import Restic


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A dataset with one recovery point."""
    site = Site(tmp_path)
    site.write(a="first")
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    site.wait(days=1)
    site.write(b="second")
    return site


def test_a_full_that_was_replaced_and_wakes_is_one_more_recovery_point(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept between its lease and its snapshot; nothing that follows fails because of it."""
    successor: list[str] = []
    commit = take.Taking._commit

    def sleep_and_commit(taking: take.Taking, *arguments: object) -> object:
        if not successor:
            successor.append("taken")
            site.wait(minutes=31)
            assert kept(back_up(site.setting(), "crm", method=Method.FULL))
            site.wait(minutes=1)
        return commit(taking, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(take.Taking, "_commit", sleep_and_commit)
    with pytest.raises(Exception, match=r"comes too late|taken over"):
        back_up(site.setting(), "crm", method=Method.FULL)
    monkeypatch.undo()
    for day in range(2):
        site.wait(days=1)
        site.write(**{f"day{day}": "more"})
        outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
        assert outcome.ok, outcome.sentence
        assert site.restored() == site.content()
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    assert sum(point.adopted for point in site.place().state().points) == 1


def test_a_lease_outlives_whatever_saves_a_snapshot() -> None:
    """Whoever renewed it just before has it still when the last retry ends."""
    below_us = timedelta(seconds=5 * 60)  # boto3's own attempts, each with its longest wait
    assert Patience().deadline + below_us + leases.RENEW_EVERY < leases.TIME_TO_LIVE
    assert Lease.acquire.__kwdefaults__["time_to_live"] == leases.TIME_TO_LIVE


def test_an_empty_vault_is_not_taken_for_a_new_one(site: Site) -> None:
    """Not mounted, or a slip in its address: an error, and nothing is begun there."""
    full, site.storage = site.storage, MemoryStorage(site.clock)
    with pytest.raises(
        LedgerBroken, match=r"has 0 records, and had 4 when .* is the volume mounted"
    ) as caught:
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    outcome = attached_outcome(caught.value)
    assert outcome is not None
    assert outcome.verdict is Verdict.BROKEN
    assert not outcome.known
    assert "how old the newest recovery point is cannot be told (limit 48 h)" in outcome.sentence
    assert "there is no recovery point" not in outcome.sentence
    assert outcome.sentence.count("is the volume mounted") == 1
    assert list(site.storage.list()) == []
    [standing] = assess(site.setting())
    assert standing.row.verdict is Verdict.BROKEN
    assert not standing.row.known
    assert standing.to_json()["known"] is False
    assert site.place().seen.forget() == 4
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    site.place().seen.forget()
    site.storage = full
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))


def test_generations_without_a_ledger_are_not_built_beside(site: Site) -> None:
    """Somebody took the ledger away: on no machine is that a new dataset."""
    site.memory.delete([info.name for info in site.memory.list() if "/ledger/" in info.name])
    site.place().seen.forget()
    with pytest.raises(LedgerBroken, match="the ledger of crm is gone, and its generations are"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)


def test_another_record_of_the_same_number_is_noticed(site: Site) -> None:
    """A vault put back to another branch of its history is not gone on with unasked."""
    other = Site(site.folder / "other")
    other.write(a="first")
    back_up(other.setting(), "crm", method=Method.INCREMENTAL)
    site.storage = other.memory
    with pytest.raises(LedgerBroken, match="ends with another record 4 than the one"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)


def test_a_full_with_another_master_key_is_refused_unless_meant(site: Site) -> None:
    """Its incrementals could be opened by one key, and those before by the other."""
    site.keys["backup_master_key"] = base64.b64encode(b"n" * 32).decode()
    with pytest.raises(KeyUnusable, match=r"opens with master key .* --new-key"):
        back_up(site.setting(), "crm", method=Method.FULL)
    assert len(site.place().state().generations) == 1
    assert kept(back_up(site.setting(), "crm", method=Method.FULL, new_key=True))
    assert site.restored() == site.content()


def test_a_dataset_that_is_never_backed_up_does_not_stay_untested(tmp_path: Path) -> None:
    """Its time runs from when it was first seen, not from each look."""
    site = Site(tmp_path)
    assert assess(site.setting())[0].row.verdict is Verdict.NOT_TESTED
    site.wait(days=4)
    [standing] = assess(site.setting())
    assert standing.row.verdict is Verdict.BROKEN
    assert "the first was due by" in standing.row.what


def test_a_retired_dataset_breaks_no_promise(site: Site) -> None:
    """Nobody takes recovery points of it any more, and nobody is woken for that."""
    site.entry_options = "    retired: {date: 2026-11-25, reason: sold, by: anna}\n"
    site.wait(days=400)
    [standing] = assess(site.setting())
    assert standing.row.verdict is Verdict.KEPT
    assert standing.row.what == "retired since 2026-11-25 by anna: sold"
    assert standing.next_due_at is None


def test_a_policy_that_cannot_be_kept_stops_no_restore(site: Site) -> None:
    """Verdicts say so; what is done is done, recorded and told."""
    site.policy_change = ("rpo: 48 hours", "rpo: 12 hours")
    assert site.restored() == {"a": b"first"}
    _, damages = check(site.setting(), "crm", reading=Reading.NOTHING)
    assert damages == []
    [standing] = assess(site.setting())
    assert standing.row.verdict is Verdict.BROKEN
    assert "its class cannot keep its promises" in standing.row.what


def test_a_vault_in_the_source_by_a_link_is_refused(tmp_path: Path) -> None:
    """As written they lie apart; each backup would hold the backups before it."""
    site = Archives(tmp_path)
    (site.data / "inner").mkdir()
    site.vault.symlink_to(site.data / "inner")
    site.vault_url = f"file://{site.vault}"
    with pytest.raises(DatasetInvalid, match="lie inside one another"):
        site.back_up()
    assert list((site.data / "inner").rglob("data/*/*")) == []


@pytest.mark.interop
def test_what_a_person_backed_up_with_restic_is_no_recovery_point(
    tmp_path: Path, restic: Restic
) -> None:
    """It stays where it is, and nothing of ours builds on it."""
    site = Archives(tmp_path)
    site.write(a="first")
    first = site.back_up()
    (tmp_path / "other").write_text("other")
    site.restic(restic, first, "backup", str(tmp_path / "other"))
    site.write(b="second")
    second = site.back_up()
    assert second.details["method"] == "incremental"
    assert len(site.place().state().points) == 2
    assert site.restored() == site.content()


def test_damage_makes_no_younger_recovery_point_older(site: Site) -> None:
    """A flagged generation is still the youngest data; nobody gets older data unasked."""
    newest = back_up(site.setting(), "crm", method=Method.FULL)
    content = site.content()
    [config] = [
        info.name
        for info in site.memory.list()
        if info.name.endswith(f"{newest.details['generation']}/config")
    ]
    site.memory.delete([config])
    assert check(site.setting(), "crm", reading=Reading.NOTHING)[1]
    assert site.place().state().sound_points != site.place().state().points
    assert site.restored() == content


def test_what_left_no_lease_is_closed_when_nobody_can_be_asked(site: Site) -> None:
    """A restore on a machine that is gone is not under way for ever."""
    act = Act(site.place(), RESTORE)
    act.owner = Owner(name="elsewhere", boot="another", namespace="n", pid=7, started=7)
    act.begin()
    site.wait(days=6)
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    assert [known.id for known in site.place().state().acts] == [act.id]
    site.wait(days=2)
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    assert site.place().state().acts == ()


def test_evidence_is_locked_for_its_own_period(tmp_path: Path) -> None:
    """Records and kept policies outlive what they are about; leases and locks are never locked."""
    site = Site(tmp_path)
    site.vault_url = "s3://memory/vault', connection: 'none', object_lock: 'compliance"
    site.write(a="first")
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    review(site.setting(), by="an auditor", note="read")
    period = timedelta(days=3 * 365)
    for info in site.memory.list():
        date = site.memory.locked_until(info.name)
        if "/leases/" in info.name or "/locks/" in info.name:
            assert date is None, info.name
        else:
            assert date is not None, info.name
        if "/ledger/" in info.name or "/config/" in info.name:
            assert date is not None
            assert abs(date - site.now - period) < timedelta(minutes=1), info.name


def test_a_reason_for_an_open_line_reaches_the_storage_and_the_record(site: Site) -> None:
    """The dataset states it, the vault does not."""
    site.entry_options = "    insecure_reason: a laboratory\n"
    seen: list[str] = []
    setting = site.setting()

    def open_storage(vault: VaultSettings) -> Storage:
        seen.append(vault.insecure_reason)
        return site.storage

    setting = replace(setting, open_storage=open_storage)
    outcome = back_up(setting, "crm", method=Method.INCREMENTAL)
    assert set(seen) == {"a laboratory"}
    head = site.place().ledger.head()
    assert head is not None
    assert head.body["sent"] == "kept in memory"
    assert "encrypted AES-256, kept in memory" in outcome.sentence
