"""Any series of write sessions stores each blob once and leaves all of them readable."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from include.backup.errors import StorageUnreachable
from include.backup.format.ids import BlobType, digest
from tests.unit.repository.samples import Failing, bare, memory, names, reopened, writing

FEW = settings(max_examples=40, deadline=None)
some_blobs = st.lists(
    st.one_of(st.binary(max_size=5), st.integers(0, 9).map(lambda n: b"%d" % n * 50), st.just(b"")),
    max_size=6,
)
# What a session does: blobs of a kind one by one (True) or data together (False), then a flush.
steps = st.tuples(st.sampled_from(BlobType), st.booleans(), some_blobs, st.booleans())
sessions = st.lists(
    st.tuples(st.lists(steps, max_size=4), st.none() | st.integers(1, 6)), min_size=1, max_size=4
)
Steps = list[tuple[BlobType, bool, list[bytes], bool]]


@FEW
@given(life=sessions)
def test_every_blob_is_stored_once_and_read_again(life: list[tuple[Steps, int | None]]) -> None:
    """Sessions that end well or fail at some save: the index is right, and nothing is doubled."""
    storage = memory()
    done: set[tuple[BlobType, bytes]] = set()
    offered: set[tuple[BlobType, bytes]] = set()
    for todo, failing_at in life:
        target = storage if failing_at is None else Failing(storage, first=failing_at)
        before = reopened(bare(target))
        tried: set[tuple[BlobType, bytes]] = set()
        with suppress(StorageUnreachable), writing(before) as session:
            for kind, single, blobs, flush in todo:
                if single:
                    for blob in blobs:
                        assert session.add_blob(kind, blob) == digest(blob)
                    tried.update((kind, blob) for blob in blobs)
                else:
                    assert session.add_small(blobs) == [digest(blob) for blob in blobs]
                    tried.update((BlobType.DATA, blob) for blob in blobs)
                offered |= tried
                if flush:
                    session.flush()
            session.flush()
            done |= tried
    after = reopened(bare(storage))
    for kind, blob in done:
        assert after.load_blob(kind, digest(blob)) == blob
    known = [
        (kind, blob_id) for group in after.index.by_pack().values() for kind, blob_id, _ in group
    ]
    assert len(known) == len(set(known))
    assert set(known) <= {(kind, digest(blob)) for kind, blob in offered}
    stored = {name.rpartition("/")[2] for name in names(storage, "data/")}
    assert {pack.hex() for pack in after.index.packs} <= stored
