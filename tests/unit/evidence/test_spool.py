"""The spool: what could not be recorded is recorded later, once, with both times."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import LeaseLost, StorageUnreachable
from include.backup.evidence.ledger_files import record_name
from include.backup.evidence.spool import Spool
from include.backup.storage.local import LocalStorage
from tests.unit.evidence.samples import (
    HOUR,
    NOW,
    OTHER_SIGNER,
    SIGNER,
    Faulty,
    append,
    count,
    ledger_on,
    memory,
)

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.ledger import Ledger
    from include.backup.evidence.records import Draft

LATER = NOW + HOUR


def draft_of(ledger: Ledger, act: str) -> Draft:
    """A draft that waits."""
    return ledger.draft(kind="failed", act=act, at=NOW, body={"reason": "no vault"}, sentence="s")


def test_drafts_become_records_in_their_order_with_both_times(tmp_path: Path) -> None:
    """They follow what the ledger holds by then, and the spool is empty."""
    spool, ledger = Spool(LocalStorage(tmp_path), signer=SIGNER), ledger_on(memory())
    append(ledger, "before")
    for act in "abc":
        spool.save(draft_of(ledger, act))
    assert spool.waiting("crm") == 3
    assert spool.waiting("hr") == 0
    adoption = spool.adopt(ledger, at=LATER, fold=count)
    assert [record.act for record in adoption.records] == ["a", "b", "c"]
    assert {record.at for record in adoption.records} == {LATER}
    assert {record.happened_at for record in adoption.records} == {NOW}
    assert adoption.records[0].sentence == "s"
    assert adoption.records[0].spooled.key == SIGNER.key_id
    assert spool.waiting("crm") == 0
    assert spool.adopt(ledger, at=LATER, fold=count).records == ()
    assert ledger.verify().head.state["acts"] == ["before", "a", "b", "c"]


def test_crash_before_the_file_was_removed_records_nothing_twice() -> None:
    """The draft's id is found in the ledger, however much came since."""
    disk, vault = memory(), memory()
    spool, ledger = Spool(disk, signer=SIGNER), ledger_on(vault)
    append(ledger, "before")
    name = spool.save(draft_of(ledger, "a"))
    file = disk.load(name)
    [record] = spool.adopt(ledger, at=LATER, fold=count).records
    append(ledger, "after")
    disk.save(name, file)  # as if it had never been removed
    assert Spool(disk, signer=SIGNER).adopt(ledger_on(vault), at=LATER, fold=count).records == (
        record,
    )
    assert ledger.verify().records == 3
    assert list(disk.list()) == []


def test_record_whose_answer_was_lost_is_not_adopted_again() -> None:
    """A draft spooled after an unclear save is in the ledger already if the save was done."""
    disk, vault = memory(), memory()
    ledger = ledger_on(vault)
    append(ledger, "before")
    draft = draft_of(ledger, "a")
    Spool(disk, signer=SIGNER).save(draft)  # the act saw StorageUnreachable twice …
    twin = ledger_on(vault)
    saved = twin.append(draft, fold=count)  # … and the request arrived after all
    assert Spool(disk, signer=SIGNER).adopt(ledger, at=LATER, fold=count).records == (saved,)
    assert ledger.verify().records == 2


def test_two_processes_adopt_each_draft_once(tmp_path: Path) -> None:
    """An incremental and a full of one machine find the same drafts at the same moment."""
    vault = memory()
    spool = Spool(LocalStorage(tmp_path), signer=SIGNER)
    for number in range(6):
        spool.save(draft_of(ledger_on(vault), f"a{number}"))

    def adopt(_: int) -> None:
        own = Spool(LocalStorage(tmp_path), signer=SIGNER)
        own.adopt(ledger_on(vault), at=LATER, fold=count)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(adopt, range(4)))
    verified = ledger_on(vault).verify()
    assert sorted(verified.head.state["acts"]) == [f"a{number}" for number in range(6)]
    assert spool.waiting("crm") == 0


def test_drafts_wait_while_the_vault_is_unreachable() -> None:
    """A failed adoption loses nothing; those behind the failure keep their order."""
    vault, spool = memory(), Spool(memory(), signer=SIGNER)
    faulty = ledger_on(Faulty(vault, "", "unreachable"))
    for act in "abc":
        spool.save(draft_of(faulty, act))
    with pytest.raises(StorageUnreachable):
        spool.adopt(faulty, at=LATER, fold=count)
    assert spool.waiting("crm") == 2
    spool.adopt(faulty, at=LATER, fold=count)
    assert ledger_on(vault).verify().head.state["acts"] == ["a", "b", "c"]


def test_draft_that_contradicts_the_ledger_is_put_aside() -> None:
    """Its act was closed meanwhile: it is kept for a person, and the others go on."""
    disk, ledger = memory(), ledger_on(memory())
    spool = Spool(disk, signer=SIGNER)
    for act in "abc":
        spool.save(draft_of(ledger, act))

    def refuse_b(state: JsonObject, draft: Draft, sequence: int) -> JsonObject:
        if draft.act == "b":
            raise LeaseLost("act b was closed")
        return count(state, draft, sequence)

    adoption = spool.adopt(ledger, at=LATER, fold=refuse_b)
    assert [record.act for record in adoption.records] == ["a", "c"]
    [refused] = adoption.refused
    assert refused.reason == "act b was closed"
    assert [info.name for info in disk.list()] == [refused.name]
    assert spool.waiting("crm") == 0


def test_draft_that_was_changed_is_put_aside() -> None:
    """Nobody can bring evidence into the ledger by writing into the spool."""
    disk, ledger = memory(), ledger_on(memory())
    spool = Spool(disk, signer=SIGNER)
    name = spool.save(draft_of(ledger, "a"))
    disk.damage(name, disk.load(name).replace(b"no vault", b"no fault"))
    stranger = Spool(disk, signer=OTHER_SIGNER)
    stranger.save(draft_of(ledger, "b"))
    adoption = spool.adopt(ledger, at=LATER, fold=count)
    assert adoption.records == ()
    reasons = [refused.reason for refused in adoption.refused]
    assert "the signature does not fit" in reasons[0]
    assert "is not trusted" in reasons[1]
    assert ledger.head() is None


def test_draft_of_another_place_is_put_aside() -> None:
    """A draft under another's name or subject cannot replace it."""
    disk, ledger = memory(), ledger_on(memory())
    spool = Spool(disk, signer=SIGNER)
    name = spool.save(draft_of(ledger, "a"))
    disk.save("crm/0000000009-0000000000000000.json", disk.load(name))
    adoption = spool.adopt(ledger, at=LATER, fold=count)
    assert len(adoption.records) == len(adoption.refused) == 1


def test_unsigned_draft_of_a_rescue_is_adopted_and_flagged() -> None:
    """No missing key stops a rescue; its record says that nobody had signed."""
    disk, ledger = memory(), ledger_on(memory())
    Spool(disk, signer=None).save(draft_of(ledger, "a"))
    [record] = Spool(disk, signer=SIGNER).adopt(ledger, at=LATER, fold=count).records
    assert record.spooled.key == ""
    assert record.key == SIGNER.key_id


def test_ledger_that_is_broken_stops_the_adoption() -> None:
    """The fault is the vault's then, and the drafts wait."""
    vault, spool = memory(), Spool(memory(), signer=SIGNER)
    append(ledger_on(vault), "a")
    vault.damage(record_name(1), b"{}")
    spool.save(draft_of(ledger_on(memory()), "b"))
    with pytest.raises(Exception, match="record 1 of crm"):
        spool.adopt(ledger_on(vault), at=LATER, fold=count)
    assert spool.waiting("crm") == 1
