"""Every call of an act over the network is spoiled once, in every way: nothing is lost.

The act ends in success or in one error of ours, never in one of boto3; afterwards stock restic
reads everything, every acknowledged recovery point restores byte for byte, the ledger fits, and
the next run of the same act succeeds.

A few calls of each act in `make test`, drawn from a printed seed (HOLDFAST_SEED repeats one); all
of them with HOLDFAST_FAULTS=all, which takes hours. HOLDFAST_FROM goes on where one was ended.
"""

from __future__ import annotations

import os
import random
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.damage.bucket_bed import make_bed
from tests.damage.bucket_judge import SCENES, Judge, attempt, succeeded
from tests.damage.tally import LOST, telling
from tests.servers.fault_proxy import Fault, fault_proxy
from tests.servers.rgw import rgw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.damage.bucket_bed import Bed
    from tests.servers.fault_proxy import Kind
    from tests.servers.rgw import Rgw

__all__ = ["rgw"]
ALL = os.environ.get("HOLDFAST_FAULTS") == "all"
ONLY = os.environ.get("HOLDFAST_FAULT", "")  # one kind, as in "flipped down"
FROM = int(os.environ.get("HOLDFAST_FROM", "0"))  # which of all comes first
SAMPLE = 3  # runs of each act
SEED = int(os.environ.get("HOLDFAST_SEED") or int.from_bytes(os.urandom(4), "big"))
pytestmark = [
    pytest.mark.integration,
    pytest.mark.interop,
    pytest.mark.timeout(4 * 3600 if ALL else 600),
]
SENT = ("flip request",)  # kinds that need a body to spoil, on the way there …
ANSWERED = ("flip reply", "short reply")  # … and on the way back
KINDS: dict[str, tuple[Kind, int]] = {
    "500": ("status", 500),
    "503": ("status", 503),
    "reset before": ("reset before", 0),
    "reset mid body": ("reset mid body", 0),
    "lost reply": ("lost reply", 0),
    "hang": ("hang", 0),
    "flipped up": ("flip request", 0),
    "flipped down": ("flip reply", 0),
    "short body": ("short reply", 0),
}
_CODES = {500: "InternalError", 503: "SlowDown", 0: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call of an act, and what happens to it."""

    call: int  # from 0
    kind: str
    place: float  # of a flipped byte

    def fault(self) -> Fault:
        """What the proxy is told."""
        kind, status = KINDS[self.kind]
        return Fault(
            kind=kind,
            line=".*",
            skip=self.call,
            status=status,
            code=_CODES[status],
            place=self.place,
        )


def cases(calls: list[str], dice: random.Random) -> Iterator[Case]:
    """Every call of an act with every kind of fault that it can suffer."""
    for call, line in enumerate(calls):
        method = line.split(" ", 1)[0]
        for label, (kind, _) in KINDS.items():
            place = dice.random()
            if ONLY not in {"", label}:
                continue
            if kind in SENT and method in {"GET", "HEAD"}:
                continue
            if kind in ANSWERED and method in {"PUT", "HEAD"}:
                continue
            yield Case(call=call, kind=label, place=place)


def play(act: str, bed: Bed, judge: Judge, case: Case) -> str:
    """Run an act with one call spoiled, from the beginning; return how it ended."""
    bed.rewind()
    fault = bed.proxy.inject(case.fault())
    ended = attempt(act, bed)
    judge.require_untouched()
    judge.require(ended)
    if not fault.hits or fault.idle:
        return "not met"
    return "success" if succeeded(ended) else "clean error"


def told(act: str, case: Case, line: str, error: Exception) -> str:
    """What went wrong, at which call."""
    trace = "".join(traceback.format_exception(error, limit=-8))
    return f"FAILED {act} {case} {line}: {error!r}\n{trace}"


@pytest.mark.parametrize("act", SCENES)
def test_one_spoiled_call_loses_nothing(
    act: str,
    rgw: Rgw,
    tmp_path: Path,
) -> None:
    """Each call of a backup, a restore, a check, an expiry and a replication, in each way."""
    dice = random.Random(f"{SEED} {act}")
    scene = SCENES[act]
    with fault_proxy(rgw.http_endpoint) as proxy:
        bed = make_bed(rgw, proxy, tmp_path, scene.begin, lock_mode=scene.lock_mode)
        judge = Judge(act, bed)
        bed.rewind()
        ended = attempt(act, bed)
        assert succeeded(ended), ended
        calls = proxy.clear()
        judge.require(ended)
        every = list(cases(calls, dice))
        drawn = every[FROM:] if ALL else dice.sample(every, SAMPLE)
        print(f"\nseed {SEED}: {act}, {len(calls)} calls, {len(drawn)} of {len(every)} faults")
        failures: list[str] = []
        longest = 0.0
        with telling(act, of="one call") as table:
            for number, case in enumerate(drawn, start=1):
                if number % 50 == 0:
                    print(f"{act}: {number} of {len(drawn)}", flush=True)
                begun = time.monotonic()
                try:
                    table[case.kind][play(act, bed, judge, case)] += 1
                except Exception as error:  # noqa: BLE001  all are tried, and told together
                    table[case.kind][LOST] += 1
                    line = (proxy.seen if case.call < len(proxy.seen) else calls)[case.call]
                    failures.append(told(act, case, line, error))
                    print(failures[-1], flush=True)
                longest = max(longest, time.monotonic() - begun)
        print(f"{act}: longest run, with its judgement, {longest:.1f} s")
        assert not failures, (
            f"seed {SEED}: {len(failures)} of {len(drawn)}; the first: {failures[0]}"
        )
