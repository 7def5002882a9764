"""A disk that fails below both vaults: it is full, a file grows too large, it cannot be read.

The system calls of a real process are answered by an error in place of the kernel's own answer
(strace, `-e inject`): one number of one call in each of its threads, and every number in turn,
counted from the moment at which the act begins. Which numbers concern a vault is seen in a run
without a fault.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import BackupError
from tests.damage.tally import LOST, telling
from tests.damage.victims import AHEAD, LongHistory, child, is_ours, require_clean
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.conftest import Restic

ALL = os.environ.get("HOLDFAST_FAULTS") == "all"  # `make torture` asks for it
FROM = int(os.environ.get("HOLDFAST_FROM", "0"))  # goes on with all where they were ended
SAMPLE = 2  # of each act
FAULTS = {
    "ENOSPC": ("write", "fallocate", "fsync", "link", "mkdir"),
    "EFBIG": ("write", "fallocate"),
    "EIO": (
        "openat",
        "read",
        "pread64",
        "write",
        "fsync",
        "link",
        "unlink",
        "rename",
        "getdents64",
    ),
}
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
pytestmark = [pytest.mark.interop, pytest.mark.timeout(36_000 if ALL else 300)]


@contextmanager
def traced(process: int, log: Path, *options: str) -> Iterator[None]:
    """Follow the calls of a process, and of all threads that it starts, until it ends."""
    binary = shutil.which("strace")
    if binary is None:
        pytest.skip("strace is not installed: a failing disk is NOT tested (apt install strace)")
    command = [binary, "-f", "-qq", "-y", "-o", str(log), *options, "-p", str(process)]
    tracer = subprocess.Popen(command)
    while "TracerPid:\t0" in Path(f"/proc/{process}/status").read_text():
        assert tracer.poll() is None, "strace may trace nothing here"
        time.sleep(0.005)
    yield
    tracer.wait(timeout=60)


def played(site: Archives, act: str, log: Path, *expressions: str) -> str:
    """Run an act under strace; return what it told of its end."""
    options = [word for expression in expressions for word in ("-e", expression)]
    with (
        child(site, act, ahead=AHEAD, waits=True) as victim,
        traced(victim.pid, log, *options),
    ):
        victim.go_on()
        return victim.hear_all()


def calls_of(log: Path, vaults: tuple[Path, ...]) -> list[tuple[str, int]]:
    """Which calls of an act concern the vaults, by name and number in their thread."""
    seen = Counter[tuple[str, str]]()
    found: set[tuple[str, int]] = set()
    for line in log.read_text(errors="replace").splitlines():
        if (call := _CALL.match(line)) is None:
            continue
        thread, name, arguments = call.groups()
        seen[thread, name] += 1
        if any(str(vault) in arguments for vault in vaults):
            found.add((name, seen[thread, name]))
    return sorted(found)


def injected(log: Path) -> list[str]:
    """The calls that were answered by an error in place of the kernel's answer."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if line.endswith("(INJECTED)")]


@pytest.mark.parametrize("act", ["full", "incremental", "restore", "expire", "replicate", "rotate"])
def test_a_call_that_fails_loses_nothing(tmp_path: Path, restic: Restic, act: str) -> None:
    """One error of ours, or success; what was acknowledged is there, and the next run succeeds."""
    seed = int.from_bytes(os.urandom(4), "big")
    site, log = Archives(tmp_path), tmp_path / "calls"
    history = LongHistory(site, act, files=6)
    vaults, names = (site.vault, tmp_path / "second"), ",".join({*chain(*FAULTS.values())})
    history.rewind()
    assert history.succeeded(played(site, act, log, f"trace={names}"))
    calls = [
        (error, *call)
        for call in calls_of(log, vaults)
        for error, names_of_error in FAULTS.items()
        if call[0] in names_of_error
    ]
    drawn = calls[FROM:] if ALL else random.Random(seed).sample(calls, SAMPLE)
    print(f"seed {seed}: {act}, {len(drawn)} of {len(calls)} faults", flush=True)
    with telling(act, of="disk") as table:
        for done, (error, name, number) in enumerate(drawn):
            if done and done % 50 == 0:
                print(f"{act}: {done} of {len(drawn)}", flush=True)
            history.rewind()
            fault = f"inject={name}:error={error}:when={number}"
            told = played(site, act, log, f"trace={name}", fault)
            if not any(str(vault) in line for vault in vaults for line in injected(log)):
                table[error]["beside the vaults"] += 1
                continue
            try:
                assert is_ours(told), "it ended in no error of ours"
                history.require_kept(told)
            except (AssertionError, BackupError) as failure:
                table[error][LOST] += 1
                print(f"{act}, {fault}: told {told}: {failure!r}", flush=True)
                continue
            table[error]["success" if history.succeeded(told) else "clean error"] += 1
    assert not any(ends[LOST] for ends in table.values())
    require_clean(site, restic)
