"""Write sessions: every blob stored once, readable afterwards, and nothing written too late."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from random import Random
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import (
    DamageFound,
    DeadlinePassed,
    LeaseLost,
    StorageUnreachable,
)
from include.backup.format.compression import compress
from include.backup.format.crypto import OVERHEAD
from include.backup.format.ids import BlobType, digest, parse_id
from include.backup.format.index import FULL_BLOBS, decode_index
from include.backup.format.pack import ENTRY_SIZE
from include.backup.repository import packer
from include.backup.repository.packer import BUFFER_BYTES
from include.backup.repository.progress import Progress
from include.backup.repository.repository import Repository
from include.backup.repository.writer import WriteSession
from include.backup.storage.local import LocalStorage
from tests.unit.repository.samples import (
    KEY,
    NOW,
    PASSWORD,
    Failing,
    Waiting,
    bare,
    create,
    memory,
    names,
    reopened,
    store,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from include.backup.storage.base import Storage


def indexed(storage: Storage) -> list[list[tuple[bytes, int]]]:
    """For each index file, its packs and how many blobs they have."""
    return [
        [(pack, len(blobs)) for pack, blobs in decode_index(KEY, storage.load(name), what=name)]
        for name in names(storage, "index/")
    ]


def in_threads(session: WriteSession, shares: Sequence[Sequence[bytes]]) -> None:
    """Store each share from a thread of its own, some blobs one by one, the others together."""
    failures: list[BaseException] = []

    def work(share: Sequence[bytes]) -> None:
        try:
            for blob in share[::2]:
                assert session.add_blob(BlobType.DATA, blob) == digest(blob)
            assert session.add_small(share[1::2]) == [digest(blob) for blob in share[1::2]]
            session.add_blob(BlobType.TREE, b"tree of " + digest(b"".join(share)))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_every_blob_of_every_thread_is_read_afterwards(kind: str, tmp_path: Path) -> None:
    """Threads that share half of their blobs store each once; a new process reads them all."""
    storage = memory() if kind == "memory" else LocalStorage(tmp_path / "vault")
    random = Random(5)
    common = [random.randbytes(random.choice([1, 50, 3000, 200_000])) for _ in range(40)]
    shares = [
        random.sample([*common, *(random.randbytes(900) for _ in range(40))], 80) for _ in range(4)
    ]
    repository = create(storage)
    with writing(repository) as session:
        in_threads(session, shares)
        session.flush()
    blobs = {digest(blob): blob for share in shares for blob in share}
    opened = Repository.open(storage, PASSWORD)
    opened.load_index()
    assert opened.index.count(BlobType.DATA) == len(blobs) == session.added.data_blobs
    assert opened.index.count(BlobType.TREE) == len(shares) == session.added.tree_blobs
    for blob_id, blob in blobs.items():
        assert opened.load_blob(BlobType.DATA, blob_id) == blob
    for share in shares:
        tree = b"tree of " + digest(b"".join(share))
        assert opened.load_blob(BlobType.TREE, digest(tree)) == tree
    assert session.added.plaintext_bytes >= sum(map(len, blobs.values()))
    assert sorted(names(storage, "data/")) == sorted(
        f"data/{pack.hex()[:2]}/{pack.hex()}" for pack in opened.index.packs
    )


def test_large_packs_leave_while_others_are_filled() -> None:
    """Beyond the size of a pack, packs are stored before the session is flushed."""
    storage = memory()
    random = Random(6)
    blobs = [random.randbytes(3 << 20) for _ in range(13)]
    with writing(bare(storage)) as session:
        ids = [session.add_blob(BlobType.DATA, memoryview(blob)) for blob in blobs]
        session.flush()
        assert len(session.added.packs) == 3
    again = reopened(bare(storage))
    for blob_id, blob in zip(ids, blobs, strict=True):
        assert again.load_blob(BlobType.DATA, blob_id) == blob


@pytest.mark.parametrize("kind", list(BlobType))
def test_a_blob_larger_than_a_pack_is_stored(kind: BlobType) -> None:
    """A directory of a million files is one tree, and gets a pack to itself."""
    blob = Random(8).randbytes(BUFFER_BYTES + 1)
    storage = memory()
    [blob_id, _] = store(bare(storage), blob, b"small", kind=kind)
    assert reopened(bare(storage)).load_blob(kind, blob_id) == blob


def test_many_small_blobs_at_once_get_room_for_their_seals() -> None:
    """Seals and header entries count: these 20 MB of blobs fill more than the usual buffer."""
    noise = Random(10).randbytes(20_000 * 1045)
    blobs = [noise[at : at + 1045] for at in range(0, len(noise), 1045)]
    assert len(noise) < BUFFER_BYTES - (1 << 20) < len(noise) + 20_000 * (OVERHEAD + ENTRY_SIZE)
    storage = memory()
    with writing(bare(storage)) as session:
        session.add_small(blobs)
        session.flush()
    assert reopened(bare(storage)).index.count(BlobType.DATA) == 20_000


def test_the_same_blob_is_stored_once() -> None:
    """Twice in a call, in a session, and in two sessions: one copy, and nothing new to name."""
    storage = memory()
    with writing(bare(storage)) as session:
        assert len(set(session.add_small([b"x", b"x", b"y", b"x"]))) == 2
        session.add_blob(BlobType.DATA, b"x")
        session.flush()
        session.add_blob(BlobType.DATA, b"x")
        session.flush()
        assert session.added.data_blobs == 2
        session.add_blob(BlobType.TREE, b"x")  # another name space
        session.flush()
    before = names(storage)
    with writing(reopened(bare(storage))) as session:
        session.add_small([b"y", b"x"])
        session.add_blob(BlobType.TREE, b"x")
        session.flush()
        assert session.added.data_blobs == session.added.tree_blobs == 0
    assert names(storage) == before


def test_data_and_trees_never_share_a_pack() -> None:
    """Stock restic expects it so."""
    storage = memory()
    with writing(bare(storage)) as session:
        for number in range(20):
            session.add_blob(list(BlobType)[number % 2], bytes([number]))
        session.flush()
        assert sorted(kind for _, kind in session.added.packs) == ["data", "tree"]
    for blobs in reopened(bare(storage)).index.by_pack().values():
        assert len({kind for kind, _, _ in blobs}) == 1


def test_packs_are_named_by_their_hash_and_locked() -> None:
    """Every file of a session carries the lock date that it was given."""
    storage = memory()
    session = WriteSession(bare(storage), progress=Progress(), guard=lambda: None, locked_until=NOW)
    session.add_blob(BlobType.DATA, b"x")
    session.flush()
    session.close()
    assert len(names(storage)) == 2
    for name in names(storage):
        assert storage.locked_until(name) == NOW
        assert digest(storage.load(name)) == parse_id(name.rpartition("/")[2], where=name)


def test_index_files_hold_fifty_thousand_blobs_at_most() -> None:
    """Packs are spread over index files, and none is named twice."""
    storage = memory()
    random = Random(9)
    with writing(bare(storage)) as session:
        for _ in range(70):  # 16,000 blobs make a pack
            noise = random.randbytes(1_000_000)
            session.add_small([noise[at : at + 1000] for at in range(0, 1_000_000, 1000)])
        session.flush()
        assert session.added.data_blobs == 70_000
    files = indexed(storage)
    assert len(files) >= 2
    assert all(sum(count for _, count in packs) <= FULL_BLOBS for packs in files)
    named = [pack for packs in files for pack, _ in packs]
    assert sorted(named) == sorted(pack for pack, _ in session.added.packs)
    assert sum(count for packs in files for _, count in packs) == 70_000


def test_a_flush_of_nothing_writes_nothing() -> None:
    """A run that found everything in the repository leaves no empty pack or index."""
    storage = memory()
    with writing(bare(storage)) as session:
        session.add_small([])
        session.flush()
    assert names(storage) == []


def test_what_an_upload_failed_with_ends_the_session() -> None:
    """Adding and flushing raise it; the caller cannot go on to a snapshot by mistake."""
    storage = Failing(memory(), first=1)
    with writing(bare(storage)) as session:
        session.add_blob(BlobType.DATA, b"x")
        for _ in range(3):
            with pytest.raises(StorageUnreachable, match="the network is gone"):
                session.flush()


def test_packs_stored_before_a_failure_are_named_when_the_session_ends() -> None:
    """The next attempt finds their blobs and does not store them again."""
    storage = memory()
    with writing(bare(Failing(storage, first=2, times=1)), uploads=1) as session:
        session.add_blob(BlobType.DATA, b"x")
        session.add_blob(BlobType.TREE, b"y")
        with pytest.raises(StorageUnreachable):
            session.flush()
        assert names(storage, "index/") == []
    again = reopened(bare(storage))
    assert (again.index.count(BlobType.DATA), again.index.count(BlobType.TREE)) == (1, 0)


@pytest.mark.parametrize("together", [False, True])
def test_a_blob_that_failed_is_never_taken_as_stored(
    monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    """Others may have been told that it is there: the whole session fails, not only the blob."""
    bad, good = b"bad" * 100, b"good" * 100
    monkeypatch.setattr(packer, "compress", lambda text: compress(text.replace(b"bad", b"bed")))
    storage = memory()
    with writing(bare(storage)) as session:
        session.add_blob(BlobType.DATA, good)
        with pytest.raises(DamageFound, match="changed in memory"):
            session.add_small([bad]) if together else session.add_blob(BlobType.DATA, bad)
        assert session.add_blob(BlobType.DATA, bad) == digest(bad)  # as another thread may do
        for _ in range(2):
            with pytest.raises(DamageFound, match="changed in memory"):
                session.flush()
    assert names(storage) == []


class Guard:
    """A guard that answers `allowed` questions with yes, and then refuses."""

    def __init__(self, refusal: Exception, *, allowed: int) -> None:
        self.refusal = refusal
        self.allowed = allowed
        self.asked = 0

    def __call__(self) -> None:
        """Refuse when nothing is allowed any more."""
        self.asked += 1
        if self.asked > self.allowed:
            raise self.refusal


REFUSALS = [
    LeaseLost("another run has taken over"),
    DeadlinePassed("the time to complete ended"),
    StorageUnreachable("nobody can say whether the lease is ours"),
]
QUESTIONS = 5  # each of two packs is asked for when it is handed over and when stored; the index


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("allowed", range(QUESTIONS + 1))
def test_nothing_is_written_after_the_guard_refused(refusal: Exception, allowed: int) -> None:
    """Whenever the lease is lost: no file after that, and closing raises nothing of its own."""
    storage = memory()
    guard = Guard(refusal, allowed=allowed)
    session = WriteSession(bare(storage), progress=Progress(), guard=guard, uploads=1)
    for kind in BlobType:
        session.add_blob(kind, b"x")
    with nullcontext() if allowed == QUESTIONS else pytest.raises(type(refusal)):
        session.flush()
    before = names(storage)
    session.close()
    assert names(storage) == before
    assert len(names(storage, "index/")) == (1 if allowed == QUESTIONS else 0)
    assert len(names(storage, "data/")) <= allowed // 2


def test_a_pack_that_waits_for_its_turn_is_not_stored_after_the_lease_is_lost() -> None:
    """The guard is asked when a pack is stored, not only when it was handed over."""
    storage = memory()
    waiting = Waiting(storage)
    guard = Guard(REFUSALS[0], allowed=3)
    session = WriteSession(bare(waiting), progress=Progress(), guard=guard, uploads=1)
    for kind in BlobType:
        session.add_blob(kind, b"x")
    with ThreadPoolExecutor(1) as pool:
        flushed = pool.submit(session.flush)
        assert waiting.arrived.wait(20)  # the first pack is on its way
        while guard.asked < 3 and not flushed.done():
            time.sleep(0.001)  # the second is being handed over
        waiting.go_on.set()
        assert flushed.exception(20) is REFUSALS[0]
    session.close()
    assert len(names(storage)) == 1
