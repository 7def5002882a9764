"""BlobIndex against a dict, with ids that get into each other's way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.backup.format.ids import BlobType
from include.backup.format.pack import PackedBlob
from include.backup.repository import blob_index
from include.backup.repository.blob_index import BlobIndex, Location

QUICK = settings(max_examples=150, deadline=None)
# Few ids, so that there are duplicates; many that look like the end of one and the beginning of
# another, as the ids of a segment lie end to end; and some from everywhere.
close = st.tuples(st.integers(0, 32), st.sampled_from([b"\0", b"\1", b"\xff"])).map(
    lambda made: bytes(made[0]) + made[1] * (32 - made[0])
)
ids = close | st.binary(min_size=32, max_size=32) | st.integers(0, 8).map(lambda n: bytes([n]) * 32)
blobs = st.builds(
    PackedBlob,
    type=st.sampled_from(BlobType),
    id=ids,
    offset=st.integers(0, (1 << 32) - 1),
    length=st.integers(32, (1 << 32) - 1),
    size=st.integers(0, (1 << 32) - 1),
)
packs = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda n: bytes([n]) * 32),
        st.lists(blobs, max_size=8, unique_by=lambda blob: blob.offset),
    ),
    max_size=25,
)
Model = dict[tuple[BlobType, bytes], set[Location]]


def model_of(added: list[tuple[bytes, list[PackedBlob]]]) -> Model:
    model: Model = {}
    for pack_id, packed in added:
        for blob in packed:
            place = Location(pack_id, blob.offset, blob.length, blob.size)
            model.setdefault((blob.type, blob.id), set()).add(place)
    return model


@QUICK
@given(added=packs, limit=st.integers(1, 9), others=st.lists(ids, max_size=5))
def test_the_index_knows_what_a_dict_knows(
    added: list[tuple[bytes, list[PackedBlob]]], limit: int, others: list[bytes]
) -> None:
    """Every copy of every blob and no other, through many small segments and their merges."""
    model = model_of(added)
    index = BlobIndex()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blob_index, "_RECENT_LIMIT", limit)
        for pack_id, packed in added:
            index.add_pack(pack_id, packed)
    for kind in BlobType:
        wanted = {blob_id for known, blob_id in model if known is kind}
        for blob_id in wanted | set(others):
            places = index.locations(kind, blob_id)
            assert set(places) == model.get((kind, blob_id), set())
            assert len(places) == len(set(places))
            assert index.holds(kind, blob_id) == bool(places)
        assert index.holds_all(kind, wanted)
        assert index.count(kind) == sum(
            len(places) for (known, _), places in model.items() if known is kind
        )
    assert list(index.packs) == list(dict(added))
    assert all(index.has_pack(pack_id) for pack_id, _ in added)
    assert not index.has_pack(b"\xfe" * 32)


@QUICK
@given(added=packs, limit=st.integers(1, 9))
def test_blobs_by_pack_are_all_blobs(
    added: list[tuple[bytes, list[PackedBlob]]], limit: int
) -> None:
    """Grouped by pack and ascending by offset, nothing is missing and nothing comes twice."""
    index = BlobIndex()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blob_index, "_RECENT_LIMIT", limit)
        for pack_id, packed in added:
            index.add_pack(pack_id, packed)
    grouped = index.by_pack()
    assert set(grouped) == {pack_id for pack_id, _ in added}
    found = [(kind, blob_id, place) for group in grouped.values() for kind, blob_id, place in group]
    assert len(found) == len(set(found))
    assert set(found) == {
        (kind, blob_id, place)
        for (kind, blob_id), places in model_of(added).items()
        for place in places
    }
    for pack_id, group in grouped.items():
        assert [place.offset for _, _, place in group] == sorted(p.offset for _, _, p in group)
        assert all(place.pack == pack_id for _, _, place in group)
