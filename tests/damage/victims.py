"""Acts in processes of their own, to be killed or failed, and what they begin with.

`LongHistory` is a dataset with two vaults on disk in which every act has something to do: old
generations to remove, points to copy, files to back up, keys to change.
"""

from __future__ import annotations

import random
import shutil
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from include.backup.actions.check import Reading, check
from include.backup.policy.model import Method
from tests.damage.child import ACTS, PACK_BYTES
from tests.damage.nursery import UNEXPECTED, begin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.storage.base import Storage
    from tests.damage.nursery import Process
    from tests.interop.archives import Archives
    from tests.interop.conftest import Restic

AHEAD = timedelta(days=40)
_FOLDERS = ("vault", "second", "state")
_SUCCESS = {
    "full": "recovery-point: ",
    "incremental": "recovery-point: ",
    "restore": "restored: ",
    "expire": "retained: KEPT",
    "replicate": "replicated: ",
    "rotate": "rotated: ",
}


@contextmanager
def child(
    site: Archives,
    act: str = "incremental",
    *,
    stop_before: str = "",
    time_to_live: float = 600,
    ahead: timedelta = timedelta(),
    waits: bool = False,
) -> Iterator[Process]:
    """Begin an act in another process; it is gone at the end, whatever happened.

    Args:
        waits: until it is told to go on it does not begin.
    """
    options = ["--stop-before", stop_before, "--time-to-live", str(time_to_live)]
    options += ["--ahead", str(ahead.total_seconds()), *(["--wait"] if waits else [])]
    process = begin([str(site.folder), act, *options])
    try:
        assert process.hear() == "begins"
        yield process
    finally:
        process.close()


def write_some(site: Archives, seed: int, count: int = 40) -> None:
    """Files that no compressor can shrink, each most of a pack."""
    dice = random.Random(seed)
    site.write(**{f"part{seed % 3}__{n}": dice.randbytes(PACK_BYTES - 99) for n in range(count)})


def is_ours(told: str) -> bool:
    """Whether an act has told of its end, by success or by an error of ours."""
    return bool(told) and not told.startswith(UNEXPECTED)


def require_clean(site: Archives, restic: Restic) -> None:
    """After an expiry, stock restic, our own check and the ledger have nothing to say."""
    assert ACTS["expire"](site).ok
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    site.place().ledger.verify()
    state = site.place().state()
    assert not state.acts
    for generation in state.generations:
        if generation.points:
            repository = site.vault / "datasets/crm/generations" / generation.id
            password = site.password_of(generation.id)
            restic.run("check", "--read-data", repository=repository, password=password)


def held(vault: Storage) -> set[str]:
    """What a vault holds of the dataset, but for who works on it."""
    passing = ("/leases/", "/locks/", "/replica.json")
    names = [info.name for info in vault.list("datasets/crm/")]
    return {name for name in names if not any(one in name for one in passing)}


class LongHistory:
    """A dataset with a past, at the moment before an act; and what must hold after it."""

    def __init__(self, site: Archives, act: str, *, files: int = 40) -> None:
        self._site, self._act = site, act
        self._contents: dict[str, dict[str, bytes]] = {}
        site.add_second()
        self._back_up(0, files, Method.INCREMENTAL)
        ACTS["replicate"](site)
        for days in (39, 1):  # after a long silence nothing is removed for half a day
            site.wait(days=days)
            self._back_up(days, files, Method.FULL)
            self._back_up(2, files, Method.INCREMENTAL)
        if act != "expire":
            ACTS["expire"](site)
        if act in {"full", "incremental"}:
            write_some(site, 3, files)
        self._key = site.keys["backup_master_key"]
        self._kept = tuple((site.folder / name, site.folder / f"kept-{name}") for name in _FOLDERS)
        for folder, kept in self._kept:
            shutil.copytree(folder, kept)
        with child(site, act, ahead=AHEAD) as untroubled:
            began = time.monotonic()
            assert self.succeeded(told := untroubled.hear_all()), told
            self.seconds = time.monotonic() - began
        left = {point.snapshot for point in site.place().state().points}
        self._contents = {one: held for one, held in self._contents.items() if one in left}

    def _back_up(self, seed: int, files: int, method: Method) -> None:
        write_some(self._site, seed, files)
        outcome = self._site.back_up(method)
        self._contents[outcome.details["snapshot"]] = self._site.content()

    def succeeded(self, told: str) -> bool:
        """Whether an act said that it did what it was for."""
        return told.startswith(_SUCCESS[self._act])

    def rewind(self) -> None:
        """Put both vaults, and what this machine remembers, back."""
        site = self._site
        for folder, kept in self._kept:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(kept, folder)
        for passing in ("target", *(path.name for path in site.folder.glob("restored-*"))):
            shutil.rmtree(site.folder / passing, ignore_errors=True)
        site.keys["backup_master_key"] = self._key

    def require_kept(self, told: str) -> None:
        """Assert that nothing was lost or told falsely, and that the next run succeeds."""
        site, newest = self._site, self._site.content()
        if self.succeeded(told):
            self._require_done(newest)
        shutil.rmtree(site.folder / "target", ignore_errors=True)
        if self._act != "rotate":  # else it may need both keys until it is done
            self._require_points(newest)
        assert ACTS[self._act](site).ok, "the next run fails"
        self._require_points(newest)
        assert site.restored() == newest
        assert not site.place().state().acts
        assert ACTS["expire"](site).ok
        assert ACTS["replicate"](site).ok
        assert held(site.second) == held(site.storage)
        assert site.restored(replica="second") == newest

    def _require_done(self, newest: dict[str, bytes]) -> None:
        site = self._site
        if self._act == "restore":
            assert site.content(site.folder / "target") == newest, "false success: other bytes"
        if self._act in {"full", "incremental"}:
            point = site.place().state().points[-1].snapshot
            assert point not in self._contents, "false success: no new point"

    def _require_points(self, newest: dict[str, bytes]) -> None:
        points = [point.snapshot for point in self._site.place().state().points]
        assert set(self._contents) <= set(points), "lost: a recovery point"
        for point in points:
            restored = self._site.restored(point)
            if point in self._contents or self._act != "expire":
                assert restored == self._contents.get(point, newest), f"lost: {point}"
            shutil.rmtree(self._site.folder / f"restored-{self._site.restores}")
