"""Look-ups that the property tests would hit upon too rarely."""

from __future__ import annotations

import sys
import threading
from random import Random
from typing import TYPE_CHECKING

from include.backup.format.ids import BlobType
from include.backup.format.pack import PackedBlob
from include.backup.repository import blob_index
from include.backup.repository.blob_index import BlobIndex, Location

if TYPE_CHECKING:
    import pytest

PACK = b"p" * 32


def packed(blob_id: bytes, offset: int = 0) -> PackedBlob:
    return PackedBlob(BlobType.DATA, blob_id, offset, 40, 0)


def test_a_hundred_thousand_blobs_are_each_found_where_they_lie() -> None:
    """Beyond the small dict, through several merges, without a false answer."""
    random = Random(7)
    ids = [random.randbytes(32) for _ in range(100_000)]
    index = BlobIndex()
    for number, start in enumerate(range(0, len(ids), 999)):
        part = ids[start : start + 999]
        blobs = [packed(blob_id, place) for place, blob_id in enumerate(part)]
        index.add_pack(number.to_bytes(32, "big"), blobs)
    assert index.count(BlobType.DATA) == len(ids)
    assert index.holds_all(BlobType.DATA, ids)
    for number in random.sample(range(len(ids)), 2000):
        pack, offset = divmod(number, 999)
        where = Location(pack.to_bytes(32, "big"), offset, 40, 0)
        assert index.locations(BlobType.DATA, ids[number]) == [where]
    assert not any(index.holds(BlobType.DATA, random.randbytes(32)) for _ in range(2000))
    assert not index.holds(BlobType.TREE, ids[0])


def test_an_id_that_lies_across_two_others_is_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids of a segment lie end to end; only whole ones count."""
    monkeypatch.setattr(blob_index, "_RECENT_LIMIT", 2)
    one, two = bytes(31) + b"\1", bytes(32)
    across = bytes(30) + b"\1\0"
    index = BlobIndex()
    index.add_pack(PACK, [packed(one), packed(two)])
    assert not index.holds(BlobType.DATA, across)
    assert index.locations(BlobType.DATA, across) == []
    assert index.holds(BlobType.DATA, one)
    assert index.holds(BlobType.DATA, two)


def test_a_pack_named_twice_is_remembered_once_and_wholly() -> None:
    """Two index files with the same entry make no second copy; with other blobs they add up."""
    one, two = bytes([1]) * 32, bytes([2]) * 32
    index = BlobIndex()
    index.add_pack(PACK, [packed(one)])
    index.add_pack(PACK, [packed(one)])
    index.add_pack(PACK, [packed(one), packed(two, 40)])
    assert index.packs == [PACK]
    assert index.count(BlobType.DATA) == 2
    assert index.locations(BlobType.DATA, one) == [Location(PACK, 0, 40, 0)]
    assert index.locations(BlobType.DATA, two) == [Location(PACK, 40, 40, 0)]


def test_readers_never_miss_what_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread adds and segments are merged, what was added is found without a gap."""
    monkeypatch.setattr(blob_index, "_RECENT_LIMIT", 50)
    random = Random(3)
    ids = [random.randbytes(32) for _ in range(4000)]
    index = BlobIndex()
    added = 0
    ended = threading.Event()
    missed: list[int] = []

    def look_up() -> None:
        mine = Random(threading.get_ident())
        while not ended.is_set():
            if added:
                number = mine.randrange(added)
                if not index.holds(BlobType.DATA, ids[number]) or not index.locations(
                    BlobType.DATA, ids[number]
                ):
                    missed.append(number)

    readers = [threading.Thread(target=look_up) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 100)  # let them get into each other's way more often
    for reader in readers:
        reader.start()
    try:
        for start in range(0, len(ids), 20):
            index.add_pack(random.randbytes(32), [packed(i) for i in ids[start : start + 20]])
            added = start + 20
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        for reader in readers:
            reader.join()
    assert not missed
