"""Real processes on one vault: killed at random, stopped and woken, two at once."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import BackupError
from include.backup.policy.model import Method
from include.backup.storage.local import LocalStorage
from tests.damage.tally import tell
from tests.damage.victims import AHEAD, LongHistory, child, is_ours, require_clean, write_some
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.conftest import Restic

KILLS = int(os.environ.get("HOLDFAST_KILLS", "5"))  # `make torture` asks for many more
pytestmark = [pytest.mark.interop, pytest.mark.timeout(300 + 30 * KILLS)]


@pytest.fixture
def site(tmp_path: Path) -> Archives:
    """A dataset that nothing was backed up of."""
    return Archives(tmp_path)


def vault_bytes(site: Archives) -> int:
    """Bytes of all packs."""
    return sum(i.size_bytes for i in LocalStorage(site.vault).list() if "/data/" in i.name)


def test_kill_9_at_random_moments(site: Archives, restic: Restic) -> None:
    """Earlier points restore, nothing is damaged, and the next run uploads what is missing only."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    began = time.monotonic()
    write_some(site, 0)
    with child(site) as untroubled:
        assert untroubled.hear_all().startswith("recovery-point: KEPT")
    seconds = time.monotonic() - began
    kept = {site.place().state().points[0].snapshot: site.content()}
    interrupted = 0
    for kill in range(1, KILLS + 1):
        where = f"seed {seed}, kill {kill} of {KILLS}"
        write_some(site, kill)
        method = dice.choice(["incremental", "full"])
        with child(site, method) as victim:
            time.sleep(dice.uniform(0, seconds * 0.6))
            victim.kill()
        before = vault_bytes(site)
        for snapshot, content in list(kept.items())[-3:]:
            assert site.restored(snapshot) == content, where
        points = site.place().state().points
        interrupted += points[-1].snapshot in kept
        with child(site, method) as again:
            told = again.hear_all()
        assert told.startswith("recovery-point: KEPT"), f"{where}: {told}"
        newest = site.place().state().points[-1]
        stored = vault_bytes(site) - before
        assert stored <= newest.bytes_stored + 20_000 + stored // 50, where  # headers, indexes
        kept[newest.snapshot] = site.content()
        assert site.restored(newest.snapshot) == site.content(), where
    assert interrupted, f"seed {seed}: no kill came in time"
    require_no_blob_twice(site)
    require_clean(site, restic)
    tell("kill -9, backup of files", {"in time": interrupted, "too late": KILLS - interrupted})


@pytest.mark.parametrize("act", ["restore", "expire", "replicate", "rotate"])
def test_kill_9_of_every_other_act(site: Archives, restic: Restic, act: str) -> None:
    """Data comes back, an expired generation goes, a copy follows, keys change: gone on with."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    history, in_time = LongHistory(site, act, files=12), 0
    kills = max(2, KILLS if os.environ.get("HOLDFAST_KILLS") else KILLS // 5)
    for kill in range(1, kills + 1):
        history.rewind()
        with child(site, act, ahead=AHEAD) as victim:
            time.sleep(dice.uniform(0, history.seconds))
            victim.kill()
            told = victim.hear_all()
        in_time += not told
        assert not told or is_ours(told), f"seed {seed}, kill {kill}: {told}"
        try:
            history.require_kept(told)
        except (AssertionError, BackupError) as error:
            error.add_note(f"seed {seed}, kill {kill}")
            raise
    tell(f"kill -9, {act}", {"in time": in_time, "too late": kills - in_time})
    require_clean(site, restic)


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
            told = second.hear_all()
        assert told.startswith("refused: ")
        assert "already running since" in told
        assert "this is no failure" in told
        assert site.place().state().failures == 0
        first.go_on()
        assert first.hear_all().startswith("recovery-point: KEPT")
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
        os.kill(sleeper.pid, signal.SIGSTOP)
        sleeper.go_on()  # it cannot hear it yet
        time.sleep(1.5)
        with child(site, time_to_live=1) as successor:
            assert successor.hear_all().startswith("recovery-point: KEPT")
        points = site.place().state().points
        os.kill(sleeper.pid, signal.SIGCONT)
        assert sleeper.hear_all().startswith("LeaseLost: another run has taken over")
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
        os.kill(sleeper.pid, signal.SIGSTOP)
        sleeper.go_on()
        time.sleep(1.5)
        with child(site, time_to_live=1) as successor:
            assert successor.hear_all().startswith("recovery-point: KEPT")
        os.kill(sleeper.pid, signal.SIGCONT)
        assert sleeper.hear_all().startswith("LeaseLost: ")
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
        assert full.hear_all().startswith("recovery-point: KEPT")
    points = site.place().state().points
    assert [str(point.method) for point in points] == ["full", "incremental", "full"]
    assert points[0].generation == points[1].generation != points[2].generation
    for point in points[1:]:
        assert site.restored(point.snapshot) == site.content()
    require_clean(site, restic)
