"""What we wrote, stock restic checks, restores and goes on with."""

from __future__ import annotations

import json
import os
from random import Random
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import DamageFound, StorageUnreachable
from include.backup.format.chunker import chunks
from include.backup.format.ids import BlobType, digest
from include.backup.format.lock import LockFile, encode_lock
from include.backup.format.snapshot import Snapshot, SnapshotSummary, encode_snapshot
from include.backup.format.times import text_of_nanoseconds
from include.backup.format.tree import Node, encode_tree
from include.backup.repository.repository import Repository
from include.backup.storage.local import LocalStorage
from tests.interop.conftest import PASSWORD
from tests.unit.repository.samples import NOW, Failing, writing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.conftest import Restic

pytestmark = pytest.mark.interop

MTIME_NS = 1_700_000_000_123_456_789
FILES = {
    b"empty": b"",
    b"large": Random(30).randbytes(3 << 20),
    b"not utf-8 \xff\n": b"odd name",
    b"small": b"hello\n",
    b"text": b"line after line\n" * 9000,
}
POLYNOMIAL = 0x3DA3358B4DC173


def base(name: bytes, kind: str, mode: int) -> Node:
    moment = text_of_nanoseconds(MTIME_NS)
    return Node(
        name=name,
        type=kind,
        mode=mode,
        mtime=moment,
        atime=moment,
        ctime=moment,
        uid=os.getuid(),
        gid=os.getgid(),
    )


def take_snapshot(repository: Repository, files: dict[bytes, bytes] = FILES) -> bytes:
    """Store files, a link, a pair of hard links and a folder; return the snapshot's id."""
    with writing(repository, uploads=1) as session:
        nodes = []
        for name, content in files.items():
            ids = [session.add_blob(BlobType.DATA, c) for c in chunks([content], POLYNOMIAL)]
            node = base(name, "file", 0o640)
            nodes.append(node._replace(size=len(content), links=1, content=tuple(ids)))
        [blob_id] = session.add_small([b"linked"])
        twin = base(b"", "file", 1 << 23 | 0o755)._replace(
            size=6, links=2, inode=7, device_id=9, content=(blob_id,)
        )
        nodes += [twin._replace(name=b"one"), twin._replace(name=b"two")]
        nodes.append(
            twin._replace(
                name=b"tagged",
                links=1,
                inode=8,
                extended_attributes=(("user.note", b"\x00\xff"), ("user.void", b"")),
            )
        )
        link = base(b"link", "symlink", 1 << 27 | 0o777)
        nodes.append(link._replace(links=1, linktarget="kleiner ü <&>".encode()))
        empty = session.add_blob(BlobType.TREE, encode_tree([]))
        folder = base(b"folder", "dir", 1 << 31 | 1 << 20 | 0o750)
        nodes.append(folder._replace(subtree=empty))
        nodes.sort(key=lambda node: node.name)
        inner = session.add_blob(BlobType.TREE, encode_tree(nodes))
        root = base(b"crm", "dir", 1 << 31 | 0o755)._replace(subtree=inner)
        tree = session.add_blob(BlobType.TREE, encode_tree([root]))
        session.flush()
    snapshot = Snapshot(
        time=NOW,
        tree=tree,
        paths=("/crm",),
        hostname="holdfast",
        username="holdfast",
        tags=("full", "naïve"),
        program_version="holdfast 0.1.0",
        summary=SnapshotSummary(backup_start=NOW, backup_end=NOW, files_new=len(FILES)),
    )
    data = encode_snapshot(repository.key, snapshot)
    snapshot_id = digest(data)
    repository.storage.save(f"snapshots/{snapshot_id.hex()}", data)
    return snapshot_id


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """Where a repository of ours lies, empty."""
    folder = tmp_path / "vault"
    Repository.create(LocalStorage(folder), PASSWORD, now=NOW, locked_until=None)
    return folder


def opened(vault: Path) -> Repository:
    repository = Repository.open(LocalStorage(vault), PASSWORD)
    repository.load_index()
    return repository


def assert_restored(restored: Path) -> None:
    for name, content in FILES.items():
        path = restored / os.fsdecode(name)
        assert path.read_bytes() == content
        status = path.stat()
        assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o640, MTIME_NS)
    one, two = (restored / "one").stat(), (restored / "two").stat()
    assert one.st_ino == two.st_ino
    assert one.st_mode & 0o7777 == 0o4755
    assert (restored / "one").read_bytes() == b"linked"
    assert str((restored / "link").readlink()) == "kleiner ü <&>"
    assert (restored / "folder").stat().st_mode & 0o7777 == 0o1750
    assert os.getxattr(restored / "tagged", "user.note") == b"\x00\xff"
    assert os.getxattr(restored / "tagged", "user.void") == b""


def test_an_empty_repository_is_one(restic: Restic, vault: Path) -> None:
    """Stock restic finds nothing wrong and nothing in it."""
    restic.run("check", "--read-data", repository=vault)
    assert json.loads(restic.run("snapshots", "--json", repository=vault)) in ([], None)


def test_restic_checks_and_restores_what_we_wrote(
    restic: Restic, vault: Path, tmp_path: Path
) -> None:
    """Every pack is read, every file comes back with its content and attributes."""
    snapshot_id = take_snapshot(opened(vault))
    checked = restic.run("check", "--read-data", repository=vault)
    assert "no errors were found" in checked
    restic.run("restore", "latest", "--target", str(tmp_path / "out"), repository=vault)
    assert_restored(tmp_path / "out" / "crm")
    [shown] = json.loads(restic.run("snapshots", "--json", repository=vault))
    assert shown["id"] == snapshot_id.hex()
    assert (shown["hostname"], shown["tags"]) == ("holdfast", ["full", "naïve"])
    dumped = restic.run("dump", "latest", "/crm/text", repository=vault)
    assert dumped.encode() == FILES[b"text"]


def test_restic_reads_every_small_file_of_ours(restic: Restic, vault: Path) -> None:
    """Config, index and lock, as JSON, are the facts that we wrote."""
    repository = opened(vault)
    take_snapshot(repository)
    lock = LockFile(time=NOW, exclusive=False, hostname="holdfast/crm/1", username="h", pid=1)
    data = encode_lock(repository.key, lock)
    name = f"locks/{digest(data).hex()}"
    repository.storage.save(name, data)
    shown = json.loads(restic.run("cat", "--no-lock", "lock", name[6:], repository=vault))
    assert (shown["hostname"], shown["exclusive"], shown["pid"]) == ("holdfast/crm/1", False, 1)
    repository.storage.delete([name])
    config = json.loads(restic.run("cat", "config", repository=vault))
    assert int(config["chunker_polynomial"], 16) == repository.config.chunker_polynomial
    [index_id] = repository.file_ids("index")
    packs = json.loads(restic.run("cat", "index", index_id.hex(), repository=vault))["packs"]
    assert {pack["id"] for pack in packs} == {pack.hex() for pack in repository.index.packs}


def test_restic_goes_on_where_we_stopped(restic: Restic, vault: Path, tmp_path: Path) -> None:
    """Backup, forget and prune by stock restic leave a repository that is whole for both."""
    repository = opened(vault)
    ours = take_snapshot(repository)
    gone = take_snapshot(repository, {b"gone soon": Random(31).randbytes(300_000)})
    source = tmp_path / "source"
    source.mkdir()
    (source / "new").write_bytes(b"by stock restic")
    restic.run("backup", "--host", "other", str(source), repository=vault)
    restic.run("forget", "--prune", "--max-unused", "0", gone.hex(), repository=vault)
    assert "no errors" in restic.run("check", "--read-data", repository=vault)
    again = opened(vault)
    assert len(again.file_ids("snapshots")) == 2
    [crm] = again.load_tree(again.load_snapshot(ours).tree)
    assert crm.subtree is not None
    for node in again.load_tree(crm.subtree):
        blobs = [again.load_blob(BlobType.DATA, blob_id) for blob_id in node.content or ()]
        assert b"".join(blobs) == FILES.get(node.name, b"linked" if blobs else b"")
    with pytest.raises(DamageFound, match="in no index"):
        again.load_blob(BlobType.DATA, digest(Random(31).randbytes(300_000)))


def test_two_writers_at_once_leave_nothing_to_complain_of(restic: Restic, vault: Path) -> None:
    """Both stored the same blobs, in packs and indexes of their own."""
    one, other = opened(vault), opened(vault)
    take_snapshot(one)
    take_snapshot(other)
    assert len(opened(vault).index.packs) == 4
    assert "no errors" in restic.run("check", "--read-data", repository=vault)


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_a_writer_that_died_leaves_nothing_to_complain_of(
    restic: Restic, vault: Path, first: int
) -> None:
    """Packs that no index names, and indexes that no snapshot needs, are no errors."""
    repository = opened(vault)
    failing = Repository(
        Failing(repository.storage, first=first), repository.key, repository.config
    )
    with pytest.raises(StorageUnreachable):
        take_snapshot(failing)
    restic.run("check", "--read-data", repository=vault)


@pytest.mark.parametrize("kind", ["data", "index", "snapshots", "keys", "config"])
def test_one_flipped_bit_is_found_by_both(restic: Restic, vault: Path, kind: str) -> None:
    """In every kind of file: neither program takes the repository for whole."""
    take_snapshot(opened(vault))
    for path in sorted((vault / kind).rglob("*")) if kind != "config" else [vault / "config"]:
        if path.is_file():
            good = path.read_bytes()
            place = len(good) // 3
            bad = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
            path.chmod(0o600)
            path.write_bytes(bad)
            break
    with pytest.raises(DamageFound):
        read_everything(vault)
    restic.run("check", "--read-data", repository=vault, expect=(1, 12))


def read_everything(vault: Path) -> None:
    repository = opened(vault)
    assert len(list(repository.snapshots())) == 1
    for blobs in repository.index.by_pack().values():
        for kind, blob_id, _ in blobs:
            repository.load_blob(kind, blob_id)
