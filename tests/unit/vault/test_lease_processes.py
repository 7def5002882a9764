"""Leases between real processes, killed and stopped by signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import AlreadyRunning
from include.backup.storage.local import LocalStorage
from include.backup.vault.leases import Lease, holder
from include.backup.vault.owners import this_process
from tests.unit.vault.samples import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[3]


class Other:
    """A process that holds, or tries to hold, the lease `full`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hear(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, word: str) -> str:
        """Tell it something and return its answer."""
        self.tell(word)
        return self.hear()

    def tell(self, word: str) -> None:
        """Tell it something."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()


@contextmanager
def other(directory: Path, *, time_to_live: float, renew_every: float = 0.1) -> Iterator[Other]:
    """Run another process; it is gone at the end, whatever happened."""
    words = [str(directory), str(time_to_live), str(renew_every)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.vault.lease_holder", *words],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Other(process)
    finally:
        process.kill()
        process.communicate()


def acquire(directory: Path, *, time_to_live: float) -> Lease:
    """Take the lease in this process."""
    return Lease.acquire(
        LocalStorage(directory),
        "full",
        owner=this_process("the test"),
        now=NOW,
        time_to_live=timedelta(seconds=time_to_live),
    )


def test_process_that_was_stopped_notices_that_it_has_lost(tmp_path: Path) -> None:
    """It sleeps past its time to live, another takes over, and it wakes before its snapshot."""
    with other(tmp_path, time_to_live=1) as holding:
        assert holding.hear() == "held"
        assert holding.ask("check") == "ours"
        with pytest.raises(AlreadyRunning, match="owner another process"):
            acquire(tmp_path, time_to_live=1)
        os.kill(holding.process.pid, signal.SIGSTOP)
        time.sleep(1.3)
        taken = acquire(tmp_path, time_to_live=1)
        os.kill(holding.process.pid, signal.SIGCONT)
        assert holding.ask("check") == "lost: another run has taken over the full lease"
        taken.check()
        assert holding.ask("end") == "ended"
        taken.check()


def test_process_that_was_stopped_is_waited_for(tmp_path: Path) -> None:
    """It is not dead, and may go on any moment: only its time to live counts."""
    with other(tmp_path, time_to_live=60) as holding:
        assert holding.hear() == "held"
        os.kill(holding.process.pid, signal.SIGSTOP)
        with pytest.raises(AlreadyRunning):
            acquire(tmp_path, time_to_live=60)
        os.kill(holding.process.pid, signal.SIGCONT)
        assert holding.ask("check") == "ours"


def test_process_that_was_killed_need_not_be_waited_for(tmp_path: Path) -> None:
    """A kill -9 leaves the lease behind; the next run of this machine takes it at once."""
    with other(tmp_path, time_to_live=600) as holding:
        assert holding.hear() == "held"
        holding.process.kill()
        # Not waited for yet: it is a zombie, which has a pid and is dead all the same.
        deadline = time.monotonic() + 10
        while holder(LocalStorage(tmp_path), "full") and time.monotonic() < deadline:
            time.sleep(0.01)
        acquire(tmp_path, time_to_live=600).check()


def test_of_many_processes_one_holds(tmp_path: Path) -> None:
    """And the next one can as soon as it has ended."""
    with (
        other(tmp_path, time_to_live=60) as one,
        other(tmp_path, time_to_live=60) as two,
        other(tmp_path, time_to_live=60) as three,
    ):
        words = [process.hear() for process in (one, two, three)]
        assert words.count("held") == 1
        assert sum(word.startswith("refused: already running since") for word in words) == 2
        winner = (one, two, three)[words.index("held")]
        assert winner.ask("end") == "ended"
    acquire(tmp_path, time_to_live=60).check()
