"""Everything that a file system can hold, through our backup, stock restic and our restore."""

# Paths are bytes, which pathlib does not take: names need not be text.
# ruff: noqa: PTH101, PTH102, PTH123, PTH211

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from include.backup.format.tree import Node
from include.backup.policy.model import Method
from include.backup.repository.repository import Repository
from include.backup.storage.local import LocalStorage
from tests.interop.archives import Archives, allocated_bytes, entries
from tests.interop.survey import differences, survey
from tests.interop.trees import (
    AS_ROOT,
    EDGES,
    NASTY_NAMES,
    File,
    Folder,
    grow,
    write_sparse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from tests.interop.conftest import Restic
    from tests.interop.survey import Sight

pytestmark = pytest.mark.interop

# Where and how an entry is stored; restic before 0.17 keeps the device of files with one name too.
NOT_COMPARED = {"content", "subtree", "device_id"}
DEEP = 240  # directories in one another
DEEPEST = 1200  # more than a recursion in Python bears
HOLE_BYTES = 12 << 20
SECOND = 1_000_000_000
MOMENTS_NS = {
    "nanoseconds": 1_700_000_000_123_456_789,
    "one-digit": 1_700_000_000_100_000_000,
    "last-digit": 1_700_000_000_000_000_001,
    "epoch": 0,
    "just-before-1970": -1,
    "before-1970": -1_234_567_890 * SECOND + 987_654_321,
    "after-2038": 2_200_000_000 * SECOND + 5,
    "far-future": 9_223_372_035 * SECOND + 999_999_999,  # Go's nanoseconds end in 2262
}


def make_everything(root: Path) -> None:
    """A directory with one of each."""
    named = {name: File(head=b"content of " + name) for name in NASTY_NAMES}
    folders = {b"d-" + name[:253]: Folder(entries={name: named[name]}) for name in NASTY_NAMES}
    grow(root, Folder(entries=named | folders, mode=0o750))
    make_sizes(root / "sizes")
    make_links(root / "links")
    make_metadata(root / "metadata")
    make_special(root / "special")
    make_deep(root / "deep", DEEP)
    os.utime(root, ns=(5 * SECOND, 1_600_000_000 * SECOND + 7))


def make_sizes(folder: Path) -> None:
    folder.mkdir()
    for size in (0, 1, *EDGES):
        (folder / f"noise-{size}").write_bytes(File(seed=size, noise_bytes=size).content())
    for size in (1 << 20, HOLE_BYTES):
        write_sparse(folder / f"hole-{size}", bytes(size))
    with (folder / "holes").open("wb") as file:
        for place in (0, 3 << 20, 9 << 20):
            file.seek(place)
            file.write(b"solid" * 1000)
        file.truncate(HOLE_BYTES)
    (folder / "zeros-not-sparse").write_bytes(bytes(2 << 20))


def make_links(folder: Path) -> None:
    folder.mkdir()
    (folder / "there").mkdir()
    (folder / "there" / "file").write_bytes(b"linked")
    (folder / "dangling").symlink_to('no where/<&>\n"\\')
    (folder / "to-folder").symlink_to("there")
    (folder / "to-itself").symlink_to("to-itself")
    (folder / "up-and-out").symlink_to("../../../../../../etc")
    (folder / "absolute").symlink_to("/etc/passwd")
    (folder / "unicode").symlink_to("ü\u2028\N{GRINNING FACE}")
    (folder / "long").symlink_to("l" * 4095)
    os.utime(folder / "dangling", ns=(1, 1_500_000_000_000_000_007), follow_symlinks=False)
    for number in range(3):
        (folder / f"name-{number}").hardlink_to(folder / "there" / "file")
    (folder / "empty").touch()
    (folder / "empty-again").hardlink_to(folder / "empty")
    write_sparse(folder / "large", File(seed=1, noise_bytes=3 << 20).content())
    (folder / "there" / "large-again").hardlink_to(folder / "large")


def make_metadata(folder: Path) -> None:
    folder.mkdir()
    modes = [0o644, 0o777, 0o4755, 0o2755, 0o1644, 0o7777, 0o6000, 0o444, 0o100]
    for mode in [*modes, 0] if AS_ROOT else modes[:-2]:
        (folder / f"file-{mode:o}").write_bytes(b"m")
        (folder / f"file-{mode:o}").chmod(mode)
        (folder / f"folder-{mode:o}").mkdir()
        if AS_ROOT or mode & 0o500 == 0o500:
            (folder / f"folder-{mode:o}").chmod(mode)
    for name, moment in MOMENTS_NS.items():
        for made in (folder / f"at-{name}", folder / f"folder-at-{name}"):
            made.mkdir() if "folder-at" in made.name else made.touch()
            os.utime(made, ns=(moment, moment))
    for made in (folder / "tagged", folder / "tagged-folder"):
        made.mkdir() if "folder" in made.name else made.write_bytes(b"t")
        os.setxattr(made, "user.empty", b"")
        os.setxattr(made, "user.binary", bytes(range(256)))
        os.setxattr(made, 'user.name <&> "ü" \n', b"value")
        os.setxattr(made, "user.large", b"v" * 2000)
    if AS_ROOT:
        for made in (folder / "strange-owner", folder / "strange-owners-folder"):
            made.mkdir() if "folder" in made.name else made.touch()
            os.chown(made, 3_000_000_000, 123_456)
        (folder / "owned-setuid").write_bytes(b"s")
        os.chown(folder / "owned-setuid", 54321, 54321)
        (folder / "owned-setuid").chmod(0o6755)
        (folder / "owned-link").symlink_to("owned-setuid")
        os.lchown(folder / "owned-link", 54321, 12345)
        with suppress(OSError):  # not every container may
            os.setxattr(folder / "strange-owner", "trusted.note", b"for root only")


def make_special(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "fifo", 0o640)
    os.utime(folder / "fifo", ns=(3, 1_400_000_000_000_000_003))
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(folder, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    if AS_ROOT:
        with suppress(PermissionError):
            os.mknod(folder / "character", 0o640 | stat.S_IFCHR, os.makedev(1, 300))
            os.mknod(folder / "block", 0o660 | stat.S_IFBLK, os.makedev(4000, 70_000))
            os.chmod(folder / "block", 0o660)
            os.utime(folder / "block", ns=(3, 1_300_000_000_000_000_003))


def make_deep(folder: Path, count: int) -> None:
    folder.mkdir()
    path = os.fsencode(folder)
    for _ in range(count):
        path += b"/d"
        os.mkdir(path)
    with open(path + b"/at the bottom", "wb") as file:
        file.write(b"deep")


@pytest.fixture
def folder_for_depths(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied afterwards: pytest, which recurses, could not."""
    yield tmp_path
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """The dataset and its vault, before anything was done."""
    archives = Archives(tmp_path_factory.mktemp("nasty"))
    make_everything(archives.data)
    archives.hold_still()
    return archives


@pytest.fixture(scope="module")
def full(archives: Archives) -> Outcome:
    """The first recovery point."""
    return archives.back_up(Method.FULL)


@pytest.fixture(scope="module")
def wanted(archives: Archives, full: Outcome) -> dict[bytes, Sight]:
    """What every restore must bring back."""
    return survey(archives.data)


@pytest.fixture(scope="module")
def again(archives: Archives, full: Outcome) -> Outcome:
    """An incremental of the same, with nothing changed."""
    return archives.back_up()


def test_all_of_it_is_in_the_recovery_point(full: Outcome, wanted: dict[bytes, Sight]) -> None:
    """Every entry is counted, the socket among them, and none is noted as left out."""
    assert full.details["entries"] == len(wanted) - 1 + 1  # not the root, but the socket
    assert full.details["notes"] == 0
    assert {name for name in wanted if b"/" not in name[2:]} >= {b"./" + n for n in NASTY_NAMES}


def test_restic_finds_nothing_wrong(restic: Restic, archives: Archives, full: Outcome) -> None:
    """Stock restic reads every byte of it."""
    assert "no errors were found" in archives.restic(restic, full, "check", "--read-data")


def test_restic_restores_it_identically(
    restic: Restic, archives: Archives, full: Outcome, wanted: dict[bytes, Sight], tmp_path: Path
) -> None:
    """Content, modes, owners, times, links, extended attributes and device numbers."""
    restored = archives.restore_by_restic(restic, full, tmp_path)
    assert differences(wanted, survey(restored)) == []


def test_we_restore_it_identically(
    archives: Archives, full: Outcome, wanted: dict[bytes, Sight], tmp_path: Path
) -> None:
    """The same by our own restore, which notes the socket and nothing else."""
    target = tmp_path / "restored"
    outcome = archives.restore(full, target)
    assert differences(wanted, survey(target)) == []
    expected = ["special/socket: a socket: only its program can make it again"]
    owners = ["owners were not restored: only root may set them"]
    assert [note for note in outcome.details["noted"] if owners[0] not in note] == expected


def test_what_was_sparse_is_sparse_again(archives: Archives, full: Outcome, tmp_path: Path) -> None:
    """Holes take no room after our restore, nor do zeros that took room before."""
    archives.restore(full, tmp_path / "restored", path="sizes")
    sizes = tmp_path / "restored" / "sizes"
    assert allocated_bytes(sizes / f"hole-{HOLE_BYTES}") == 0
    assert allocated_bytes(sizes / "zeros-not-sparse") == 0
    assert allocated_bytes(sizes / "holes") <= 3 * (128 << 10)
    noise = sizes / f"noise-{1 << 20}"
    assert allocated_bytes(noise) >= 1 << 20


def test_one_deep_file_is_restored_alone(folder_for_depths: Path) -> None:
    """With the directories above it and their metadata, however many they are."""
    archives = Archives(folder_for_depths / "site")
    archives.write(beside=b"not wanted")
    make_deep(archives.data / "deep", DEEPEST)
    outcome = archives.back_up(Method.FULL)
    target = folder_for_depths / "restored"
    archives.restore(outcome, target, path="*/at the bottom")
    wanted = survey(archives.data)
    del wanted[b"./beside"]
    assert differences(wanted, survey(target)) == []


def test_restic_lists_every_name(
    restic: Restic, archives: Archives, full: Outcome, wanted: dict[bytes, Sight]
) -> None:
    """As many entries as there are, each once."""
    lines = archives.restic(restic, full, "ls", "--json", full.details["snapshot"]).split("\n")
    listed = [json.loads(line) for line in lines if line]
    paths = [entry["path"] for entry in listed if entry.get("struct_type") == "node"]
    assert len(paths) == len(wanted) + 1  # the socket; /crm stands for the root
    assert "/crm/links/there/file" in paths


def test_nothing_changed_is_nothing_new(
    restic: Restic, archives: Archives, full: Outcome, again: Outcome
) -> None:
    """An incremental of the same is the same tree, nothing of it read, and restic agrees."""
    assert archives.tree(again) == archives.tree(full)
    assert again.details["bytes_read"] == 0
    assert again.details["bytes_new"] == 0
    points = full.details["snapshot"], again.details["snapshot"]
    shown = archives.restic(restic, full, "diff", "--metadata", *points)
    assert [line for line in shown.split("\n") if line[:2] in {"+ ", "- ", "M ", "T ", "U "}] == []


def test_restic_sees_the_same_as_we_do(
    restic: Restic, archives: Archives, full: Outcome, again: Outcome, tmp_path: Path
) -> None:
    """Field by field, of each entry of the same directory."""
    folder, password = tmp_path / "stock", archives.password(again)
    restic.run("init", "--repository-version", "2", repository=folder, password=password)
    restic.run("backup", ".", repository=folder, password=password, cwd=archives.data)
    theirs = Repository.open(LocalStorage(folder), password)
    theirs.load_index()
    [(_, snapshot)] = theirs.snapshots()
    stock = entries(theirs, snapshot.tree)
    ours = entries(archives.repository(again), archives.tree(again))
    ours.pop(b"crm/special/socket")  # stock restic leaves sockets out, or not, by version
    stock.pop(b"special/socket", None)
    assert set(ours) == {b"crm", *(b"crm/" + path for path in stock)}
    told = []
    for path, found in stock.items():
        own = ours[b"crm/" + path]
        # By name with us; in the order of the file system with stock restic.
        node = found._replace(extended_attributes=tuple(sorted(found.extended_attributes)))
        told += [
            (path, name, getattr(own, name), getattr(node, name))
            for name in sorted(set(Node._fields) - NOT_COMPARED)
            if getattr(own, name) != getattr(node, name)
        ]
        if len(node.content or ()) == len(own.content or ()) == 1:
            assert own.content == node.content
    assert not told, told


def test_what_stock_restic_cannot_bring_back_we_do(restic: Restic, tmp_path: Path) -> None:
    """Raw and attributed links, links with two names, times after 2262; stock checks them well."""
    archives = Archives(tmp_path / "site")
    data = os.fsencode(archives.data)
    os.symlink(b"\xff\xe2\x82/\xc3\xbc", data + b"/raw")
    os.link(data + b"/raw", data + b"/raw-again", follow_symlinks=False)
    os.symlink(b"raw", data + b"/tagged")
    with suppress(OSError):
        os.setxattr(data + b"/tagged", "trusted.link", b"of a link", follow_symlinks=False)
    (archives.data / "late").write_bytes(b"l")
    os.utime(archives.data / "late", ns=(0, 15_000_000_000 * SECOND + 1))
    outcome = archives.back_up(Method.FULL)
    archives.restic(restic, outcome, "check", "--read-data")
    archives.restore(outcome, tmp_path / "ours")
    assert differences(survey(archives.data), survey(tmp_path / "ours")) == []
