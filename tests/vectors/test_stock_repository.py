"""A repository that stock restic made is read to the last byte, without restic."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from include.backup.errors import KeyUnusable
from include.backup.format.ids import BlobType, digest
from include.backup.format.keys import open_key_file
from include.backup.format.pack import LENGTH_SIZE, decode_trailer, trailer_bytes
from include.backup.format.tree import decode_tree, encode_tree
from include.backup.repository.repository import Repository
from include.backup.storage.local import LocalStorage

FOLDER = Path(__file__).parent / "stock-0.14"
PASSWORD = "vectors"
CONTENT = {
    b"empty": b"",
    b"hard": b"hello\n",
    b"plain.txt": b"hello\n",
    b"random": Random(1).randbytes(5000),
    b"zeros": bytes(3000),
}


@pytest.fixture(scope="module")
def stock() -> Repository:
    """The repository, open, with its index."""
    repository = Repository.open(LocalStorage(FOLDER), PASSWORD)
    repository.load_index()
    return repository


def test_key_file_opens(stock: Repository) -> None:
    """The password gives the master key; another password gives none."""
    [key_file] = (FOLDER / "keys").iterdir()
    assert open_key_file(key_file.read_bytes(), PASSWORD, what="key") == stock.key
    assert stock.key.mac_k.hex() == "cf59404b53fc8465e083c9442fad8593"
    with pytest.raises(KeyUnusable):
        open_key_file(key_file.read_bytes(), PASSWORD + " ", what="key")


def test_config_and_snapshot_are_read(stock: Repository) -> None:
    """The facts that restic was given are those that are found."""
    assert stock.config.chunker_polynomial == 0x2A332A922E360F
    [(_, snapshot)] = stock.snapshots()
    assert snapshot.time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (snapshot.hostname, snapshot.tags) == ("vector", ("one",))
    assert snapshot.summary is None


def test_every_file_has_its_content(stock: Repository) -> None:
    """Names, contents, links and modes are what was backed up."""
    [(_, snapshot)] = stock.snapshots()
    nodes = {node.name: node for node in stock.load_tree(snapshot.tree)}
    for name, content in CONTENT.items():
        blobs = [stock.load_blob(BlobType.DATA, blob_id) for blob_id in nodes[name].content or ()]
        assert b"".join(blobs) == content
    assert nodes[b"hard"].inode == nodes[b"plain.txt"].inode
    assert nodes[b"link"].linktarget == b"plain.txt"
    assert nodes[b"zeros"].mode == 1 << 23 | 0o755
    folder = nodes[b'dir "quoted" & <odd>']
    assert folder.subtree is not None
    assert [node.name for node in stock.load_tree(folder.subtree)] == [b"caf\xe9"]


def test_every_tree_is_written_as_it_was_read(stock: Repository) -> None:
    """Decoding and encoding a tree of stock restic gives the same id."""
    trees = [
        blob_id
        for blobs in stock.index.by_pack().values()
        for kind, blob_id, _ in blobs
        if kind is BlobType.TREE
    ]
    assert len(trees) == 2
    for tree_id in trees:
        text = stock.load_blob(BlobType.TREE, tree_id)
        assert encode_tree(decode_tree(text, what="tree")) == text


def test_pack_headers_say_what_the_index_says(stock: Repository) -> None:
    """Each pack, read from its end, lists the blobs that the index finds in it."""
    for pack_id, blobs in stock.index.by_pack().items():
        pack = (FOLDER / "data" / pack_id.hex()[:2] / pack_id.hex()).read_bytes()
        assert digest(pack) == pack_id
        length = trailer_bytes(pack[-LENGTH_SIZE:], len(pack), what="pack")
        header = decode_trailer(stock.key, pack[-length:], len(pack), what="pack")
        found = [(blob.type, blob.id, (pack_id, *blob[2:])) for blob in header]
        assert found == blobs
