"""What stock restic wrote, we read: every byte, every name, every attribute."""

from __future__ import annotations

import os
import stat
from random import Random
from typing import TYPE_CHECKING

import pytest

from include.backup.format.ids import BlobType, digest
from include.backup.format.keys import seal_key_file
from include.backup.format.tree import decode_tree, encode_tree
from include.backup.repository.repository import Repository
from include.backup.storage.local import LocalStorage
from tests.interop.conftest import PASSWORD
from tests.unit.repository.samples import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.format.tree import Node
    from tests.interop.conftest import Restic

pytestmark = pytest.mark.interop

NAMES = [
    b"plain",
    b'a "quoted" \\ name',
    b"<script>&amp;",
    "Ünïcödé \N{GRINNING FACE} \N{CJK UNIFIED IDEOGRAPH-4E2D}".encode(),
    "line\u2028para\u2029soft\u00adzero\u200bbom\ufeffrepl\ufffd".encode(),
    b"not utf-8 \xff\xfe\xe9 \xed\xa0\x80 \xf4\x90\x80\x80",
    b"bell\a back\b feed\f\n\r\t\v\x01\x1f\x7f\x1b[0m",
    "c1 \u0085\u009f nbsp\u00a0 private\ue000 unassigned\U000e0080".encode(),
    b"\\x41 \\u0041 \\n",
    b"'single' `back` $dollar *star ?",
    b" leading and trailing ",
    b"-rf",
    b"..hidden",
    b"x" * 255,
]
RAW_TARGET = b"\xff\xe2\x82/\xc3\xbc"
RAW_TARGETS_SINCE = (0, 16)  # before, restic lost what is not UTF-8 in a link's target
LARGE = Random(20).randbytes(3 << 20)


def content_of(name: bytes) -> bytes:
    return b"content of " + name * 3


def make_source(folder: Path, *, raw_targets: bool) -> None:
    """A directory with everything that a file system can hold."""
    for name in NAMES:
        (folder / os.fsdecode(name)).write_bytes(content_of(name))
        (folder / os.fsdecode(b"d-" + name[:200])).mkdir()
    inner = folder / "inner"
    inner.mkdir()
    (inner / "empty").touch()
    (inner / "large").write_bytes(LARGE)
    (inner / "zeros").write_bytes(bytes(1 << 20))
    (inner / "one").write_bytes(b"hard")
    (inner / "two").hardlink_to(inner / "one")
    (inner / "setuid").write_bytes(b"s")
    (inner / "setuid").chmod(0o4711)
    (inner / "setgid").mkdir()
    (inner / "setgid").chmod(0o2750)
    (inner / "sticky").mkdir()
    (inner / "sticky").chmod(0o1777)
    (inner / "secret").write_bytes(b"s")
    (inner / "secret").chmod(0)
    os.mkfifo(inner / "fifo", 0o640)
    # Not among the targets: \b and \f, which Go's JSON has written in another way since 1.22.
    (inner / "dangling").symlink_to("/no where/<&>\n")
    (inner / "umlaut").symlink_to("ü\u2028")
    if raw_targets:
        (inner / "raw").symlink_to(os.fsdecode(RAW_TARGET))
    (inner / "tagged").write_bytes(b"t")
    os.setxattr(inner / "tagged", "user.empty", b"")
    os.setxattr(inner / "tagged", "user.bytes <&>", b"\x00\xff" * 10)
    if os.geteuid() == 0:
        os.mknod(inner / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 300))
    for place, seconds in ((inner / "one", -1.5), (inner / "large", 4_000_000_000.000000001)):
        os.utime(place, (seconds, seconds))


@pytest.fixture(scope="module")
def source(restic: Restic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that was backed up."""
    folder = tmp_path_factory.mktemp("source")
    make_source(folder, raw_targets=restic.version() >= RAW_TARGETS_SINCE)
    return folder


@pytest.fixture(scope="module")
def vault(restic: Restic, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of stock restic with one snapshot of the source."""
    folder = tmp_path_factory.mktemp("stock") / "vault"
    restic.run("init", "--repository-version", "2", repository=folder)
    restic.run("backup", "--host", "stock", "--tag", "a,b", ".", repository=folder, cwd=source)
    return folder


@pytest.fixture(scope="module")
def repository(vault: Path) -> Repository:
    """The same, opened by us."""
    opened = Repository.open(LocalStorage(vault), PASSWORD)
    opened.load_index()
    return opened


def entries(repository: Repository, tree: bytes, path: bytes = b"") -> dict[bytes, Node]:
    """Every node below a tree, by its path."""
    found = {}
    for node in repository.load_tree(tree):
        found[path + node.name] = node
        if node.subtree is not None:
            found |= entries(repository, node.subtree, path + node.name + b"/")
    return found


@pytest.fixture(scope="module")
def nodes(repository: Repository) -> dict[bytes, Node]:
    """Every node of the snapshot, by its path."""
    [(_, snapshot)] = repository.snapshots()
    return entries(repository, snapshot.tree)


def test_every_tree_gets_the_same_id_again(repository: Repository) -> None:
    """Decoded and encoded, each tree is the same to the last byte."""
    trees = [
        blob_id
        for blobs in repository.index.by_pack().values()
        for kind, blob_id, _ in blobs
        if kind is BlobType.TREE
    ]
    assert len(trees) >= 3
    for tree_id in trees:
        text = repository.load_blob(BlobType.TREE, tree_id)
        assert encode_tree(decode_tree(text, what="tree")) == text
        assert digest(text) == tree_id


def test_every_name_is_the_one_on_disk(nodes: dict[bytes, Node], source: Path) -> None:
    """No name is lost, changed or doubled."""
    on_disk = set()
    for folder, folders, files in os.walk(os.fsencode(source)):
        relative = os.path.relpath(folder, os.fsencode(source))
        prefix = b"" if relative == b"." else relative + b"/"
        on_disk |= {prefix + name for name in folders + files}
    assert set(nodes) == on_disk
    assert on_disk >= set(NAMES)


def test_every_content_is_the_one_on_disk(repository: Repository, nodes: dict[bytes, Node]) -> None:
    """Blob after blob, joined."""

    def content(path: bytes) -> bytes:
        ids = nodes[path].content
        assert ids is not None
        return b"".join(repository.load_blob(BlobType.DATA, blob_id) for blob_id in ids)

    for name in NAMES:
        assert content(name) == content_of(name)
    assert content(b"inner/large") == LARGE
    assert content(b"inner/zeros") == bytes(1 << 20)
    assert nodes[b"inner/empty"].content == ()


def test_attributes_are_told_as_go_tells_them(nodes: dict[bytes, Node], source: Path) -> None:
    """Types, modes, links, targets, times and extended attributes."""
    inner = {path[6:]: node for path, node in nodes.items() if path.startswith(b"inner/")}
    assert inner[b"setuid"].mode == 1 << 23 | 0o711
    assert inner[b"setgid"].mode == 1 << 31 | 1 << 22 | 0o750
    assert inner[b"sticky"].mode == 1 << 31 | 1 << 20 | 0o777
    assert inner[b"secret"].mode == 0
    assert (inner[b"fifo"].type, inner[b"fifo"].mode) == ("fifo", 1 << 25 | 0o640)
    assert inner[b"dangling"].linktarget == b"/no where/<&>\n"
    assert inner[b"umlaut"].linktarget == "ü\u2028".encode()
    assert b"raw" not in inner or inner[b"raw"].linktarget == RAW_TARGET
    assert inner[b"one"].links == inner[b"two"].links == 2
    assert inner[b"one"].inode == inner[b"two"].inode == (source / "inner" / "one").stat().st_ino
    assert dict(inner[b"tagged"].extended_attributes) == {
        "user.empty": b"",
        "user.bytes <&>": b"\x00\xff" * 10,
    }
    if os.geteuid() == 0:
        device = inner[b"device"]
        assert (device.type, device.device) == ("chardev", os.makedev(1, 300))


def test_snapshot_is_read(repository: Repository) -> None:
    """Host and tags, and no summary before 0.17."""
    [(_, snapshot)] = repository.snapshots()
    assert (snapshot.hostname, snapshot.tags) == ("stock", ("a", "b"))


def test_keys_of_both_open_for_both(restic: Restic, vault: Path, tmp_path: Path) -> None:
    """A password added by either program opens the repository for the other."""
    (tmp_path / "added").write_text("added by stock\n")
    restic.run("key", "add", "--new-password-file", str(tmp_path / "added"), repository=vault)
    opened = Repository.open(LocalStorage(vault), "added by stock")
    ours = seal_key_file(opened.key, "added by us", now=NOW, hostname="holdfast")
    opened.storage.save(f"keys/{digest(ours).hex()}", ours)
    assert "chunker_polynomial" in restic.run(
        "cat", "config", repository=vault, password="added by us"
    )
