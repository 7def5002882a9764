"""A directory as a storage: durability, crashes, full disks, stale files."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from include.backup.errors import AccessRefused, NameTaken, StorageFull
from include.backup.storage.local import LocalStorage
from include.backup.storage.local_files import STALE_SECONDS

PROJECT = Path(__file__).resolve().parents[3]
PREAMBLE = """
import sys
from pathlib import Path
from include.backup.errors import StorageFull
from include.backup.storage.local import LocalStorage
storage = LocalStorage(Path(sys.argv[1]))
"""


def run_python(
    code: str, *arguments: str, before: tuple[str, ...] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run code with a storage in an interpreter of its own."""
    return subprocess.run(
        [*before, sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_and_folders_are_for_the_owner_alone(tmp_path: Path) -> None:
    """Files cannot be written again by accident, and no other user can look in."""
    LocalStorage(tmp_path / "vault").save("a/b/c", b"x")
    assert stat.S_IMODE((tmp_path / "vault/a/b/c").stat().st_mode) == 0o400
    for folder in ("vault", "vault/a", "vault/a/b"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_nothing_but_files_stays_behind(tmp_path: Path) -> None:
    """After saves, lost races and refused bytes no temporary file is left."""
    storage = LocalStorage(tmp_path)
    storage.save("a/one", b"x" * 100_000)
    with pytest.raises(NameTaken):
        storage.save("a/one", b"y")
    assert everything_in(tmp_path) == ["a/one"]


def test_every_step_is_flushed_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are flushed before the name exists, the folder after, new folders before use."""
    steps: list[str] = []
    really_fsync, really_link = os.fsync, os.link

    def fsync(fd: int) -> None:
        flushed = Path(f"/proc/self/fd/{fd}").readlink()
        steps.append(f"flush {flushed.relative_to(tmp_path)}")
        really_fsync(fd)

    def link(source: str, target: str) -> None:
        steps.append(f"link {Path(target).relative_to(tmp_path)}")
        really_link(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    storage = LocalStorage(tmp_path / "vault")
    storage.save("data/ab/pack", b"x")
    steps = ["flush TEMPORARY" if step.endswith(".tmp") else step for step in steps]
    assert steps == [
        "flush .",
        "flush vault",
        "flush vault/data",
        "flush TEMPORARY",
        "link vault/data/ab/pack",
        "flush vault/data/ab",
    ]
    steps.clear()
    storage.save("data/ab/next", b"x")
    assert len(steps) == 3, "folders known to exist are not made and flushed again"


def test_an_fsync_that_fails_fails_the_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that may not have reached the disk never get a name."""

    def broken(fd: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.ENOSPC, "late allocation")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageFull):
        LocalStorage(tmp_path).save("file", b"x")
    assert everything_in(tmp_path) == []


def test_a_file_system_without_links_is_refused_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where create-only cannot be had, nothing is stored, and the message says what to use."""

    def link(_source: str, _target: str) -> None:
        raise PermissionError(errno.EPERM, "vfat")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(AccessRefused, match=r"hint: .*hard links"):
        LocalStorage(tmp_path).save("file", b"x")
    assert everything_in(tmp_path) == []


def test_a_link_whose_answer_was_lost_is_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS may say "exists" about the link it has just made for us."""
    really_link = os.link

    def link(source: str, target: str) -> None:
        really_link(source, target)
        really_link(source, target)

    monkeypatch.setattr(os, "link", link)
    LocalStorage(tmp_path).save("file", b"x")
    assert LocalStorage(tmp_path).load("file") == b"x"


def test_stale_temporary_files_are_swept_and_young_ones_kept(tmp_path: Path) -> None:
    """The leftovers of dead writers go when their folder is written to; living writers stay."""
    storage = LocalStorage(tmp_path)
    storage.save("a/first", b"x")
    old, young, other = (tmp_path / name for name in ("a/.1-old.tmp", "a/.2-young.tmp", "b/.3.tmp"))
    (tmp_path / "b").mkdir()
    for path in (old, young, other):
        path.write_bytes(b"half")
    long_ago = (tmp_path / "a/first").stat().st_mtime - STALE_SECONDS - 60
    for path in (old, other):
        os.utime(path, (long_ago, long_ago))
    assert [info.name for info in storage.list()] == ["a/first"], "no reader sees them"
    LocalStorage(tmp_path).save("a/second", b"x")
    assert everything_in(tmp_path) == ["a/.2-young.tmp", "a/first", "a/second", "b/.3.tmp"]


def test_empty_folders_vanish_and_come_back(tmp_path: Path) -> None:
    """Deleting the last file of a folder removes it; saving into it works all the same."""
    storage, other = LocalStorage(tmp_path), LocalStorage(tmp_path)
    for _ in range(3):
        storage.save("a/b/c", b"x")
        other.delete(["a/b/c"])
        assert not (tmp_path / "a").exists()
    assert tmp_path.is_dir()


def test_saving_and_deleting_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    """A folder removed at the wrong moment is made again: no save is lost, none refused."""

    def work(worker: int) -> None:
        storage = LocalStorage(tmp_path)
        for number in range(150):
            name = f"x/y/{worker}-{number}"
            storage.save(name, b"x")
            assert storage.load(name) == b"x"
            storage.delete([name])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


@pytest.mark.parametrize("moment", ["before it is seen", "before the flush"])
def test_a_folder_that_vanishes_is_no_name_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Who names by hash ignores NameTaken, so a false one would lose the file."""
    target, really_stat, really_open = str(tmp_path / "a/b"), os.stat, os.open
    vanished: list[str] = []
    storage_saw_target: list[str] = []

    def vanish() -> None:
        vanished.append(moment)
        Path(target).rmdir()
        Path(target).parent.rmdir()

    def slow_stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if moment == "before it is seen" and path == target and not vanished:
            vanish()
        if path == target:
            storage_saw_target.append(path)
        return really_stat(path, *arguments, **options)

    def slow_open(path: Any, *arguments: Any, **options: Any) -> int:
        flushing = moment == "before the flush" and path == str(tmp_path / "a")
        if flushing and storage_saw_target and not vanished:
            vanish()
        return really_open(path, *arguments, **options)

    Path(target).mkdir(parents=True)  # another writer's, who deletes its file meanwhile
    monkeypatch.setattr(os, "stat", slow_stat)
    monkeypatch.setattr(os, "open", slow_open)
    LocalStorage(tmp_path).save("a/b/c", b"x")
    monkeypatch.undo()
    assert vanished
    assert LocalStorage(tmp_path).load("a/b/c") == b"x"


def test_a_file_in_the_place_of_a_folder_takes_the_name(tmp_path: Path) -> None:
    """A name below an existing file is taken, and a name that is a folder too."""
    storage = LocalStorage(tmp_path)
    storage.save("config", b"x")
    storage.save("data/x", b"x")
    for name in ("config/x", "config/x/y", "data"):
        with pytest.raises(NameTaken):
            storage.save(name, b"x")


def test_the_disk_s_own_folder_is_not_read(tmp_path: Path) -> None:
    """A vault that is a whole file system has a lost+found that only root may read."""
    storage = LocalStorage(tmp_path)
    storage.save("x", b"x")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found/#12").write_bytes(b"")
    assert [info.name for info in storage.list()] == ["x"]
    assert storage.folders() == []


def test_a_file_over_the_size_limit_is_a_full_store(tmp_path: Path) -> None:
    """EFBIG ends as StorageFull, with nothing visible and nothing left behind."""
    done = run_python(
        """
        storage.save("small", b"x" * 1000)
        for size in (1_000_000, 40_000):  # with and without fallocate
            try:
                storage.save("large", b"x" * size)
            except StorageFull as error:
                print("full:", error)
        """,
        str(tmp_path),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.stdout.count("full: large") == 2, done.stderr
    assert everything_in(tmp_path) == ["small"]


def test_a_full_disk_keeps_what_was_saved(tmp_path: Path) -> None:
    """ENOSPC and a lack of inodes end as StorageFull; earlier files stay whole."""
    namespace = ("unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o "$0" none "$1" && shift && "$@"')
    probe = [*namespace, "size=1m", str(tmp_path), "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("this machine gives no user namespaces with a tmpfs")
    code = """
        import hashlib
        saved = {}
        try:
            for number in range(10_000):
                body = bytes([number % 256]) * int(sys.argv[2])
                storage.save(f"data/{number:04}", body)
                saved[f"data/{number:04}"] = body
        except StorageFull:
            print("full after", len(saved))
        assert saved
        assert {info.name: storage.load(info.name) for info in storage.list()} == saved
        assert not [name for name in Path(sys.argv[1]).rglob(".*")]
        storage.delete(list(saved)[:2])
        storage.save("data/again", b"x" * int(sys.argv[2]))
        print("whole")
        """
    for limits, size in (("size=1m", 30_000), ("size=1m", 100_000), ("size=1m,nr_inodes=20", 10)):
        done = run_python(
            code, str(tmp_path), str(size), before=(*namespace, limits, str(tmp_path))
        )
        assert "full after" in done.stdout, done.stderr
        assert done.stdout.endswith("whole\n"), done.stderr


def test_a_killed_writer_leaves_no_half_file(tmp_path: Path) -> None:
    """Whenever a writer is killed, every visible file is whole and every acknowledged one there."""
    code = PREAMBLE + textwrap.dedent(
        """
        import hashlib, itertools, os
        for number in itertools.count():
            body = os.urandom(1 << 20)
            name = hashlib.sha256(body).hexdigest()
            storage.save(f"data/{name}", body)
            print(name, flush=True)
        """
    )
    kept = 0
    for round_ in range(8):
        root = tmp_path / str(round_)
        with subprocess.Popen(
            [sys.executable, "-c", code, str(root)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            time.sleep(0.007 * round_)
            writer.send_signal(signal.SIGKILL)
            acknowledged = [first, *writer.stdout.readlines()]
        storage = LocalStorage(root)
        visible = [info.name for info in storage.list("data/")]
        for name in visible:
            assert hashlib.sha256(storage.load(name)).hexdigest() == name.removeprefix("data/")
        whole = [line.strip() for line in acknowledged if line.endswith("\n")]
        assert {f"data/{name}" for name in whole} <= set(visible)
        kept += len(visible)
    assert kept >= 8


def test_large_buffers_are_saved_without_a_copy(tmp_path: Path) -> None:
    """A view of a reused buffer is stored as it was at the time of the save."""
    buffer = bytearray(os.urandom(1 << 20))
    before = bytes(buffer[100:500_000])
    storage = LocalStorage(tmp_path)
    with memoryview(buffer) as view:
        storage.save("view", view[100:500_000], sha256=hashlib.sha256(before).digest())
    buffer[:] = bytes(len(buffer))
    assert storage.load("view") == before


@pytest.mark.parametrize("place", ["vault", "vault/deep", "vault/deep/deeper"])
def test_a_file_where_the_vault_should_be_is_told(tmp_path: Path, place: str) -> None:
    """It is neither an absent file nor a name that is taken: both would be passed over."""
    (tmp_path / "vault").write_text("")
    with pytest.raises(AccessRefused, match=r"cannot be made: .*/vault is a file; hint: correct"):
        LocalStorage(tmp_path / place).save("a/b", b"x")


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.EROFS, "is its volume mounted read-only"), (errno.EACCES, "see the owner and mode")],
)
def test_a_vault_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    """With what to do about it."""

    def refuse(path: str, mode: int) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(AccessRefused, match=hint):
        LocalStorage(tmp_path / "vault").save("a/b", b"x")
