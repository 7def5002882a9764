"""What a program costs, measured from outside: time, processor and memory of the whole process.

Wall is from start to end, processor is user + system of the process and all its children, as
wait4(2) tells. Peak memory is the larger of two: wait4's greatest resident set of any *one*
process, and the greatest sum over all processes alive at once, looked at every 50 ms. wait4's
figure includes what this process held when it started the program; so the heavy work of a
benchmark (making corpora, listing buckets) is done in processes of their own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOOK_SECONDS: Final = 0.05
_PAGE_BYTES: Final = resource.getpagesize()
_TAIL_CHARACTERS: Final = 2000


class BenchmarkFailedError(Exception):
    """A program did not do what it was asked; there is nothing to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to run a program. The environment is whole: nothing is inherited."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)  # holds passwords
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took, or the median of several."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    stored_bytes: int = 0  # in the vault afterwards, where that is a result


def measure(command: Command, *, log: Path) -> Cost:
    """Run a program to its end with its output in `log`.

    What others left to be written is written first, so that nobody pays for it.

    Raises:
        BenchmarkFailedError: it ended with an error; carries the end of its output.
    """
    os.sync()
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.arguments,
            env=dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        family = _Family(process.pid)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            peak_together = family.peak_bytes()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]
        words = " ".join(command.arguments)
        raise BenchmarkFailedError(f"{words}\nended with {process.returncode}:\n{tail}")
    return Cost(
        wall_seconds=wall,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=max(usage.ru_maxrss << 10, peak_together),
    )


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        wall_seconds=median(cost.wall_seconds for cost in costs),
        cpu_seconds=median(cost.cpu_seconds for cost in costs),
        peak_bytes=int(median(cost.peak_bytes for cost in costs)),
        stored_bytes=int(median(cost.stored_bytes for cost in costs)),
    )


class _Family:
    """Watches how much a process and its descendants hold together."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak_bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def peak_bytes(self) -> int:
        """Stop watching; the greatest sum seen while there were descendants, else 0."""
        self._over.set()
        self._thread.join()
        return self._peak_bytes

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            pids = [self._pid, *filter(self._is_another, _descendants(self._pid)[1:])]
            if len(pids) > 1:
                self._peak_bytes = max(self._peak_bytes, sum(map(_resident_bytes, pids)))

    def _is_another(self, pid: int) -> bool:
        """Whether it has become a program of its own: before, its memory is the process's."""
        return _command(pid) != _command(self._pid)


def _command(pid: int) -> bytes:
    with suppress(OSError):  # ended meanwhile
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _descendants(pid: int) -> list[int]:
    """The process and everything it started that still runs."""
    found = [pid]
    for parent in found:  # grows while it is gone through
        with suppress(OSError):  # ended meanwhile
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):  # ended meanwhile
        return 0
