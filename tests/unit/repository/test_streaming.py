"""Files of a snapshot as streams: in order, whole, and no byte that is not what was stored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import DamageFound
from include.backup.format.ids import BlobType
from include.backup.format.tree import Node, encode_tree
from include.backup.repository import streaming
from include.backup.repository.streaming import SnapshotFiles
from tests.unit.repository.samples import bare, memory, names, writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.repository.repository import Repository

BLOBS = [Random(number).randbytes(size) for number, size in enumerate((1, 700, 4000, 9000))]


def stored(repository: Repository, files: dict[bytes, Sequence[bytes]]) -> bytes:
    """Store files below a directory `inner`; return the tree of the root."""
    with writing(repository) as session:
        nodes = []
        for name, blobs in sorted(files.items()):
            ids = tuple(session.add_blob(BlobType.DATA, blob) for blob in blobs)
            size = sum(map(len, blobs))
            nodes.append(Node(name=name, type="file", content=ids, size=size))
        inner = session.add_blob(BlobType.TREE, encode_tree(nodes))
        root = Node(name=b"inner", type="dir", subtree=inner)
        tree = session.add_blob(BlobType.TREE, encode_tree([root]))
        session.flush()
    return tree


@given(
    order=st.lists(st.integers(0, len(BLOBS) - 1), max_size=40),
    window=st.sampled_from([1, 5000, 1 << 20]),
)
def test_any_content_comes_in_its_order(order: list[int], window: int) -> None:
    """Blobs may repeat and lie anywhere; windows may hold one or all of them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streaming, "WINDOW_BYTES", window)
        repository = bare(memory())
        wanted = [BLOBS[number] for number in order]
        tree = stored(repository, {b"file": wanted, b"other": BLOBS})
        with SnapshotFiles(repository, tree) as files:
            assert list(files.stream(b"inner/file")) == wanted
            assert files.load(b"inner/other") == b"".join(BLOBS)


def test_many_threads_read_at_once() -> None:
    """More streams than readers: each gets its own bytes."""
    repository = bare(memory())
    contents = {b"%d" % number: [*BLOBS[number % 3 :], b"%d" % number] for number in range(20)}
    tree = stored(repository, contents)
    with SnapshotFiles(repository, tree, readers=2) as files, ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda name: files.load(b"inner/" + name), contents)
        assert list(found) == [b"".join(blobs) for blobs in contents.values()]


def test_what_is_not_there_is_told_by_its_path() -> None:
    """A path that leads nowhere, a directory read as a file, a file listed as a directory."""
    repository = bare(memory())
    tree = stored(repository, {b"file": BLOBS})
    with SnapshotFiles(repository, tree) as files:
        assert files.find(b"inner/none") is None
        assert files.find(b"inner/file/below") is None
        assert [node.name for node in files.list(b"")] == [b"inner"]
        assert [node.name for node in files.list(b"inner")] == [b"file"]
        for ask in (
            lambda: files.load(b"inner/none"),
            lambda: files.load(b"inner"),
            lambda: files.list(b"inner/file"),
        ):
            with pytest.raises(DamageFound, match="inner"):
                ask()


def test_a_directory_is_loaded_once_for_all_of_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep it lies: with a load for each file a large directory would take days."""
    repository = bare(memory())
    tree = stored(repository, {b"%d" % number: [b"%d" % number] for number in range(50)})
    with writing(repository) as session:
        for name in (b"e", b"d", b"c", b"b", b"a"):
            node = Node(name=name, type="dir", subtree=tree)
            tree = session.add_blob(BlobType.TREE, encode_tree([node]))
        session.flush()
    loads: list[bytes] = []
    original = repository.load_tree
    monkeypatch.setattr(
        repository, "load_tree", lambda tree_id: (loads.append(tree_id), original(tree_id))[1]
    )
    with SnapshotFiles(repository, tree) as files:
        for number in range(50):
            assert files.load(b"a/b/c/d/e/inner/%d" % number) == b"%d" % number
    assert len(loads) == 7


def test_a_damaged_blob_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before it is right; nothing comes after it."""
    storage = memory()
    repository = bare(storage)
    blobs = [Random(number).randbytes(3000) for number in range(6)]
    tree = stored(repository, {b"file": blobs})
    for name in names(storage, "data/"):
        data = bytearray(storage.load(name))
        if len(data) > 10_000:
            data[9000] ^= 1
            storage.damage(name, bytes(data))
    monkeypatch.setattr(streaming, "WINDOW_BYTES", 1)
    came: list[bytes] = []
    with SnapshotFiles(repository, tree) as files, pytest.raises(DamageFound):
        came.extend(files.stream(b"inner/file"))
    assert came == blobs[: len(came)]
    assert 0 < len(came) < len(blobs)
