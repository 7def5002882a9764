"""A writer that dies at any save leaves a repository that opens, and work that is used again."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import StorageUnreachable
from include.backup.format.ids import BlobType, digest
from include.backup.format.pack import ENTRY_SIZE
from include.backup.repository.repository import Repository, data_name
from tests.unit.repository.samples import PASSWORD, Failing, create, memory, names, writing

if TYPE_CHECKING:
    from include.backup.storage.base import Storage
    from include.backup.storage.memory import MemoryStorage

PARTS = 3
MOST_SAVES = 3 * PARTS  # a pack of data, a pack of trees and an index for each part
_RANDOM = Random(11)
BLOBS = [[_RANDOM.randbytes(700) for _ in range(10)] for _ in range(PARTS)]
TREES = [b'{"nodes":[]}\n' + b" " * part for part in range(PARTS)]


def write_all(repository: Repository) -> int:
    """Store everything in several parts; return how many blobs were new."""
    with writing(repository, uploads=1) as session:
        for blobs, tree in zip(BLOBS, TREES, strict=True):
            session.add_small(blobs[:5])
            for blob in blobs[5:]:
                session.add_blob(BlobType.DATA, blob)
            session.add_blob(BlobType.TREE, tree)
            session.flush()
        return session.added.data_blobs + session.added.tree_blobs


def opened(storage: Storage) -> Repository:
    repository = Repository.open(storage, PASSWORD)
    repository.load_index()
    return repository


def count(repository: Repository) -> int:
    return sum(repository.index.count(kind) for kind in BlobType)


def assert_whole(repository: Repository, storage: MemoryStorage) -> None:
    """Every pack that an index names is there with the right size, and its blobs open."""
    for pack_id, blobs in repository.index.by_pack().items():
        size = storage.stat(data_name(pack_id)).size_bytes
        entries = sum(ENTRY_SIZE if place.size else ENTRY_SIZE - 4 for _, _, place in blobs)
        assert size == sum(place.length for _, _, place in blobs) + entries + 32 + 4
        for kind, blob_id, _ in blobs:
            assert digest(repository.load_blob(kind, blob_id)) == blob_id


@pytest.mark.parametrize("times", [None, 1], ids=["dies", "fails once"])
@pytest.mark.parametrize("first", range(1, MOST_SAVES + 1))
def test_after_a_failure_at_any_save_the_next_session_stores_what_is_missing(
    first: int, times: int | None
) -> None:
    """Index names existing packs only; the second session adds the rest and no blob more."""
    storage = memory()
    made = create(storage)
    failing = Failing(storage, first=first, times=times)
    with pytest.raises(StorageUnreachable):
        write_all(Repository(failing, made.key, made.config))
    survived = opened(storage)
    assert_whole(survived, storage)
    found = count(survived)
    total = sum(map(len, BLOBS)) + len(TREES)
    if times == 1:  # what was stored by then is named when the session is closed
        packs = len(names(storage, "data/"))
        assert len(survived.index.packs) == packs
    assert write_all(survived) == total - found
    complete = opened(storage)
    assert count(complete) == total
    assert_whole(complete, storage)
    assert {digest(blob) for blobs in BLOBS for blob in blobs} == {
        blob_id
        for blobs in complete.index.by_pack().values()
        for kind, blob_id, _ in blobs
        if kind is BlobType.DATA
    }


def test_an_untroubled_session_saves_no_more_than_the_failures_above_cover() -> None:
    """Else a save would be left untried there."""
    storage = Failing(memory(), first=MOST_SAVES + 1)
    made = create(memory())
    write_all(Repository(storage, made.key, made.config))
    assert storage.saves == MOST_SAVES


def test_a_run_that_fails_again_and_again_comes_to_its_end() -> None:
    """Each attempt gets a little further, however early the next failure comes."""
    storage = memory()
    made = create(storage)
    for _ in range(PARTS):
        with suppress(StorageUnreachable):
            failing = Failing(storage, first=4)  # one part, and the network goes
            repository = Repository(failing, made.key, made.config)
            repository.load_index()
            write_all(repository)
    assert count(opened(storage)) == sum(map(len, BLOBS)) + len(TREES)
    assert write_all(opened(storage)) == 0
