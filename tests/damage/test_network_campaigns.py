"""What many faults at once do to a vault in a bucket: nothing acknowledged is lost.

A few rounds of each in `make test`, from a printed seed; as many as HOLDFAST_ROUNDS says elsewhere.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import BackupError, NameTaken, StorageUnreachable
from include.backup.storage.s3 import S3Storage
from tests.damage.bucket_bed import PATIENCE, client_of, make_bed, two_points
from tests.damage.bucket_judge import SCENES, Judge, attempt, succeeded
from tests.damage.tally import LOST, tell
from tests.damage.test_single_faults import KINDS, Case
from tests.servers.fault_proxy import Fault, fault_proxy
from tests.servers.rgw import rgw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.damage.bucket_bed import Bed
    from tests.servers.fault_proxy import FaultProxy
    from tests.servers.rgw import Rgw

__all__ = ["rgw"]
SEED = int(os.environ.get("HOLDFAST_SEED") or int.from_bytes(os.urandom(4), "big"))
ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "0"))  # 0: as few as `make test` has time for
pytestmark = [
    pytest.mark.integration,
    pytest.mark.interop,
    pytest.mark.timeout(600 + 30 * ROUNDS),
]
CHANCE = 0.05  # of each call to be spoiled
WRITERS = 16
AT_ONCE = 8 if ROUNDS else 3
NEWER = "X-Credentials-Newer"


class Storm:
    """The weather in which any call is spoiled by chance, in any way."""

    def __init__(self, dice: random.Random, chance: float = CHANCE) -> None:
        self._dice = dice
        self._chance = chance
        self.faults = 0

    def __call__(self, _: bytes) -> Fault | None:
        """Spoil this call, or let it pass."""
        if self._dice.random() >= self._chance:
            return None
        self.faults += 1
        kind = self._dice.choice(list(KINDS))
        return Case(call=0, kind=kind, place=self._dice.random()).fault()


class Expiring:
    """The weather in which credentials expire at a call, and only newer ones are good."""

    def __init__(self, proxy: FaultProxy, begin: int) -> None:
        self._proxy = proxy
        self._begin = begin

    def __call__(self, head: bytes) -> Fault | None:
        """Refuse who comes with old ones."""
        if len(self._proxy.seen) <= self._begin or NEWER.encode() in head:
            return None
        return Fault(kind="status", line="", status=400, code="ExpiredToken")


def newer(client: Any) -> Any:
    """The same client with a mark that its credentials are newer ones."""

    def mark(request: Any, **_: Any) -> None:
        request.headers[NEWER] = "yes"

    client.meta.events.register("before-send.s3", mark)
    return client


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Chance, from a seed that is printed."""
    print(f"\nseed {SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def proxy(rgw: Rgw) -> Iterator[FaultProxy]:
    """What lies between."""
    with fault_proxy(rgw.http_endpoint) as running:
        yield running


class Beds:
    """A bed and its judge for each act, made when it is first drawn."""

    def __init__(self, server: Rgw, proxy: FaultProxy, folder: Path, **options: Any) -> None:
        self._make = partial(make_bed, server, proxy, **options)
        self._folder = folder
        self._made: dict[str, tuple[Bed, Judge]] = {}

    def __getitem__(self, act: str) -> tuple[Bed, Judge]:
        """Those of an act, at the beginning of its scene."""
        if act not in self._made:
            scene = SCENES[act]
            bed = self._make(self._folder / act, scene.begin, lock_mode=scene.lock_mode)
            self._made[act] = bed, Judge(act, bed)
        bed, judge = self._made[act]
        bed.rewind()
        return bed, judge


def how(ended: object) -> str:
    """In two words."""
    return "success" if succeeded(ended) else "clean error"  # type: ignore[arg-type]


def test_many_faults_at_once(
    rgw: Rgw,
    proxy: FaultProxy,
    tmp_path: Path,
    dice: random.Random,
) -> None:
    """One call in twenty is spoiled, in any way, during any act."""
    acts, ends, faults = Beds(rgw, proxy, tmp_path), Counter[str](), 0
    for number in range(ROUNDS or 2):
        act = dice.choice(list(SCENES))
        bed, judge = acts[act]
        proxy.weather = storm = Storm(dice)
        ended = attempt(act, bed)
        proxy.weather = None
        faults += storm.faults
        try:
            judge.require(ended)
        except (AssertionError, BackupError) as error:
            ends[LOST] += 1
            print(f"seed {SEED}, round {number}, {act} ({ended!r}): {error!r}", flush=True)
            continue
        ends[how(ended)] += 1
        if number and number % 50 == 0:
            print(f"{number} rounds, {faults} faults", flush=True)
    tell(f"one call in twenty: any of them, any act ({faults:,} faults)", ends)
    assert not ends[LOST]


@pytest.mark.parametrize("renews", [True, False])
def test_credentials_that_expire_in_the_middle(
    rgw: Rgw,
    proxy: FaultProxy,
    tmp_path: Path,
    dice: random.Random,
    *,
    renews: bool,
) -> None:
    """A connection that has newer ones is used with them; one that has not ends in one error."""
    acts, ends = Beds(rgw, proxy, tmp_path), Counter[str]()
    for _ in range(ROUNDS or 1):
        act = dice.choice(list(SCENES))
        bed, _ = acts[act]
        bed.renew = (lambda: newer(client_of(rgw, proxy))) if renews else None
        assert succeeded(attempt(act, bed))
        calls = len(proxy.seen)
        bed, judge = acts[act]
        proxy.weather = Expiring(proxy, dice.randrange(calls))
        ended = attempt(act, bed)
        proxy.weather = None
        judge.require(ended)
        assert not renews or succeeded(ended), (act, ended)
        ends[how(ended)] += 1
    tell(f"credentials expire, {'renewed' if renews else 'not renewed'}", ends)


def test_sixteen_writers_of_one_name_over_a_bad_line(
    rgw: Rgw,
    proxy: FaultProxy,
    dice: random.Random,
) -> None:
    """One wins, and the file is its; whoever is told that the name is taken has not won."""
    bucket, ends = rgw.make_bucket("versioned"), Counter[str]()
    client = client_of(rgw, proxy)
    for number in range(ROUNDS or 1):
        name, start = f"ledger/{number:010}.json", threading.Barrier(WRITERS)
        proxy.weather = Storm(dice)

        def write(writer: int, name: str = name, start: threading.Barrier = start) -> str:
            storage = S3Storage(client, bucket, "v", patience=PATIENCE)
            start.wait()
            try:
                storage.save(name, b"writer %d" % writer)
            except NameTaken:
                return "taken"
            except StorageUnreachable:
                return "unknown"
            return f"writer {writer}"

        with ThreadPoolExecutor(WRITERS) as pool:
            said = list(pool.map(write, range(WRITERS)))
        proxy.weather = None
        stored = S3Storage(rgw.client(), bucket, "v").load(name).decode()
        winners = [one for one in said if one.startswith("writer")]
        assert winners in ([stored], []), said
        assert winners or "unknown" in said, said
        ends["one winner" if winners else "nobody knows"] += 1
    tell("16 writers of one name", ends)


def test_eight_backups_of_one_dataset_at_once(
    rgw: Rgw,
    proxy: FaultProxy,
    tmp_path: Path,
    dice: random.Random,
) -> None:
    """One holds the lease; the others say so, or take a point of their own afterwards."""
    bed = make_bed(rgw, proxy, tmp_path, two_points)
    judge, ends = Judge("incremental", bed), Counter[str]()
    for _ in range(ROUNDS or 1):
        bed.rewind()
        proxy.weather = Storm(dice, CHANCE / 5)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ended = list(pool.map(lambda _: attempt("incremental", bed), range(AT_ONCE)))
        proxy.weather = None
        points = [one for one in ended if getattr(one, "kind", "") == "recovery-point"]
        for one in points or ended[:1]:
            judge.require(one if one in points else StorageUnreachable("nobody took one"))
            bed.site.ahead = timedelta()
        ends.update("error" if isinstance(one, BackupError) else one.kind for one in ended)
    tell(f"{AT_ONCE} backups of one dataset at once", ends)
