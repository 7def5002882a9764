"""One round: every program takes the same steps on the same data, step by step in turn.

In turn, so that whatever else the machine does meets all of them alike; and in another order in
each round, so that nobody always goes first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from benchmarks.corpus import change_one_percent
from benchmarks.measure import BenchmarkFailedError, Command, Cost, measure
from benchmarks.programs import Site
from benchmarks.server import Bucket, running_bucket

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.programs import Factory, Place, Program

_LARGE_BYTES: Final = 64 << 10


class Step(StrEnum):
    """What is measured."""

    FULL = "first full"
    UNCHANGED = "unchanged incremental"
    CHANGED = "1 % changed"
    RESTORE = "restore"
    CHECK = "check, every byte"


_READ_DATA: Final = frozenset({Step.FULL, Step.UNCHANGED, Step.CHANGED})

Costs = dict[Step, dict[str, list[Cost]]]  # by step and name of the program, one per round


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a round consists of."""

    corpus: Path  # never changed
    factories: Sequence[Factory]
    steps: Sequence[Step]
    on_s3: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contestant:
    program: Program
    place: Place
    folder: Path


def play(plan: Plan, work: Path, *, rounds: int, warm_up: bool) -> Costs:
    """Play all rounds; what each step cost each program.

    In the first round everything restored is compared with the data, outside what is measured.

    Raises:
        BenchmarkFailedError: a program failed, or restored something else.
    """
    costs: Costs = {step: {factory.name: [] for factory in plan.factories} for step in plan.steps}
    for number in range(1 - warm_up, rounds + 1):
        _say(f"round {number} of {rounds}" if number else "warm-up")
        folder = work / f"round-{number}"
        turn = max(number, 0) % len(plan.factories)
        order = [*plan.factories[turn:], *plan.factories[:turn]]
        with running_bucket() if plan.on_s3 else nullcontext() as bucket:
            played = _round(
                replace(plan, factories=order),
                folder,
                bucket,
                number=number,
                compare=number == 1 - warm_up,
            )
        for step, name, cost in played if number else ():
            costs[step][name].append(cost)
        _empty(folder)
    return costs


def _round(
    plan: Plan, folder: Path, bucket: Bucket | None, *, number: int, compare: bool
) -> list[tuple[Step, str, Cost]]:
    folder.mkdir(parents=True)
    data = plan.corpus
    if Step.CHANGED in plan.steps:
        data = folder / "data"
        shutil.copytree(plan.corpus, data, symlinks=True)
    contestants = [_enter(factory, folder, data, bucket) for factory in plan.factories]
    played = []
    for step in plan.steps:
        if step is Step.CHANGED:
            change_one_percent(data, seed=number)
        for one in contestants:
            _say(f"  {step} · {one.program.name}")
            _bring_into_memory(data if step in _READ_DATA else one.place)
            cost = _take(step, one)
            if step in {Step.FULL, Step.CHANGED}:
                cost = replace(cost, stored_bytes=_stored_bytes(one))
            if step is Step.RESTORE:
                if compare:
                    _compare(data, one.program.restored(one.folder / "restored"))
                _empty(one.folder / "restored")
            played.append((step, one.program.name, cost))
    return played


def _enter(factory: Factory, folder: Path, data: Path, bucket: Bucket | None) -> _Contestant:
    own = folder / factory.name
    place: Place = bucket or own / "vault"
    program = factory(Site(home=own / "home", data=data, place=place))
    program.begin()
    return _Contestant(program=program, place=place, folder=own)


def _take(step: Step, one: _Contestant) -> Cost:
    return measure(_command(step, one), log=one.folder / "log")


def _command(step: Step, one: _Contestant) -> Command:
    match step:
        case Step.FULL:
            return one.program.full()
        case Step.UNCHANGED | Step.CHANGED:
            return one.program.incremental()
        case Step.RESTORE:
            target = one.folder / "restored"
            target.mkdir()
            return one.program.restore(target)
        case Step.CHECK:
            return one.program.check()


def _stored_bytes(one: _Contestant) -> int:
    """Bytes of all files of the vault: their content, not the blocks of the file system."""
    if isinstance(one.place, Bucket):
        return one.place.size_bytes(one.program.name)
    return sum(
        os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118  as os.walk tells it
        for parent, _, names in os.walk(one.place)
        for name in names
    )


def _compare(data: Path, restored: Path) -> None:
    """Names and contents; that metadata comes back too is what the interop tests prove."""
    done = subprocess.run(
        ["diff", "--recursive", "--brief", "--no-dereference", str(data), str(restored)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(f"what was restored is not what was there:\n{done.stdout}")


def _bring_into_memory(place: Place) -> None:
    """Read what the next step will read: it finds it in the page cache, whoever went before.

    Borg lets the kernel forget every file that it has read, and we every pack that we have written:
    without this, whoever comes after pays for reading from the disk, and it is always the same.
    """
    if isinstance(place, Bucket):
        return
    subprocess.run(
        ["find", str(place), "-type", "f", "-exec", "cat", "{}", "+"],
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _empty(folder: Path) -> None:
    """Give the room of large files back to the disk; the files themselves stay until the end.

    A file system without a journal hands out no number of a file that was deleted within minutes.
    After 10,000 deletions each new file costs it a long search, and whoever writes next pays.
    """
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size >= _LARGE_BYTES:
            os.truncate(path, 0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
