"""What must hold after an act that a fault has met, and the acts themselves.

lost             an acknowledged recovery point is gone or restores to other bytes; the ledger
                 does not fit; stock restic finds fault; the next run of the act fails
false success    the act said that it succeeded, and what it was for is not there
false alarm      something whole was recorded as damaged
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.choosing import Order
from include.backup.actions.expire import expire
from include.backup.actions.replicate import replicate
from include.backup.actions.restore import restore
from include.backup.errors import BackupError
from include.backup.policy.model import Method
from include.backup.sources.directory import Directory
from include.backup.vault.generations import GenerationState
from include.backup.vault.keyring import KeyContext, load_secret
from tests.damage.bucket_bed import HOME, SECOND, an_old_generation, two_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.actions.outcome import Outcome
    from include.backup.storage.base import Storage
    from include.backup.storage.memory import MemoryStorage
    from include.backup.storage.s3_locks import LockMode
    from tests.damage.bucket_bed import Bed, Beginning, BucketSite

REPLICA = "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An act, and what it begins with."""

    begin: Callable[[BucketSite], Beginning]
    run: Callable[[BucketSite, Storage, Storage], Outcome]
    lock_mode: LockMode | None = "GOVERNANCE"


def backing_up(method: Method) -> Callable[[BucketSite, Storage, Storage], Outcome]:
    """A backup by a method."""
    return lambda site, home, second: back_up(site.setting(home, second), "crm", method=method)


def restoring(site: BucketSite, home: Storage, second: Storage) -> Outcome:
    """Restore the newest recovery point into the folder ``target``."""
    target = site.folder / "target"
    order = Order(address=str(target), requested_by="tests")
    return restore(site.setting(home, second), "crm", Directory(target), order)


def checking(site: BucketSite, home: Storage, second: Storage) -> Outcome:
    """Read all that is stored."""
    outcome, faults = check(site.setting(home, second), "crm", reading=Reading.ALL)
    assert faults == [], f"false alarm: {faults}"
    return outcome


def expiring(site: BucketSite, home: Storage, second: Storage) -> Outcome:
    """Remove what has expired."""
    return expire(site.setting(home, second), "crm")[0]


def replicating(site: BucketSite, home: Storage, second: Storage) -> Outcome:
    """Copy what the second vault lacks."""
    return replicate(site.setting(home, second), "crm", REPLICA)


SCENES = {
    "full": Scene(begin=two_points, run=backing_up(Method.FULL)),
    "incremental": Scene(begin=two_points, run=backing_up(Method.INCREMENTAL)),
    "restore": Scene(begin=two_points, run=restoring),
    "check": Scene(begin=two_points, run=checking),
    "expire": Scene(begin=an_old_generation, run=expiring, lock_mode=None),
    "replicate": Scene(begin=two_points, run=replicating),
}


def attempt(act: str, bed: Bed) -> Outcome | BackupError:
    """Run an act over the network; it ends in an outcome or in an error of ours, or this fails."""
    try:
        return SCENES[act].run(bed.site, *bed.storages())
    except BackupError as error:
        return error


def succeeded(ended: Outcome | BackupError) -> bool:
    """Whether an act said that it did all that it was for."""
    return not isinstance(ended, BackupError) and ended.ok and not ended.details.get("unmet")


class Judge:
    """Looks at a copy of a bed's bucket. Stock restic judges each state of a repository once."""

    def __init__(self, act: str, bed: Bed) -> None:
        self._act = act
        self._bed = bed
        self._site = bed.site
        self._judged: set[str] = set()

    def require_untouched(self) -> None:
        """Assert that nothing looks tampered with: one writer has left each name once."""
        tampered = self._bed.tampering()
        assert tampered == [], f"false alarm: tampering with {tampered}"

    def require(self, ended: Outcome | BackupError) -> None:
        """Assert that nothing was lost or told falsely, and that the next run succeeds."""
        home, second = self._bed.copied(HOME), self._bed.copied(SECOND)
        self._site.storage, self._site.second = home, second
        if succeeded(ended):
            assert not isinstance(ended, BackupError)
            self._require_done(ended)
        self._require_kept(self._contents())
        self._require_clean_by_restic(home)
        shutil.rmtree(self._site.folder / "target", ignore_errors=True)
        self._site.wait(minutes=31)  # leases of who could not release them are over then
        assert SCENES[self._act].run(self._site, home, second).ok, "the next run fails"
        self._require_whole()

    def _require_done(self, outcome: Outcome) -> None:
        """Assert that what was reported as done is there."""
        site, contents = self._site, self._bed.beginning.contents
        if self._act in {"full", "incremental"}:
            assert outcome.kind == "recovery-point", f"false success: {outcome.sentence}"
            assert outcome.details["snapshot"] in self._points(), "false success: not recorded"
        if self._act == "restore":
            newest = list(contents.values())[-1]
            assert site.content(site.folder / "target") == newest, "false success: other bytes"
        if self._act == "expire":
            left = [info.name for info in site.storage.list() if self._is_of_the_dead(info.name)]
            assert left == [], "false success: files of the dead"
        if self._act == "replicate":
            self._require_followed()

    def _is_of_the_dead(self, name: str) -> bool:
        return any(
            f"/{generation.id}/" in name
            for generation in self._site.place().state().generations
            if not generation.points
        )

    def _require_followed(self) -> None:
        """Assert that the replica holds what the home holds."""
        site = self._site
        newest = list(self._bed.beginning.contents.values())[-1]
        assert site.restored(replica=REPLICA) == newest, "false success: other bytes"

    def _require_kept(self, contents: dict[str, dict[str, bytes]]) -> None:
        """Assert that every acknowledged point is there and restores to its bytes."""
        begun = self._bed.beginning
        points = self._points()
        gone = set(begun.contents) - points
        assert gone <= (begun.expired if self._act == "expire" else set()), f"lost: {gone}"
        for snapshot in points:
            assert self._site.restored(snapshot) == contents[snapshot], f"lost: {snapshot}"
        self._site.place().ledger.verify()

    def _contents(self) -> dict[str, dict[str, bytes]]:
        """What each recovery point must hold: a new one, what the dataset holds now."""
        new = dict.fromkeys(self._points(), self._site.content())
        return new | self._bed.beginning.contents

    def _points(self) -> set[str]:
        return {point.snapshot for point in self._site.place().state().points}

    def _require_clean_by_restic(self, vault: MemoryStorage) -> None:
        """Let stock restic read all of each completed generation."""
        place = self._site.place()
        for generation in place.state().generations:
            if generation.state is not GenerationState.COMPLETED:
                continue  # the files of those that expire go one after another
            folder = f"datasets/crm/generations/{generation.id}/"
            files = {info.name: vault.load(info.name) for info in vault.list(folder)}
            state = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
            if state in self._judged:
                continue
            context = KeyContext(dataset="crm", generation=generation.id)
            secret = load_secret(place.folder, place.provider(), context)
            target = self._site.folder / "restored-restic"
            for name, data in files.items():
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            done = subprocess.run(
                [
                    "restic",
                    "-r",
                    target / folder,
                    "check",
                    "--read-data",
                    "--no-cache",
                    "--no-lock",
                ],
                env={"RESTIC_PASSWORD": secret.password, "PATH": "/usr/bin:/bin:/usr/local/bin"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"lost: {done.stdout}{done.stderr}"
            self._judged.add(state)

    def _require_whole(self) -> None:
        """Assert that the next run left all as it should be."""
        site = self._site
        damages = check(site.setting(), "crm", reading=Reading.ALL)[1]
        assert damages == [], f"lost: {damages}"
        state = site.place().state()
        damaged = [one.id for one in state.generations if one.damaged]
        assert damaged == [], f"false alarm: {damaged}"
        newest = site.content()
        if self._act in {"full", "incremental"}:
            assert site.restored() == newest, "the next run took other bytes"
        if self._act == "replicate":
            self._require_followed()
