"""Real processes on one vault: killed at random, stopped and woken, two at once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.check import Reading, check
from include.backup.policy.model import Method
from include.backup.storage.local import LocalStorage
from tests.damage.child import ACTS, PACK_BYTES
from tests.damage.site import ROOT
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.backup.storage.base import Storage
    from tests.interop.conftest import Restic

KILLS = int(os.environ.get("HOLDFAST_KILLS", "5"))  # `make torture` asks for many more
pytestmark = [pytest.mark.interop, pytest.mark.timeout(300 + 10 * KILLS)]


class Child:
    """A backup in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hear(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        """Let it save what it waits to save."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """The last line that it prints, and its end."""
        told = self.hear()
        assert self.process.wait(timeout=60) == 0
        return told


@contextmanager
def child(
    site: Archives,
    act: str = "incremental",
    *,
    stop_before: str = "",
    time_to_live: float = 600,
    ahead: timedelta = timedelta(),
) -> Iterator[Child]:
    """Begin an act in another process; it is gone at the end, whatever happened."""
    options = ["--stop-before", stop_before, "--time-to-live", str(time_to_live)]
    options += ["--ahead", str(ahead.total_seconds())]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.damage.child", str(site.folder), act, *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        running = Child(process)
        assert running.hear() == "begins"
        yield running
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def site(tmp_path: Path) -> Archives:
    """A dataset that nothing was backed up of."""
    return Archives(tmp_path)


def write_some(site: Archives, seed: int, count: int = 40) -> None:
    """Files that no compressor can shrink, each most of a pack."""
    dice = random.Random(seed)
    site.write(**{f"part{seed % 3}__{n}": dice.randbytes(PACK_BYTES - 99) for n in range(count)})


def vault_bytes(site: Archives) -> int:
    """Bytes of all packs."""
    return sum(i.size_bytes for i in LocalStorage(site.vault).list() if "/data/" in i.name)


def require_clean(site: Archives, restic: Restic) -> None:
    """Stock restic, our own check and the ledger have nothing to say."""
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    site.place().ledger.verify()
    state = site.place().state()
    assert not state.acts
    for generation in state.generations:
        if generation.points:
            repository = site.vault / "datasets/crm/generations" / generation.id
            password = site.password_of(generation.id)
            restic.run("check", "--read-data", repository=repository, password=password)


def test_kill_9_at_random_moments(site: Archives, restic: Restic) -> None:
    """Earlier points restore, nothing is damaged, and the next run uploads what is missing only."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    began = time.monotonic()
    write_some(site, 0)
    with child(site) as untroubled:
        assert untroubled.end().startswith("recovery-point: KEPT")
    seconds = time.monotonic() - began
    kept = {site.place().state().points[0].snapshot: site.content()}
    interrupted = 0
    for kill in range(1, KILLS + 1):
        where = f"seed {seed}, kill {kill} of {KILLS}"
        write_some(site, kill)
        method = dice.choice(["incremental", "full"])
        with child(site, method) as victim:
            time.sleep(dice.uniform(0, seconds * 0.6))
            victim.process.kill()
        before = vault_bytes(site)
        for snapshot, content in list(kept.items())[-3:]:
            assert site.restored(snapshot) == content, where
        points = site.place().state().points
        interrupted += points[-1].snapshot in kept
        with child(site, method) as again:
            told = again.end()
        assert told.startswith("recovery-point: KEPT"), f"{where}: {told}"
        newest = site.place().state().points[-1]
        stored = vault_bytes(site) - before
        assert stored <= newest.bytes_stored + 20_000 + stored // 50, where  # headers, indexes
        kept[newest.snapshot] = site.content()
        assert site.restored(newest.snapshot) == site.content(), where
    assert interrupted, f"seed {seed}: no kill came in time"
    require_no_blob_twice(site)
    require_clean(site, restic)


@pytest.mark.parametrize("act", ["expire", "replicate", "rotate"])
def test_kill_9_of_what_removes_and_copies(site: Archives, restic: Restic, act: str) -> None:
    """An expired generation goes, a copy follows, keys change: killed at random, gone on with."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    site.add_second()
    write_some(site, 0)
    site.back_up()
    ACTS["replicate"](site)
    for days in (39, 1):  # after a long silence nothing is removed for half a day
        site.wait(days=days)
        site.back_up(Method.FULL)
        site.back_up()
    if act != "expire":
        ACTS["expire"](site)
    ahead = timedelta(days=40)
    folders = ("vault", "second", "state")
    for folder in folders:
        shutil.copytree(site.folder / folder, site.folder / f"kept-{folder}")
    began = time.monotonic()
    with child(site, act, ahead=ahead) as untroubled:
        told = untroubled.end()
        assert "KEPT" in told or "NOT TESTED 3.5" in told or "follow with the next" in told
    seconds, key = time.monotonic() - began, site.keys["backup_master_key"]
    for kill in range(1, max(2, KILLS // 5) + 1):
        where = f"seed {seed}, kill {kill}"
        for folder in folders:
            shutil.rmtree(site.folder / folder)
            shutil.copytree(site.folder / f"kept-{folder}", site.folder / folder)
        with child(site, act, ahead=ahead) as victim:
            time.sleep(dice.uniform(0, seconds * 0.3))  # most of it was the start of Python
            victim.process.kill()
        site.keys["backup_master_key"] = key
        assert ACTS[act](site).ok, where
        assert site.restored() == site.content(), where
        assert not site.place().state().acts, where
        assert ACTS["expire"](site).ok, where
        assert ACTS["replicate"](site).ok, where
        assert held(site.second) == held(site.storage), where
        assert site.restored(replica="second") == site.content(), where
    require_clean(site, restic)


def held(vault: Storage) -> set[str]:
    """What a vault holds of the dataset, but for who works on it."""
    passing = ("/leases/", "/locks/", "/replica.json")
    names = [info.name for info in vault.list("datasets/crm/")]
    return {name for name in names if not any(one in name for one in passing)}


def require_no_blob_twice(site: Archives) -> None:
    """Whatever interrupted runs had stored was found, and not stored again."""
    for generation in site.place().state().generations:
        if not generation.points:
            continue
        repository = site.place().repository(generation)
        repository.load_index()
        blobs = [b for pack in repository.index.by_pack().values() for b in pack]
        assert len({(kind, blob_id) for kind, blob_id, _ in blobs}) == len(blobs)


def test_a_second_run_of_the_same_kind_is_told_so(site: Archives, restic: Restic) -> None:
    """It says since when the first is running, and is no failed backup."""
    write_some(site, 0, 4)
    with child(site, stop_before="/data/") as first:
        assert first.hear().startswith("before ")
        with child(site) as second:
            told = second.end()
        assert told.startswith("refused: ")
        assert "already running since" in told
        assert "this is no failure" in told
        assert site.place().state().failures == 0
        first.go_on()
        assert first.end().startswith("recovery-point: KEPT")
    assert len(site.place().state().points) == 1
    require_clean(site, restic)


def test_a_holder_that_slept_past_its_lease_saves_no_snapshot(
    site: Archives, restic: Restic
) -> None:
    """Stopped, replaced, woken: it notices before its snapshot is saved, and commits nothing."""
    write_some(site, 0, 4)
    site.back_up()
    write_some(site, 1, 4)
    with child(site, stop_before="/data/", time_to_live=1) as sleeper:
        assert sleeper.hear().startswith("before ")
        os.kill(sleeper.process.pid, signal.SIGSTOP)
        sleeper.go_on()  # it cannot hear it yet
        time.sleep(1.5)
        with child(site, time_to_live=1) as successor:
            assert successor.end().startswith("recovery-point: KEPT")
        points = site.place().state().points
        os.kill(sleeper.process.pid, signal.SIGCONT)
        assert sleeper.end().startswith("LeaseLost: another run has taken over")
    assert site.place().state().points == points
    generation = site.place().state().generations[0]
    repository = site.place().repository(generation)
    assert len(repository.file_ids("snapshots")) == len(points) == 2
    site.back_up()
    assert site.restored() == site.content()
    require_clean(site, restic)


def test_a_holder_that_wakes_at_the_last_moment_saves_no_snapshot(
    site: Archives, restic: Restic
) -> None:
    """All packs and indexes are stored; only the lease says that it is too late."""
    write_some(site, 0, 4)
    site.back_up()
    write_some(site, 1, 4)
    with child(site, stop_before="/index/", time_to_live=1) as sleeper:
        assert sleeper.hear().startswith("before ")
        os.kill(sleeper.process.pid, signal.SIGSTOP)
        sleeper.go_on()
        time.sleep(1.5)
        with child(site, time_to_live=1) as successor:
            assert successor.end().startswith("recovery-point: KEPT")
        os.kill(sleeper.process.pid, signal.SIGCONT)
        assert sleeper.end().startswith("LeaseLost: ")
    assert len(site.place().state().points) == 2
    site.back_up()
    require_clean(site, restic)


def test_an_incremental_while_a_full_runs(site: Archives, restic: Restic) -> None:
    """Both succeed, each in a generation of its own."""
    write_some(site, 0, 4)
    site.back_up()
    write_some(site, 1, 4)
    with child(site, "full", stop_before="/data/") as full:
        assert full.hear().startswith("before ")
        assert site.back_up(Method.INCREMENTAL).details["method"] == "incremental"
        assert site.restored() == site.content()
        full.go_on()
        assert full.end().startswith("recovery-point: KEPT")
    points = site.place().state().points
    assert [str(point.method) for point in points] == ["full", "incremental", "full"]
    assert points[0].generation == points[1].generation != points[2].generation
    for point in points[1:]:
        assert site.restored(point.snapshot) == site.content()
    require_clean(site, restic)
