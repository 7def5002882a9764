"""Everything that a file system can hold, through our backup, stock restic and our restore."""

# Paths are bytes, which pathlib does not take: names need not be text.
# ruff: noqa: PTH211

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from include.backup.format.tree import Node
from include.backup.policy.model import Method
from include.backup.repository.repository import Repository
from include.backup.storage.local import LocalStorage
from tests.interop.archives import Archives, allocated_bytes, entries
from tests.interop.nasty import HOLE_BYTES, SECOND, make_deep, make_everything
from tests.interop.survey import differences, survey
from tests.interop.trees import NASTY_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from tests.interop.conftest import Restic
    from tests.interop.survey import Sight

pytestmark = pytest.mark.interop

# Where and how an entry is stored; restic before 0.17 keeps the device of files with one name too.
NOT_COMPARED = {"content", "subtree", "device_id"}
DEEPEST = 1200  # more than a recursion in Python bears


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
    beside = {path for path in paths if path.startswith("/.holdfast")}
    assert beside == {"/.holdfast", "/.holdfast/RESTORE.md"}
    paths = [path for path in paths if path not in beside]
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
    for beside in (b".holdfast", b".holdfast/RESTORE.md"):
        ours.pop(beside)
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
