"""Bad days: each ends with one clear error, a record, no new recovery point, and nothing lost."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.outcome import attached_outcome, sentence_of
from include.backup.errors import (
    AccessRefused,
    BackupError,
    DeadlinePassed,
    EntryUnreadable,
    SourceGone,
    StorageFull,
    StorageUnreachable,
)
from include.backup.policy.model import Method
from include.backup.policy.objectives import Verdict
from include.backup.repository import packer
from include.backup.sources.file_content import FileContent
from tests.damage.site import Crash, Crashing, Site, kept
from tests.damage.test_crashes import incremental, some_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.storage.base import Storage

_PACK_BYTES = 64 << 10
_REACHABLE_AGAIN = 31  # minutes; the lease of the run that lost the vault is over by then


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small packs."""
    monkeypatch.setattr(packer, "TARGET_BYTES", _PACK_BYTES)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A dataset with one recovery point, and much that is new since."""
    site = Site(tmp_path)
    incremental(site)
    return site


def bad_day(
    site: Site, error: type[BackupError], *, match: str = "", storage: Storage | None = None
) -> Outcome:
    """A backup that fails: one error, the sentence for it, no recovery point, none lost."""
    points = site.place().state().points
    before = {point.snapshot: site.restored(point.snapshot) for point in points}
    with pytest.raises(error, match=match or None) as caught:
        back_up(site.setting(storage), "crm", method=Method.INCREMENTAL)
    assert "\n" not in str(caught.value)
    outcome = attached_outcome(caught.value)
    assert outcome is not None
    assert "incremental backup failed" in outcome.sentence
    assert outcome.verdict is not Verdict.KEPT
    assert site.place().state().points == points
    for point, content in before.items():
        assert site.restored(point) == content
    return outcome


def good_day(site: Site) -> Outcome:
    """A backup that succeeds; everything restores, and nothing is damaged."""
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert kept(outcome), outcome.sentence
    assert site.restored() == site.content()
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    site.place().ledger.verify()
    assert not site.place().state().acts
    return outcome


def recorded(site: Site) -> list[str]:
    """The kinds of all records, in order."""
    return [str(record.kind) for record in site.place().ledger.read()]


def changes(folder: Path) -> list[str]:
    """What an untroubled backup changes in the vault, in order."""
    counted = Site(folder)
    incremental(counted)
    counting = Crashing(counted.memory)
    assert kept(back_up(counted.setting(counting), "crm", method=Method.INCREMENTAL))
    return counting.changes


def test_a_vault_that_is_lost_at_any_moment(tmp_path: Path) -> None:
    """The failure waits in the spool, and is recorded by the next run with both times."""
    for at, change in enumerate(changes(tmp_path / "counted"), start=1):
        site = Site(tmp_path / f"{at}")
        incremental(site)
        lost = StorageUnreachable("the vault does not answer")
        storage = Crashing(site.memory, at=at, error=lost)
        try:
            outcome = back_up(site.setting(storage), "crm", method=Method.INCREMENTAL)
        except StorageUnreachable as error:
            outcome = attached_outcome(error)
            assert outcome is not None
            assert "the vault does not answer" in outcome.sentence, change
            assert "the record waits in the spool as" in outcome.sentence, change
            failed_at = site.now
            site.wait(minutes=_REACHABLE_AGAIN)
            good_day(site)
            [late] = [r for r in site.place().ledger.read() if r.kind == "failed"]
            assert late.spooled is not None, change
            assert late.spooled.at <= failed_at < late.at, change
        else:  # all that counts was done, but the lease was not released
            assert kept(outcome), change
            assert change.startswith(("save datasets/crm/leases/", "delete ")), change
        shutil.rmtree(site.folder)


def test_a_lost_answer_is_no_lost_change(tmp_path: Path) -> None:
    """What was saved although nobody heard of it is found, or saved again: nothing twice."""
    for at, change in enumerate(changes(tmp_path / "counted"), start=1):
        site = Site(tmp_path / f"{at}")
        incremental(site)
        points = len(site.place().state().points)
        silence = StorageUnreachable("no answer")
        storage = Crashing(site.memory, at=at, after=True, error=silence, once=True)
        try:
            back_up(site.setting(storage), "crm", method=Method.INCREMENTAL)
        except StorageUnreachable:
            site.wait(minutes=_REACHABLE_AGAIN)
            good_day(site)
        assert site.restored() == site.content(), change
        assert check(site.setting(), "crm", reading=Reading.ALL)[1] == [], change
        site.place().ledger.verify()
        taken = site.place().state().points[points:]
        assert len({point.snapshot for point in taken}) == len(taken) <= 2, change
        shutil.rmtree(site.folder)


def test_a_record_that_could_not_be_written_is_made_up_for(site: Site, tmp_path: Path) -> None:
    """The snapshot is there, its record is not: a failed run, adopted by the next."""
    steps = changes(tmp_path / "counted")
    snapshot = next(n for n, change in enumerate(steps, 1) if "/snapshots/" in change)
    record = next(n for n, c in enumerate(steps, 1) if n > snapshot and "/ledger/" in c)
    storage = Crashing(site.memory, at=record, error=StorageUnreachable("no answer"), once=True)
    bad_day(site, StorageUnreachable, storage=storage)
    good_day(site)
    assert "adopted" in recorded(site)
    assert sum(point.adopted for point in site.place().state().points) == 1


@pytest.mark.parametrize("operation", ["save", "load", "list"])
@pytest.mark.parametrize("folder", ["generations/", "ledger/", "leases/", ""])
def test_a_vault_that_refuses_is_not_empty(site: Site, folder: str, operation: Any) -> None:
    """403 is an answer: nothing is begun anew beside what is there."""
    good_day(site)
    site.write(**some_files(3))
    before = [info.name for info in site.memory.list() if "/leases/" not in info.name]
    points = site.place().state().points
    with (
        site.memory.refusing(f"datasets/crm/{folder}", [operation]),
        pytest.raises(AccessRefused, match=f"refused to {operation}") as caught,
    ):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert "failed" in sentence_of(caught.value, "")
    assert site.place().state().points == points
    assert {info.name for info in site.memory.list()} >= set(before)
    assert len(site.place().state().generations) == 1
    site.wait(minutes=_REACHABLE_AGAIN)
    good_day(site)


@pytest.mark.parametrize("room", [0, 300, 2_000, 20_000, 100_000, 200_000])
def test_a_vault_that_is_full(site: Site, room: int) -> None:
    """What was stored stays and is used, as soon as there is room again."""
    site.memory.capacity_bytes = site.memory.stored_bytes() + room
    points = site.place().state().points
    with pytest.raises(StorageFull, match="does not fit") as caught:
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert "failed" in sentence_of(caught.value, "")
    assert site.place().state().points == points
    site.memory.capacity_bytes = None
    packs = sum(info.size_bytes for info in site.memory.list() if "/data/" in info.name)
    site.wait(minutes=_REACHABLE_AGAIN)
    outcome = good_day(site)
    whole = sum(info.size_bytes for info in site.memory.list() if "/data/" in info.name)
    assert outcome.details["bytes_stored"] < whole - packs + 4_000  # headers and seals of packs


def test_a_vault_that_is_full_is_restored_from(site: Site) -> None:
    """Evidence holds up no rescue: the record waits on this machine, until there is room."""
    good_day(site)

    def restores() -> int:
        return [record.kind for record in site.place().ledger.read()].count("restored")

    before = restores()
    site.memory.capacity_bytes = site.memory.stored_bytes()
    assert site.restored() == site.content()
    assert restores() == before
    site.memory.capacity_bytes = None
    site.wait(minutes=_REACHABLE_AGAIN)
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    assert restores() == before + 1


def test_a_source_that_is_gone(site: Site) -> None:
    """No mount, no backup; nothing that was backed up before is touched."""
    content = site.content()
    shutil.rmtree(site.data)
    outcome = bad_day(site, SourceGone, match="is the volume mounted")
    assert outcome.verdict is Verdict.AT_RISK
    site.data.mkdir()
    site.write(**{name.replace("/", "__"): data for name, data in content.items()})
    good_day(site)


def test_a_source_that_is_suddenly_empty(site: Site) -> None:
    """An empty directory where there was data is an unmounted volume, not a day's change."""
    shutil.rmtree(site.data)
    site.data.mkdir()
    bad_day(site, SourceGone, match="is empty, and held 7 entries at the newest recovery point")


def test_a_source_that_was_always_empty(tmp_path: Path) -> None:
    """A dataset may begin with nothing."""
    site = Site(tmp_path)
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    site.wait(days=1)
    assert kept(back_up(site.setting(), "crm", method=Method.INCREMENTAL))
    assert site.restored() == {}


def changing_while_read(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let a file change each time that it was read to its end."""
    settle: Callable[..., Any] = FileContent.settle
    times = iter(range(100))

    def change_and_settle(content: Any, **options: Any) -> Any:
        path.write_bytes(bytes([next(times)]) * (2 << 20))
        return settle(content, **options)

    monkeypatch.setattr(FileContent, "settle", change_and_settle)


def test_a_source_that_changes_while_it_is_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never half of the old and half of the new, unless the dataset allows it and it is noted."""
    site.write(log=b"0" * (2 << 20))
    with monkeypatch.context() as patched:
        changing_while_read(patched, site.data / "log")
        bad_day(site, EntryUnreadable, match="log.* changed each of the 3 times it was read")
    with monkeypatch.context() as patched:
        changing_while_read(patched, site.data / "log")
        site.source_options = ", changing: keep"
        outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert kept(outcome)
    [noted] = outcome.details["noted"]
    assert noted.startswith("log: ")
    assert "; 1 note: log (kept changing" in outcome.sentence


def test_a_check_that_cannot_look_is_no_failed_backup(site: Site) -> None:
    """Its sentence talks of the check, and the dataset stands as it stood before."""
    site.storage = Crashing(site.memory, at=1, error=StorageUnreachable("no answer"))
    with pytest.raises(StorageUnreachable) as caught:
        check(site.setting(), "crm", reading=Reading.ALL)
    outcome = attached_outcome(caught.value)
    assert outcome is not None
    assert outcome.sentence.startswith("NOT TESTED 3.4 · critical/crm · check failed: no answer;")
    assert "no recovery point was made" not in outcome.sentence
    assert outcome.verdict is Verdict.KEPT


def test_a_clock_that_is_set_back(site: Site) -> None:
    """The order of recovery points is the ledger's, and a point of the future proves nothing."""
    good_day(site)
    site.wait(days=-20)
    site.write(**some_files(3))
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert outcome.kind == "recovery-point"
    assert "the clock stands before the newest recovery point" in outcome.sentence
    assert site.restored() == site.content()
    points = site.place().state().points
    assert points[-1].snapshot == outcome.details["snapshot"]
    assert points[-1].taken_at < points[-2].taken_at
    site.write(**some_files(4))
    site.wait(days=1)
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).kind == "recovery-point"
    site.wait(days=19, hours=1)
    good_day(site)
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []


def test_what_a_machine_of_last_year_takes_is_kept_from_today_on(tmp_path: Path) -> None:
    """By the store's clock, though it is the first."""
    site = Site(tmp_path)
    site.write(**some_files(1))
    outcome = back_up(behind(site, days=365), "crm", method=Method.FULL)
    assert "behind that of the vault; it is kept by that of the vault" in outcome.sentence
    site.write(**some_files(2))
    back_up(site.setting(), "crm", method=Method.FULL)
    first, second = site.place().state().points
    assert first.taken_at.year == second.taken_at.year - 1
    assert timedelta() <= second.expires_at - first.expires_at < timedelta(hours=1)


def test_so_is_what_others_adopt_of_it(site: Site) -> None:
    """It died between its snapshot and its record."""
    good_day(site)
    site.wait(days=1)
    site.write(**some_files(2))
    counting, rewind = Crashing(site.memory), site.rewinding()
    back_up(behind(site, days=20, storage=counting), "crm", method=Method.INCREMENTAL)
    [at] = [number for number, one in enumerate(counting.changes, 1) if "/snapshots/" in one]
    rewind()
    dying = Crashing(site.memory, at=at, after=True)
    with pytest.raises(Crash):
        back_up(behind(site, days=20, storage=dying), "crm", method=Method.INCREMENTAL)
    site.wait(hours=1)  # its lease is over
    back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    *_, adopted, newest = site.place().state().points
    assert adopted.adopted
    assert adopted.taken_at < newest.taken_at - timedelta(days=19)
    assert timedelta() <= newest.expires_at - adopted.expires_at < timedelta(hours=2)


def test_a_save_that_takes_long_is_no_wrong_clock(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has the snapshot ten minutes after it was made, by both clocks."""
    save = site.memory.save

    def slow(name: str, data: Any, **options: Any) -> None:
        if "/snapshots/" in name:
            site.wait(minutes=10)
        save(name, data, **options)

    monkeypatch.setattr(site.memory, "save", slow)
    site.write(**some_files(2))
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert kept(outcome), outcome.sentence
    assert "behind that of the vault" not in outcome.sentence


def behind(site: Site, *, days: int, storage: Storage | None = None) -> Setting:
    """The setting of a machine whose clock is wrong."""
    setting = site.setting(storage)
    return replace(setting, clock=lambda: site.clock() - timedelta(days=days))


def test_a_backup_that_is_too_slow(site: Site) -> None:
    """At the deadline it stops; what was stored is kept and used by the next run."""
    deadline = site.now
    site.wait(seconds=1)
    with pytest.raises(DeadlinePassed, match="the time to complete ended"):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL, deadline=deadline)
    assert len(site.place().state().points) == 1
    good_day(site)


def test_a_failure_of_our_own_says_no_more_than_its_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of a foreign error may hold anything, secrets too."""

    def fail(*_: object, **__: object) -> None:
        raise ValueError("s3cret")

    monkeypatch.setattr("include.backup.actions.take.read_back", fail)
    with pytest.raises(ValueError, match="s3cret") as caught:
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    outcome = attached_outcome(caught.value)
    assert outcome is not None
    assert "an unexpected ValueError" in outcome.sentence
    assert "s3cret" not in outcome.sentence
    assert "s3cret" not in site.place().state().failure
    monkeypatch.undo()
    site.wait(minutes=_REACHABLE_AGAIN)
    good_day(site)
