"""The ledger under racing writers, lost answers and any damage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.backup.errors import LedgerBroken, StorageUnreachable
from include.backup.evidence.ledger import Witness
from include.backup.evidence.ledger_files import record_name
from include.backup.storage.base import Folder
from tests.unit.evidence.samples import NOW, append, count, ledger_on, memory

if TYPE_CHECKING:
    from include.backup.storage.memory import MemoryStorage

RECORDS = 4


def filled() -> MemoryStorage:
    """A ledger of a few records, always the same acts."""
    storage = memory()
    ledger = ledger_on(storage)
    for number in range(RECORDS):
        append(ledger, f"a{number}")
    return storage


ORIGINAL = filled()
FILES = [ORIGINAL.load(record_name(sequence)) for sequence in range(1, RECORDS + 1)]
NEWEST = ledger_on(ORIGINAL).verify().head
assert NEWEST is not None
WITNESS = Witness(sequence=RECORDS, sha256=NEWEST.sha256)


def ledger_of(files: list[bytes | None]) -> MemoryStorage:
    """A storage that holds these bytes as records 1, 2, …; None is absent."""
    storage = memory()
    for sequence, data in enumerate(files, start=1):
        if data is not None:
            storage.save(record_name(sequence), data)
    return storage


def first_broken(files: list[bytes | None]) -> str:
    """What the verification says."""
    with pytest.raises(LedgerBroken) as caught:
        ledger_on(ledger_of(files)).verify(witness=WITNESS)
    return caught.value.message


@given(index=st.integers(0, RECORDS - 1), data=st.data())
def test_any_changed_byte_of_any_record_is_found_and_named(index: int, data: st.DataObject) -> None:
    """The record with the byte is named, not a later one."""
    place = data.draw(st.integers(0, len(FILES[index]) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = bytearray(FILES[index])
    changed[place] ^= flip
    files: list[bytes | None] = [*FILES]
    files[index] = bytes(changed)
    assert first_broken(files).startswith(f"record {index + 1} of crm")


@given(gone=st.sets(st.integers(0, RECORDS - 1), min_size=1))
def test_any_removal_is_found_and_named(gone: set[int]) -> None:
    """The newest too, for who noted the last sentence of a log."""
    files = [None if index in gone else data for index, data in enumerate(FILES)]
    assert first_broken(files) == f"record {min(gone) + 1} of crm is absent"


@given(order=st.permutations(range(RECORDS)).filter(lambda order: order != list(range(RECORDS))))
def test_any_other_order_is_found_and_named(order: list[int]) -> None:
    """Whole records at each other's places do not fit."""
    first = next(place for place, index in enumerate(order) if place != index)
    assert first_broken([FILES[index] for index in order]).startswith(f"record {first + 1} of crm")


@given(length=st.integers(0, RECORDS - 1), cut=st.data())
def test_any_record_cut_short_is_found(length: int, cut: st.DataObject) -> None:
    """Half a record is none."""
    files: list[bytes | None] = [*FILES]
    files[length] = FILES[length][: cut.draw(st.integers(0, len(FILES[length]) - 1))]
    assert first_broken(files).startswith(f"record {length + 1} of crm")


class Unsteady(Folder):
    """A network that loses requests and answers, by chance."""

    def __init__(self, storage: MemoryStorage, chance: Random) -> None:
        super().__init__(storage, "")
        self._chance = chance

    def save(self, name: str, data: bytes, **more: object) -> None:
        """Save; before or after it, the connection may break."""
        fate = self._chance.random()
        if fate < 0.2:
            raise StorageUnreachable("the request was lost")
        super().save(name, data, **more)
        if fate > 0.8:
            raise StorageUnreachable("the answer was lost")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(), writers=st.integers(2, 8))
def test_racing_writers_make_one_sequence_and_lose_nothing(seed: int, writers: int) -> None:
    """Every act of every writer is there once, and each state was folded from the one before."""
    storage = memory()
    each = 5

    def write(writer: int) -> None:
        ledger = ledger_on(Unsteady(storage, Random(seed + writer)))
        for number in range(each):
            draft = ledger.draft(kind="failed", act=f"{writer}.{number}", at=NOW, body={})
            while True:
                try:
                    ledger.append(draft, fold=count)
                    break
                except StorageUnreachable:
                    continue

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    verified = ledger_on(storage).verify()
    assert verified.records == writers * each
    assert verified.head is not None
    acts = verified.head.state["acts"]
    assert isinstance(acts, list)
    assert sorted(acts) == sorted(f"{w}.{n}" for w in range(writers) for n in range(each))
    for writer in range(writers):
        assert [act for act in acts if act.startswith(f"{writer}.")] == [
            f"{writer}.{number}" for number in range(each)
        ]
