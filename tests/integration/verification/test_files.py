"""Directories: every kind of difference between what is restored and what was backed up."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.open_scratch import open_scratch
from include.backup.actions.outcome import sentence_of
from include.backup.actions.proving import Level
from include.backup.actions.verify import VerifyOrder, verify
from include.backup.errors import ConfigurationInvalid, RestoreRefused, StorageFull
from include.backup.policy.model import Method
from include.backup.quality import scratch_folder
from include.backup.quality.scratch_folder import OWNER, PREFIX, FolderScratch
from include.backup.vault.owners import this_process
from tests.damage.site import Site
from tests.integration.verification.planting import plant_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.backup.actions.outcome import Outcome


class Trial(Site):
    """A dataset with a place where its restores are tried."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.verification = f"verification: {{filesystem: {self.scratch}, encrypted: true}}\n"
        self.write(
            customers__csv="id,name\n1,Ann\n2,Bob\n",
            contracts__a="first",
            contracts__b=os.urandom(3 << 20),
        )
        (self.data / "contracts" / "newest").symlink_to("b")

    def back_up(self, method: Method = Method.FULL) -> Outcome:
        """Take a recovery point."""
        self.wait(hours=1)
        return back_up(self.setting(), "crm", method=method)

    def verify(self, point: str = "", seed: int | None = None) -> tuple[Outcome, list[str]]:
        """Verify what is due, or one recovery point."""
        self.wait(minutes=1)
        return verify(self.setting(), "crm", VerifyOrder(recovery_point=point, seed=seed))

    def left(self) -> list[Path]:
        """What is in the place for trials."""
        return list(self.scratch.iterdir())


@pytest.fixture
def site(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def plant(monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], object]) -> None:
    """Change what was restored before it is looked at."""
    plant_in(monkeypatch, FolderScratch, lambda scratch: fault(scratch._path))


def test_what_is_whole_is_proved(site: Trial) -> None:
    """The record says what was looked at; points are dated; nothing is left in the place."""
    site.back_up()
    site.write(contracts__a="second")
    site.back_up(Method.INCREMENTAL)
    outcome, faults = site.verify()
    assert faults == []
    assert outcome.details["passed"]
    assert outcome.details["level"] == "facts"
    assert [point["whole"] for point in outcome.details["points"]] == [True, True]
    state = site.place().state()
    assert state.verification is not None
    assert state.verification.level is Level.FACTS
    assert [point.verified_at for point in state.points] == [state.verification.at] * 2
    assert "2 recovery points restored to" in outcome.sentence
    assert "all as they were backed up" in outcome.sentence
    assert site.left() == []


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _swap(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _point_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("a")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped bit": (lambda at: _flip(at / "contracts/b"), "contracts/b: other content from byte"),
    "truncated": (
        lambda at: os.truncate(at / "customers/csv", 15),
        "customers/csv: has 15 bytes, and had 20",
    ),
    "gone": (lambda at: (at / "contracts/a").unlink(), "contracts/a: missing"),
    "more": (lambda at: (at / "new").touch(), "new: was not in the recovery point"),
    "mode": (lambda at: (at / "contracts/a").chmod(0o777), "contracts/a: has mode 0777, and had"),
    "time": (lambda at: os.utime(at / "contracts/a", (1, 1)), "contracts/a: is of 1970-01-01T"),
    "link": (lambda at: _point_elsewhere(at / "contracts/newest"), "contracts/newest: points to a"),
    "type": (lambda at: _swap(at / "contracts/a"), "contracts/a: is a dir, and was a file"),
    "unreadable folder": (
        lambda at: _swap_for_file(at / "contracts"),
        "contracts: is a file, and was a dir",
    ),
}


def _swap_for_file(path: Path) -> None:
    for inner in path.iterdir():
        inner.unlink()
    path.rmdir()
    path.touch()


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(site: Trial, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """And the recovery point does not count as proved."""
    site.back_up()
    change, says = FAULTS[fault]
    plant(monkeypatch, change)
    outcome, faults = site.verify()
    assert any(says in one for one in faults), faults
    assert outcome.sentence.startswith("BROKEN 3.4 ")
    assert not outcome.details["passed"]
    [point] = site.place().state().points
    assert point.verified_at is None
    assert site.left() == []


@pytest.mark.parametrize("restored", [True, False])
def test_a_flipped_byte_of_a_pack_is_named(site: Trial, *, restored: bool) -> None:
    """By the file that it belongs to; nothing builds on that generation any more."""
    site.verification = site.verification if restored else ""
    site.back_up()
    name = max(
        (info for info in site.memory.list() if "/data/" in info.name),
        key=lambda info: info.size_bytes,
    ).name
    data = bytearray(site.memory.load(name))
    data[len(data) // 2] ^= 1
    site.memory.damage(name, bytes(data))
    outcome, faults = site.verify()
    assert any("contracts/b" in one for one in faults), faults
    assert outcome.sentence.startswith("BROKEN 3.4 ")
    assert "every block fits" not in outcome.sentence
    assert not outcome.details["passed"]
    assert site.place().state().generations[0].damaged
    assert site.left() == []


def test_without_a_place_every_block_is_read_and_nothing_is_called_tested(site: Trial) -> None:
    """What was never restored is no proof of a restore."""
    site.verification = ""
    site.back_up()
    outcome, faults = site.verify()
    assert faults == []
    assert outcome.sentence.startswith("NOT TESTED 3.4 ")
    assert "verification in datasets.yaml" in outcome.sentence
    assert outcome.details["level"] == "bytes"
    assert outcome.details["passed"]
    assert site.place().state().points[0].verified_at is None


def test_a_restore_that_takes_too_long_fails(site: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right data too late is no recovery (4.2)."""
    site.back_up()
    original = scratch_folder.Directory.prepare

    def prepare(self: scratch_folder.Directory) -> None:
        site.wait(hours=49)
        original(self)

    monkeypatch.setattr(scratch_folder.Directory, "prepare", prepare)
    outcome, faults = site.verify()
    assert faults == []
    assert outcome.sentence.startswith("BROKEN 3.4 4.2 ")
    assert "longer than may be (limit 48 h)" in outcome.sentence
    assert not outcome.details["passed"]


def test_what_a_killed_run_has_left_is_removed(site: Trial) -> None:
    """By the next one; what a living process uses is left alone, and so is what is not ours."""
    dead, alive, foreign = (site.scratch / name for name in (f"{PREFIX}1", f"{PREFIX}2", "mine"))
    for path in (dead, alive, foreign):
        (path / "data").mkdir(parents=True)
        (path / "data").chmod(0o500)
    living = this_process("tests").to_json()
    (dead / OWNER).write_text(json.dumps(living | {"started": 1}))
    (alive / OWNER).write_text(json.dumps(living))
    site.back_up()
    outcome, _ = site.verify()
    assert outcome.details["swept"] == [str(dead)]
    assert sorted(site.left()) == [alive, foreign]


def test_what_nobody_can_be_asked_about_is_removed_after_a_week(site: Trial) -> None:
    """Another machine's, or one whose owner was never written."""
    left = site.scratch / f"{PREFIX}x"
    left.mkdir()
    place = open_scratch(site.place())
    assert place is not None
    made = site.now
    os.utime(left, (made.timestamp(), made.timestamp()))
    assert place.sweep(made + timedelta(days=6)) == []
    assert place.sweep(made + timedelta(days=8)) == [str(left)]


def test_no_room_is_no_fault_of_the_data(site: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be looked at: nothing is called broken, and nothing proved."""
    site.back_up()
    monkeypatch.setattr(scratch_folder, "_ROOM", 1e15)
    outcome, faults = site.verify()
    assert faults == []
    assert outcome.sentence.startswith("NOT TESTED 3.4 ")
    assert "has room for" in outcome.sentence
    assert not outcome.details["passed"]
    assert site.place().state().points[0].verified_at is None


@pytest.mark.parametrize(("where", "says"), [("crm", "dataset crm"), ("crm/in", "dataset crm")])
def test_a_place_inside_a_dataset_is_refused(site: Trial, where: str, says: str) -> None:
    """Each backup would hold what was restored."""
    site.back_up()
    site.verification = f"verification: {{filesystem: {site.folder / where}}}\n"
    with pytest.raises(ConfigurationInvalid, match=says):
        site.verify()


def test_a_place_that_is_not_there_is_told(site: Trial) -> None:
    """And recorded as a verification that could not be done."""
    site.back_up()
    site.scratch.rmdir()
    with pytest.raises(RestoreRefused, match="No such file or directory") as caught:
        site.verify()
    told = sentence_of(caught.value, "")
    assert told.startswith("NOT TESTED 3.4 ")


def test_a_draw_can_be_repeated(site: Trial) -> None:
    """The seed is in the record."""
    site.back_up()
    for number in range(5):
        site.write(contracts__a=f"change {number}")
        site.back_up(Method.INCREMENTAL)
    outcome, _ = site.verify()
    again, _ = site.verify(seed=outcome.details["seed"])
    drawn = [[one["snapshot"] for one in run.details["points"]] for run in (outcome, again)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 2


def test_a_verification_that_can_leave_no_page_is_not_begun(site: Trial) -> None:
    """A vault that is full: it is told at once, not after hours."""
    site.back_up()
    site.memory.capacity_bytes = site.memory.stored_bytes()
    with pytest.raises(StorageFull) as caught:
        site.verify()
    assert "waits in the spool" in sentence_of(caught.value, "")
    assert site.left() == []
