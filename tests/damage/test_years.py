"""Years of backups and expiry in a vault whose clock the test sets, against a model of its own.

Every day: each recovery point that must exist exists, none is older than allowed, and no bytes lie
in the vault but those of generations that must live. Days are skipped, runs crash, retention
changes, holds come and go, and by policies drawn at random the dataset moves from class to class as
well; `make torture` runs three years of several seeds.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.expire import expire
from include.backup.actions.hold import add_hold, lift_hold
from include.backup.actions.replicate import replicate
from include.backup.actions.two_people import TwoPeople
from include.backup.policy.model import Method
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.generations import GenerationState
from tests.damage.expiring import snapshots
from tests.damage.promises import Promises
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.policy.model import DataClass

DAYS = int(os.environ.get("HOLDFAST_DAYS", "70"))
DAY = timedelta(days=1)
LOCKED = "s3://memory/vault', connection: 'none', object_lock: 'governance"
TWO = TwoPeople(reason="a lawsuit", requested_by="legal", approved_by="cto")


@dataclass
class Taken:
    """A recovery point, as the model knows it."""

    at: datetime
    content: dict[str, bytes]
    kept: timedelta  # the longest retention that was ever in force since


@dataclass
class Years:
    """A site, and what the model expects of it."""

    site: Site
    dice: random.Random
    promises: Promises
    moves: bool = False  # from class to class
    points: dict[str, Taken] = field(default_factory=dict)  # in the order of the ledger
    hold: str = ""
    full_at: datetime | None = None
    taken_at: datetime | None = None
    living: set[str] = field(default_factory=set)  # the recovery points that are there today
    events: list[str] = field(default_factory=list)

    @property
    def data_class(self) -> DataClass:
        """Of the dataset, as it is in force now."""
        return self.promises.policy.data_class(self.site.data_class)

    def day(self) -> None:
        """One day: changes, a backup, an expiry; then all is looked at."""
        dice = self.dice
        midnight = self.site.now.replace(hour=0, minute=0, second=0, microsecond=0)
        self.site.now = midnight + timedelta(hours=1, minutes=dice.randrange(300))
        self._meddle()
        if dice.random() > 0.06:
            self._back_up()
        self.site.now = midnight + timedelta(hours=8)
        self._expire()
        self._look()
        if self.dice.random() > 0.2:
            self.site.now = midnight + timedelta(hours=9)
            self._replicate()
            self._look_at_replica()
        self.site.now = midnight + DAY

    def _meddle(self) -> None:
        dice, site = self.dice, self.site
        if dice.random() < 0.02:
            days = dice.choice([10, 30, 45])
            self.promises.keep_for(site.data_class, days)
            self.events.append(f"retention {days}")
        if self.moves and dice.random() < 0.02:
            site.data_class = dice.choice(self.promises.names)
            self.events.append(f"class {site.data_class}")
        site.policy_text = self.promises.text
        if dice.random() < 0.02 and not self.hold and self.points:
            self.hold = add_hold(site.setting(), "crm", TWO).details["hold"]
        elif self.hold and dice.random() < 0.1:
            lift_hold(site.setting(), "crm", self.hold, TWO)
            self.hold = ""

    def _back_up(self) -> None:
        dice, site, name = self.dice, self.site, self.site.data_class
        method = self._due(self.full_at, self.promises.full_interval(name)) and Method.FULL
        if not method and self.data_class.method is Method.INCREMENTAL:
            method = self._due(self.taken_at, self.promises.interval(name)) and Method.INCREMENTAL
        if not method:
            return
        site.write(**{f"file{dice.randrange(9)}": dice.randbytes(dice.randrange(3000))})
        if dice.random() < 0.05:
            storage = Crashing(site.memory, at=dice.randrange(1, 14), after=dice.random() < 0.5)
            with pytest.raises(Crash):
                back_up(site.setting(storage), "crm", method=method)
            site.wait(minutes=31)
        outcome = back_up(site.setting(), "crm", method=method)
        assert outcome.ok, outcome.sentence
        for point in site.place().state().points:
            if point.snapshot not in self.points:
                kept = self.data_class.retention
                self.points[point.snapshot] = Taken(point.taken_at, site.content(), kept)
                self.taken_at = point.taken_at
                if point.method is Method.FULL:
                    self.full_at = point.taken_at

    def _due(self, last: datetime | None, interval: timedelta) -> bool:
        return last is None or self.site.now.date() - last.date() >= interval

    def _expire(self) -> None:
        dice, site = self.dice, self.site
        for point in site.place().state().points:  # what has expired does not come to life again
            taken = self.points[point.snapshot]
            taken.kept = max(taken.kept, self.data_class.retention)
        if dice.random() < 0.1:
            storage = Crashing(site.memory, at=dice.randrange(1, 14), after=dice.random() < 0.5)
            try:
                expire(site.setting(storage), "crm")
            except Crash:
                site.wait(minutes=31)
        outcome, _ = expire(site.setting(), "crm")
        assert outcome.ok, outcome.sentence
        assert outcome.sentence.startswith("KEPT 3.2"), outcome.sentence

    def _replicate(self) -> None:
        dice, site = self.dice, self.site
        if dice.random() < 0.15:
            at, after = dice.randrange(1, 20), dice.random() < 0.5
            home = Crashing(site.memory, at=at, after=after)
            copy = Crashing(site.second, at=at, after=after, beside=home)
            try:
                replicate(site.setting(home, copy), "crm", "second")
            except Crash:
                site.wait(minutes=31)
        outcome = replicate(site.setting(), "crm", "second")
        assert outcome.ok, outcome.sentence
        assert not outcome.details["unmet"], outcome.sentence

    def _look_at_replica(self) -> None:
        """It holds what lives, and nothing else but what a lock of its own keeps."""
        site, now, state = self.site, self.site.now, self.site.place().state()
        held = {
            info.name.rsplit("/", 1)[1]: info.name
            for info in site.second.list()
            if "/snapshots/" in info.name
        }
        assert self.living <= held.keys(), (self.events, now)
        for snapshot in held.keys() - self.living:
            until = site.second.locked_until(held[snapshot])
            assert until is not None
            assert until > now, (self.events, now, held[snapshot])
        living = {point.generation for point in state.points}
        for info in site.second.list("datasets/crm/"):
            parts = info.name.split("/")
            if parts[2] not in {"generations", "keys"}:
                continue
            until = site.second.locked_until(info.name)
            grows = state.generation(parts[3]).state is GenerationState.COMPLETED
            assert parts[3] in living or grows or (until and until > now), (info.name, now)
            if (
                parts[3] in living
                and not {"snapshots", "locks"} & set(parts)
                and site.second_options
            ):
                assert until is not None, info.name
                kept = max(
                    self.points[one.snapshot].at + self.points[one.snapshot].kept
                    for one in state.points
                    if one.generation == parts[3]
                )
                assert until >= max(kept, now), (info.name, now, self.events)
                longest = max(kept, now) + self.promises.longest_lock
                assert until <= longest, (info.name, now, self.events)
        if self.dice.random() < 0.1 and self.living:
            snapshot = self.dice.choice(sorted(self.living))
            content = self.points[snapshot].content
            assert site.restored(snapshot, replica="second") == content

    def _look(self) -> None:
        site, now = self.site, self.site.now
        stored = snapshots(site)
        newest = list(self.points)[-2:]
        for snapshot, taken in self.points.items():
            over = now >= taken.at + taken.kept
            if not over or snapshot in newest or self.hold:
                assert snapshot in stored, (self.events, now, taken.at)
            elif now >= taken.at + taken.kept + DAY and not self._is_locked(snapshot):
                assert snapshot not in stored, (self.events, now, taken.at)
        for snapshot in [one for one in self.points if one not in stored]:
            if snapshot not in newest:
                del self.points[snapshot]
        self._look_at_bytes()
        if self.dice.random() < 0.1 and newest:
            living = [point.snapshot for point in site.place().state().points] or newest
            snapshot = self.dice.choice(living)  # the rest has expired, and is locked
            assert site.restored(snapshot) == self.points[snapshot].content

    def _is_locked(self, snapshot: str) -> bool:
        """Whether a lock keeps it: for two weeks at most, after a hold."""
        for info in self.site.memory.list("datasets/crm/generations/"):
            if info.name.endswith(snapshot):
                until = self.site.memory.locked_until(info.name)
                return until is not None and self.site.now < until <= self.site.now + 14 * DAY
        return False

    def _look_at_bytes(self) -> None:
        """Of generations that hold a living point, that may grow, or that a lock keeps."""
        site, now, state = self.site, self.site.now, self.site.place().state()
        living: dict[str, datetime] = {}  # and until when something in it is kept
        self.living = {point.snapshot for point in state.points}
        for point in state.points:
            until = self.points[point.snapshot].at + self.points[point.snapshot].kept
            living[point.generation] = max(living.get(point.generation, until), until)
        growing = set()
        for one in state.generations:
            closed = one.closes_at + self.promises.longest_run
            unlocked = one.locked_until or closed
            longest = max(self.promises.retentions) * DAY
            assert unlocked <= max(closed + longest, now + 14 * DAY)
            if one.state is not GenerationState.EXPIRED and (now <= unlocked or self.hold):
                growing.add(one.id)
        for info in site.memory.list("datasets/crm/"):
            parts = info.name.split("/")
            if parts[2] in {"generations", "keys"}:
                assert parts[3] in living or parts[3] in growing, (info.name, now)
                if site.vault_url == LOCKED and parts[3] in living:
                    self._look_at_lock(info.name, living[parts[3]])

    def _look_at_lock(self, name: str, wanted: datetime) -> None:
        """What a living point needs cannot be deleted by anybody, as long as it is kept."""
        folder, file = name.split("/")[4:6] if name.count("/") > 4 else ("", name)
        if folder == "locks":
            return
        now, locked = self.site.now, self.site.memory.locked_until(name)
        if folder == "snapshots":
            if file not in self.living:
                return  # it has expired, and is on its way
            wanted = self.points[file].at + self.points[file].kept
        assert locked is not None
        assert locked >= max(wanted, now), (name, now, self.events)


@pytest.mark.parametrize("kind", ["plain", "locked", "drawn"])
def test_years_of_backups(tmp_path: Path, kind: str) -> None:
    """Nothing too early, nothing too late, whatever comes between."""
    seed = int(os.environ.get("HOLDFAST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"HOLDFAST_SEED={seed}")
    site = Site(tmp_path)
    site.second = MemoryStorage(site.clock)
    dice = random.Random(seed)
    drawn = kind == "drawn"
    if kind == "locked" or (drawn and dice.random() < 0.7):
        site.vault_url = LOCKED
        site.second_options = ", object_lock: 'compliance'"
    promises = Promises.drawn(dice) if drawn else Promises.shipped()
    print(promises.text)
    years = Years(site, dice, promises, moves=drawn)
    site.data_class = promises.names[0]
    for _ in range(DAYS):
        years.day()
    site.place().ledger.verify()
