"""Stock restic and a backup of ours on one repository at the same time."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.outcome import attached_outcome
from include.backup.errors import RepositoryLocked, SourceError
from include.backup.format.ids import digest
from include.backup.format.lock import LockFile, encode_lock
from include.backup.policy.model import Method
from include.backup.storage.local import LocalStorage
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from include.backup.storage.base import FileInfo
    from tests.interop.conftest import Restic

pytestmark = pytest.mark.interop


class Watched(LocalStorage):
    """A vault on disk in which something else happens at a moment of our choice."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.before_list: Callable[[str], None] = lambda _: None
        self.after_save: Callable[[str], None] = lambda _: None

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """See Storage."""
        self.before_list(prefix)
        return super().list(prefix)

    def save(self, name: str, data: Any, **options: Any) -> None:
        """See Storage."""
        super().save(name, data, **options)
        self.after_save(name)


@pytest.fixture
def site(tmp_path: Path) -> Archives:
    """A dataset with one recovery point, and something new to back up."""
    site = Archives(tmp_path)
    site.storage = Watched(site.vault)
    site.write(a="first", b="kept")
    site.hold_still()
    return site


def folder_of(name: str) -> str:
    """As in ``data`` or ``locks``: which kind of restic's files a name of the vault is."""
    parts = PurePosixPath(name).parts
    return parts[4] if len(parts) > 4 and parts[2] == "generations" else ""


def once(what: Callable[[], None], *, folder: str) -> Callable[[str], None]:
    """Do something the first time that a file of a kind is met."""
    done: list[str] = []

    def met(name: str) -> None:
        if folder_of(name + "/.") == folder and not done:
            done.append(name)
            what()

    return met


def test_prune_is_refused_while_a_backup_runs(site: Archives, restic: Restic) -> None:
    """Packs that no snapshot names yet are not removed under a backup."""
    first = site.back_up()
    site.write(c="new")
    refusals = []

    def prune() -> None:
        refusals.append(
            restic.run(
                "prune",
                repository=site.repository_folder(first),
                password=site.password(first),
                expect=(1, 11),  # 11 since restic 0.17
            )
        )

    site.storage.after_save = once(prune, folder="data")  # type: ignore[attr-defined]
    site.back_up()
    assert len(refusals) == 1
    site.restic(restic, first, "check", "--read-data")
    assert site.restored() == site.content()


def test_prune_works_between_two_backups(site: Archives, restic: Restic) -> None:
    """We leave no lock behind."""
    first = site.back_up()
    assert not list(site.repository_folder(first).glob("locks/*"))
    site.restic(restic, first, "prune")


def test_a_prune_that_ends_while_we_begin_is_seen(
    site: Archives, restic: Restic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a prune has removed is stored again: the index is read under our lock."""
    first = site.back_up()
    site.write(c="stored by a run that fails before its snapshot")
    with monkeypatch.context() as failing:
        failing.setattr("include.backup.actions.take.read_back", _refuse)
        with pytest.raises(SourceError):
            back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    pruned: list[str] = []

    def prune() -> None:
        pruned.append(site.restic(restic, first, "prune", "--max-unused", "0"))

    site.storage.before_list = once(prune, folder="locks")  # type: ignore[attr-defined]
    second = site.back_up()
    assert "frees" in pruned[0] or "to delete" in pruned[0]
    site.restic(restic, second, "check", "--read-data")
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    assert site.restored() == site.content()


def test_an_exclusive_lock_of_the_same_moment_stops_us_before_anything_is_stored(
    site: Archives,
) -> None:
    """Whoever took the lock alone between our two looks, we give way."""
    first = site.back_up()
    site.write(c="new")
    repository = site.repository(first)

    def take_alone() -> None:
        lock = LockFile(time=site.clock(), exclusive=True, hostname="laptop", username="eve", pid=1)
        data = encode_lock(repository.key, lock)
        repository.storage.save(f"locks/{digest(data).hex()}", data, sha256=digest(data))

    site.storage.after_save = once(take_alone, folder="locks")  # type: ignore[attr-defined]
    before = stored(site)
    with pytest.raises(RepositoryLocked, match="locked exclusively by eve@laptop") as refused:
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert attached_outcome(refused.value) is not None
    assert stored(site) == before
    assert len(list(site.repository_folder(first).glob("locks/*"))) == 1, "only theirs"


def stored(site: Archives) -> list[str]:
    """Every file of restic's that is not a lock."""
    kinds = ("data", "index", "snapshots")
    return sorted(info.name for info in site.storage.list() if folder_of(info.name) in kinds)


def _refuse(*_: object) -> None:
    raise SourceError("not today")
