"""A run that dies at any change it makes: nothing acknowledged is lost, and the next run succeeds.

These tests walk through every row of the crash table in DESIGN.md.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.policy.model import Method
from include.backup.repository import packer
from include.backup.vault.keyring import KeyContext, load_secret
from tests.damage.site import Crash, Crashing, Site, kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.backup.actions.dataset_vault import DatasetVault

_PACK_BYTES = 64 << 10


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small packs."""
    monkeypatch.setattr(packer, "TARGET_BYTES", _PACK_BYTES)


def some_files(seed: int, count: int = 6) -> dict[str, bytes]:
    """Files that no compressor can shrink, each most of a pack."""
    dice = random.Random(seed)
    return {f"part{seed}__{number}": dice.randbytes(_PACK_BYTES - 99) for number in range(count)}


def fresh_full(site: Site) -> Method:
    """The first backup of a dataset."""
    site.write(**some_files(1))
    return Method.INCREMENTAL


def incremental(site: Site) -> Method:
    """A backup that adds to a completed generation."""
    site.write(**some_files(1))
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    site.wait(days=1)
    site.write(**some_files(2), part1__0=b"changed")
    return Method.INCREMENTAL


def next_full(site: Site) -> Method:
    """A backup that opens another generation."""
    incremental(site)
    return Method.FULL


def resumed_full(site: Site) -> Method:
    """A backup that goes on with what an interrupted one has left."""
    site.write(**some_files(1))
    crashing = Crashing(site.memory, at=14, after=True)  # between two packs
    with pytest.raises(Crash):
        back_up(site.setting(crashing), "crm", method=Method.INCREMENTAL)
    site.wait(minutes=31)
    return Method.INCREMENTAL


SCENES = (fresh_full, incremental, next_full, resumed_full)


def changes_of(scene: Callable[[Site], Method], folder: Path) -> list[str]:
    """Every change that a run of a scene makes, in order."""
    site = Site(folder)
    method = scene(site)
    counting = Crashing(site.memory)
    assert kept(back_up(site.setting(counting), "crm", method=method))
    return counting.changes


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scene", SCENES)
def test_crash_at_every_save(
    scene: Callable[[Site], Method], tmp_path: Path, *, after: bool
) -> None:
    """Whatever was recorded still restores, nothing is damaged, and the next run succeeds."""
    site = Site(tmp_path)
    method = scene(site)
    before = {point.snapshot: site.restored(point.snapshot) for point in points(site)}
    rewind = site.rewinding()
    counting = Crashing(site.memory)
    assert kept(back_up(site.setting(counting), "crm", method=method))
    for at, change in enumerate(counting.changes, start=1):
        rewind()
        with pytest.raises(Crash):
            back_up(site.setting(Crashing(site.memory, at=at, after=after)), "crm", method=method)
        site.wait(minutes=31)  # the lease of the dead is over then
        outcome = back_up(site.setting(), "crm", method=method)
        assert outcome.ok, f"{change}: {outcome.sentence}"
        recover(site, before, change)


def recover(site: Site, before: dict[str, dict[str, bytes]], change: str) -> None:
    """Assert that everything is as it should be after the run that followed a crash."""
    assert site.restored() == site.content(), change
    for point, content in before.items():
        assert site.restored(point) == content, change
    _, damages = check(site.setting(), "crm", reading=Reading.ALL)
    assert damages == [], change
    site.place().ledger.verify()
    state = site.place().state()
    assert [act.action for act in state.acts] == [], change
    for generation in state.generations:
        assert not (generation.points and generation.damaged), change


def points(site: Site) -> tuple[object, ...]:
    """The recovery points of the dataset."""
    return site.place().state().points


def test_what_was_uploaded_before_a_crash_is_not_uploaded_again(tmp_path: Path) -> None:
    """Packs of a dead run are found by their headers, though no index names them."""
    whole = len(changes_of(fresh_full, tmp_path / "counted"))
    stored = {}
    for at in range(1, whole + 1):
        site = Site(tmp_path / f"{at}")
        method = fresh_full(site)
        with pytest.raises(Crash):
            back_up(site.setting(Crashing(site.memory, at=at, after=True)), "crm", method=method)
        packs = sum(i.size_bytes for i in site.memory.list() if "/data/" in i.name)
        site.wait(minutes=31)
        outcome = back_up(site.setting(), "crm", method=method)
        if outcome.kind == "recovery-point":
            stored[at] = (packs, outcome.details["bytes_stored"])
            require_all_accounted(site)
        shutil.rmtree(site.folder)
    reused = [again for packs, again in stored.values() if packs > 3 * _PACK_BYTES]
    assert reused
    assert max(reused) <= 4 * _PACK_BYTES


def require_all_accounted(site: Site) -> None:
    """What a recovery point stored, and what it found, is all that its packs hold; none twice."""
    points = site.place().state().points
    [generation] = [g for g in site.place().state().generations if g.points]
    repository = site.place().repository(generation)
    repository.load_index()
    assert sum(point.bytes_in_vault for point in points) == repository.index.blob_bytes
    told = site.place().ledger.head()
    assert told is not None
    assert ("stored before by an interrupted run" in told.sentence) == (points[-1].bytes_found > 0)


def test_an_incremental_finds_what_a_killed_one_had_stored(tmp_path: Path) -> None:
    """Of the packs of its generation it tells those that no recovery point accounts for."""
    site = Site(tmp_path)
    method = incremental(site)
    crashing = Crashing(site.memory, at=8, after=True)
    with pytest.raises(Crash):
        back_up(site.setting(crashing), "crm", method=method)
    site.wait(minutes=31)
    outcome = back_up(site.setting(), "crm", method=method)
    assert kept(outcome)
    [full, added] = site.place().state().points
    repository = site.place().repository(site.place().state().generations[0])
    repository.load_index()
    assert added.bytes_found > 0
    assert full.bytes_in_vault + added.bytes_in_vault == repository.index.blob_bytes
    site.wait(days=1)
    site.write(more=b"more")
    again = back_up(site.setting(), "crm", method=method)
    assert again.details["bytes_found"] == 0
    assert again.details["bytes_new"] == len(b"more")


def test_a_generation_that_never_got_its_files_is_abandoned(tmp_path: Path) -> None:
    """Recorded as opened, dead before the envelope: the next full opens another one."""
    site = Site(tmp_path)
    method = fresh_full(site)
    changes = changes_of(fresh_full, tmp_path / "counted")
    envelope = next(n for n, change in enumerate(changes, 1) if "/keys/2" in change)
    with pytest.raises(Crash):
        back_up(site.setting(Crashing(site.memory, at=envelope)), "crm", method=method)
    site.wait(minutes=31)
    assert kept(back_up(site.setting(), "crm", method=method))
    assert [g.state.value for g in site.place().state().generations] == ["abandoned", "completed"]


def test_a_snapshot_without_a_record_is_adopted(tmp_path: Path) -> None:
    """Dead between snapshot and record: the next run records it, flagged, with its own time."""
    site = Site(tmp_path)
    method = incremental(site)
    changes = changes_of(incremental, tmp_path / "counted")
    snapshot = next(n for n, change in enumerate(changes, 1) if "/snapshots/" in change)
    crashing = Crashing(site.memory, at=snapshot, after=True)
    with pytest.raises(Crash):
        back_up(site.setting(crashing), "crm", method=method)
    taken = site.now
    site.wait(minutes=31)
    back_up(site.setting(), "crm", method=method)
    adopted = [point for point in site.place().state().points if point.adopted]
    assert len(adopted) == 1
    assert adopted[0].taken_at <= taken
    kinds = [record.kind for record in site.place().ledger.read()]
    assert "adopted" in kinds
    assert "interrupted" in kinds


@pytest.mark.interop
def test_stock_restic_finds_every_crashed_repository_clean(tmp_path: Path) -> None:
    """After a crash and the run that follows, `restic check --read-data` has nothing to say."""
    changes = changes_of(incremental, tmp_path / "counted")
    dice = random.Random(7)
    for at in dice.sample(range(1, len(changes) + 1), 4):
        site = Site(tmp_path / f"{at}")
        method = incremental(site)
        with pytest.raises(Crash):
            back_up(site.setting(Crashing(site.memory, at=at, after=True)), "crm", method=method)
        site.wait(minutes=31)
        back_up(site.setting(), "crm", method=method)
        restic_check(site.place(), site.dump(tmp_path / f"vault-{at}"))


def restic_check(place: DatasetVault, vault: Path) -> None:
    """Let stock restic judge every completed generation."""
    for generation in place.state().generations:
        if not generation.points:
            continue
        context = KeyContext(dataset="crm", generation=generation.id)
        secret = load_secret(place.folder, place.provider(), context)
        repository = vault / "datasets" / "crm" / "generations" / generation.id
        done = subprocess.run(
            ["restic", "-r", str(repository), "check", "--read-data", "--no-cache"],
            env={"RESTIC_PASSWORD": secret.password, "PATH": "/usr/bin:/bin:/usr/local/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
