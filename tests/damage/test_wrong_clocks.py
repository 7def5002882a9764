"""Machines whose clocks lie, by minutes and by months, in one vault whose own clock is right.

No recovery point goes before its time, whoever dates it and whoever removes; none is lost, and a
machine with the right clock goes on as if nothing had been.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.expire import expire
from include.backup.actions.replicate import replicate
from include.backup.errors import BackupError
from include.backup.policy.model import Method
from include.backup.storage.memory import MemoryStorage
from tests.damage.site import Site
from tests.damage.tally import tell

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "20"))
ALLOWED = timedelta(minutes=5)
pytestmark = pytest.mark.timeout(120 + 5 * ROUNDS)
ACTS: dict[str, Callable[[Setting], Outcome]] = {
    "full": lambda setting: back_up(setting, "crm", method=Method.FULL),
    "incremental": lambda setting: back_up(setting, "crm", method=Method.INCREMENTAL),
    "expire": lambda setting: expire(setting, "crm")[0],
    "replicate": lambda setting: replicate(setting, "crm", "second"),
}


@dataclass(frozen=True, slots=True)
class Promise:
    """A recovery point that somebody was told of."""

    content: dict[str, bytes]
    until: datetime


def a_lie(dice: random.Random) -> timedelta:
    """By how much a clock is off: half of them are right, the others by minutes, days or months."""
    if dice.random() < 0.5:
        return timedelta()
    most = dice.choice([timedelta(minutes=4), timedelta(hours=20), timedelta(days=400)])
    return dice.uniform(-1, 1) * most


@pytest.mark.parametrize("locks", ["", "', object_lock: 'governance"])
def test_machines_whose_clocks_lie(tmp_path: Path, locks: str) -> None:
    """Each act at another machine's time."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice, ends = random.Random(seed), Counter[str]()
    site = Site(tmp_path)
    site.second = MemoryStorage(site.clock)
    site.vault_url += locks
    retention = next(
        data_class.retention
        for data_class in site.setting().policy.classes
        if data_class.name == site.data_class
    )
    promises: dict[str, Promise] = {}
    for number in range(ROUNDS):
        site.wait(hours=dice.uniform(1, 60))
        site.write(**{f"part{number % 5}": dice.randbytes(2000)})
        act, lie = dice.choice(list(ACTS)), a_lie(dice)
        where = f"seed {seed}, round {number}: {act}, off by {lie}"
        known = {point.snapshot for point in site.place().state().points}
        begun = site.now
        try:
            ACTS[act](replace(site.setting(), clock=lambda lie=lie: site.clock() + lie))
        except BackupError as error:
            ends[f"{act}: {type(error).__name__}"] += 1
        else:
            ends[act] += 1
        points = {point.snapshot for point in site.place().state().points}
        for snapshot in points - known:
            promises[snapshot] = Promise(site.content(), begun + retention - ALLOWED)
        due = {one for one, promise in promises.items() if promise.until > site.now}
        assert due <= points, f"{where}: lost, or gone before its time"
        for snapshot in dice.sample(sorted(points), min(2, len(points))):
            assert site.restored(snapshot) == promises[snapshot].content, where
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    site.place().ledger.verify()
    site.wait(hours=13)  # after a jump of a clock nothing is removed for half a day
    for run in ACTS.values():
        run(site.setting())
    assert site.restored() == site.content()
    tell(f"clocks that lie, vault {'with' if locks else 'without'} locks", ends)
