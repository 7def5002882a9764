"""The ledger: append, and what does not fit."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import (
    AccessRefused,
    KeyUnusable,
    LedgerBroken,
    RecordRefused,
    StorageUnreachable,
)
from include.backup.evidence.ledger import Ledger, Witness
from include.backup.evidence.ledger_files import record_name
from include.backup.storage.local import LocalStorage
from tests.unit.evidence.samples import (
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
    from include.backup.evidence.records import Draft


def test_records_follow_one_another(tmp_path: Path) -> None:
    """Numbers from 1, each linked to the one before, the newest with the whole state."""
    ledger = ledger_on(LocalStorage(tmp_path))
    assert ledger.head() is None
    first, second = append(ledger, "a"), append(ledger, "b")
    assert (first.sequence, second.sequence) == (1, 2)
    assert (first.previous, second.previous) == ("", first.sha256)
    assert second.state == {"count": 2, "acts": ["a", "b"], "newest": 2}
    assert (tmp_path / "ledger" / "0000000002.json").is_file()
    fresh = ledger_on(LocalStorage(tmp_path), signer=None)
    assert fresh.head() == second
    assert list(fresh.read(2)) == [second]
    assert fresh.verify().records == 2


def test_two_writers_make_one_sequence() -> None:
    """A writer whose head is old reads what came since, and its state holds both."""
    storage = memory()
    one, two = ledger_on(storage), ledger_on(storage)
    append(one, "a")
    append(two, "b")
    append(two, "c")
    assert append(one, "d").state["acts"] == ["a", "b", "c", "d"]
    assert two.head() == one.head()


def test_state_is_folded_again_when_another_was_quicker() -> None:
    """What a fold refuses in the light of the newer record is not written."""
    storage = memory()
    one, two = ledger_on(storage), ledger_on(storage)
    append(one, "a")
    two.head()
    append(one, "b")

    def only_after_one(state: JsonObject, draft: Draft, sequence: int) -> JsonObject:
        if sequence > 2:
            raise RecordRefused("too late")
        return count(state, draft, sequence)

    draft = two.draft(kind="failed", act="c", at=NOW, body={})
    with pytest.raises(RecordRefused, match="too late"):
        two.append(draft, fold=only_after_one)
    assert two.verify().records == 2


def test_sentence_can_say_what_the_state_became() -> None:
    """The sentence is made after the fold, with the record that it is part of."""
    ledger = ledger_on(memory())
    draft = ledger.draft(kind="failed", act="a", at=NOW, body={})
    record = ledger.append(draft, fold=count, say=lambda state: f"{state['count']} so far")
    assert record.sentence == "1 so far"


def test_head_lists_once() -> None:
    """The first look lists; after that each costs one request for the next number."""
    storage = Faulty(memory())
    ledger = ledger_on(storage)
    append(ledger, "a")
    other = ledger_on(storage)
    append(other, "b")
    before = storage.lists
    assert ledger.head() == other.head()
    append(ledger, "c")
    assert storage.lists == before


def test_lost_answer_is_no_second_record() -> None:
    """A save that was done although no answer came is recognised, byte for byte."""
    storage = Faulty(memory(), "lost")
    ledger = ledger_on(storage)
    assert append(ledger, "a").sequence == 1
    assert append(ledger, "b").sequence == 2
    assert ledger.verify().records == 2


def test_lost_answer_of_the_slower_writer_is_a_lost_race() -> None:
    """If the number holds somebody else's record, ours takes the next."""
    storage = memory()
    ledger = ledger_on(Faulty(storage, "", "unreachable"))
    append(ledger, "a")
    append(ledger_on(storage), "b")
    assert append(ledger, "c").state["acts"] == ["a", "b", "c"]


def test_save_that_did_not_happen_is_said_and_can_be_repeated() -> None:
    """Nothing is in the ledger then; the same draft goes in at the next try."""
    storage = Faulty(memory(), "unreachable")
    ledger = ledger_on(storage)
    draft = ledger.draft(kind="failed", act="a", at=NOW, body={})
    with pytest.raises(StorageUnreachable):
        ledger.append(draft, fold=count)
    assert ledger_on(storage).head() is None
    assert ledger.append(draft, fold=count).id == draft.id


@pytest.mark.parametrize("before", [0, 1])
def test_save_that_happened_late_is_found_by_a_repeated_try(before: int) -> None:
    """A request that arrives after we gave it up makes no second record, whatever came next."""
    storage = memory()
    faults = [""] * before + ["unreachable"]
    ledger = ledger_on(Faulty(storage, *faults))
    for number in range(before):
        append(ledger, f"before {number}")
    draft = ledger.draft(kind="failed", act="late", at=NOW, body={})
    with pytest.raises(StorageUnreachable):
        ledger.append(draft, fold=count)
    arrived = ledger_on(storage).append(draft, fold=count)
    append(ledger_on(storage), "another's")
    assert ledger.append(draft, fold=count) == arrived
    assert ledger.verify().records == before + 2


def test_lock_date_is_that_of_the_ledger() -> None:
    """Where the vault has Object Lock, records stay as long as the ledger is kept."""
    storage = memory()
    ledger = Ledger(storage, subject="crm", signer=SIGNER, keep_for=timedelta(days=400))
    append(ledger, "a")
    assert storage.locked_until(record_name(1)) == NOW + timedelta(days=400)


def test_reader_cannot_append() -> None:
    """Without a signing key nothing is recorded, and the error says where it goes instead."""
    with pytest.raises(KeyUnusable, match="spool"):
        append(ledger_on(memory(), signer=None), "a")


def test_record_too_large_is_refused_before_it_is_saved() -> None:
    """What could not be read again must not be written."""
    ledger = ledger_on(memory())
    draft = ledger.draft(kind="failed", act="a", at=NOW, body={"x": "y" * (8 << 20)})
    with pytest.raises(RecordRefused, match="the limit is"):
        ledger.append(draft, fold=count)
    assert ledger.head() is None


def test_refusal_is_not_an_empty_ledger() -> None:
    """A ledger that may not be listed must not be begun anew."""
    storage = memory()
    append(ledger_on(storage), "a")
    with storage.refusing("ledger/", ["list"]), pytest.raises(AccessRefused):
        ledger_on(storage).head()


def test_absent_record_is_named() -> None:
    """A gap is found by the first look already, and by the whole verification."""
    storage = memory()
    ledger = ledger_on(storage)
    for act in "abcd":
        append(ledger, act)
    storage.delete([record_name(2)])
    for look in (ledger_on(storage).head, ledger_on(storage).verify, ledger.verify):
        with pytest.raises(LedgerBroken, match="record 2 of crm is absent"):
            look()
    with pytest.raises(LedgerBroken, match="record 2 of crm is absent"):
        list(ledger.read())


def test_stray_number_is_a_gap() -> None:
    """A file with a number that nobody reached cannot become the newest record."""
    storage = memory()
    ledger = ledger_on(storage)
    append(ledger, "a")
    storage.save(record_name(9_999_999_999), b"{}")
    with pytest.raises(LedgerBroken, match="record 2 of crm is absent"):
        ledger_on(storage).head()


def test_file_that_is_no_record_is_named() -> None:
    """The verification passes over nothing."""
    storage = memory()
    ledger = ledger_on(storage)
    append(ledger, "a")
    storage.save("ledger/notes.txt", b"hello")
    assert ledger_on(storage).head() is not None
    with pytest.raises(LedgerBroken, match=r"ledger/notes\.txt in the ledger of crm is no record"):
        ledger.verify()


def test_record_of_another_ledger_does_not_fit() -> None:
    """A whole, properly signed record of another dataset is refused by its subject."""
    storage, other = memory(), memory()
    append(Ledger(other, subject="hr", signer=SIGNER), "a")
    storage.save(record_name(1), other.load(record_name(1)))
    with pytest.raises(LedgerBroken, match="record 1 of crm: field subject holds 'hr'"):
        ledger_on(storage).head()


def test_branch_does_not_fit() -> None:
    """A record from a copy of the ledger that went its own way is refused by its link."""
    storage, copy = memory(), memory()
    append(ledger_on(storage), "a")
    copy.save(record_name(1), storage.load(record_name(1)))
    for act, place in (("b", storage), ("x", copy)):
        append(ledger_on(place), act)
    append(ledger_on(copy), "y")
    storage.save(record_name(3), copy.load(record_name(3)))
    with pytest.raises(LedgerBroken, match="record 3 of crm: previous"):
        ledger_on(storage).verify()


def test_writer_that_sees_a_branch_stops() -> None:
    """Who knows record 1 does not follow a record 2 that was made after another record 1."""
    storage, copy = memory(), memory()
    ledger = ledger_on(storage)
    append(ledger, "a")
    append(ledger_on(copy), "other")
    append(ledger_on(copy), "x")
    storage.save(record_name(2), copy.load(record_name(2)))
    with pytest.raises(LedgerBroken, match="record 2 of crm: previous"):
        append(ledger, "b")
    with pytest.raises(LedgerBroken, match="record 2 of crm: previous"):
        ledger.head()


def test_stranger_cannot_append() -> None:
    """A record signed with another key is refused by all who know the right one."""
    storage = memory()
    append(ledger_on(storage), "a")
    stranger = Ledger(storage, subject="crm", signer=OTHER_SIGNER, trusted=[SIGNER.public_key])
    append(stranger, "b")
    with pytest.raises(LedgerBroken, match="record 2 of crm is signed with key"):
        ledger_on(storage).head()
    with pytest.raises(LedgerBroken, match="record 2 of crm is signed with key"):
        ledger_on(storage, signer=None).verify([SIGNER.public_key])


def test_changed_key_is_followed_by_those_who_trust_both() -> None:
    """After a change of keys the ledger goes on; without a list of keys they are all named."""
    storage = memory()
    append(ledger_on(storage), "a")
    append(Ledger(storage, subject="crm", signer=OTHER_SIGNER, trusted=[SIGNER.public_key]), "b")
    keys = (SIGNER.key_id, OTHER_SIGNER.key_id)
    both = [SIGNER.public_key, OTHER_SIGNER.public_key]
    assert ledger_on(storage, signer=None).verify(both).keys == keys
    assert ledger_on(storage, signer=None).verify().keys == keys


def test_witness_shows_that_the_newest_were_taken_away() -> None:
    """A ledger cannot know its own end; the last line of a log does."""
    storage = memory()
    ledger = ledger_on(storage)
    append(ledger, "a")
    seen = append(ledger, "b")
    witness = Witness(sequence=2, sha256=seen.sha256[:16])
    assert ledger.verify(witness=witness).head == seen
    storage.delete([record_name(2)])
    assert ledger_on(storage).verify().records == 1
    with pytest.raises(LedgerBroken, match="record 2 of crm is absent"):
        ledger_on(storage).verify(witness=witness)
    append(ledger_on(storage), "c")
    with pytest.raises(LedgerBroken, match="record 2 of crm has another digest than was seen"):
        ledger_on(storage).verify(witness=witness)


def test_digest_is_that_of_the_file(tmp_path: Path) -> None:
    """An auditor checks the end of a sentence with sha256sum."""
    record = append(ledger_on(LocalStorage(tmp_path)), "a")
    file = tmp_path / "ledger" / "0000000001.json"
    assert sha256(file.read_bytes()).hexdigest() == record.sha256
