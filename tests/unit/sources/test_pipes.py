"""Client programs write in large pieces where `stdbuf` is there, and run without it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from include.backup.sources.pipes import PIPE_BYTES, widen, writing_much

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

COMMAND = ("seq", "100000")


def _pieces(command: list[str]) -> tuple[int, bytes]:
    """The largest piece that a command writes into a wide pipe, and all of what it writes."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        widen(process.stdout.fileno())
        output, largest = b"", 0
        while piece := os.read(process.stdout.fileno(), PIPE_BYTES):
            output, largest = output + piece, max(largest, len(piece))
        assert process.wait() == 0
    return largest, output


def test_a_program_runs_where_stdbuf_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Alpine: the same output, in smaller pieces."""
    program = shutil.which("seq")
    assert program is not None
    monkeypatch.setenv("PATH", str(tmp_path))
    command = writing_much([program, *COMMAND[1:]])
    assert command == [program, "100000"]
    assert len(_pieces(command)[1].split()) == 100_000


def test_a_program_writes_in_large_pieces() -> None:
    """Its buffer is 256 KiB, and it keeps its process id: who connects is told by that."""
    largest, output = _pieces(writing_much(COMMAND))
    assert largest >= 256 << 10
    assert len(output.split()) == 100_000
    own = subprocess.Popen(writing_much(["sh", "-c", "echo $$"]), stdout=subprocess.PIPE, text=True)
    said, _ = own.communicate()
    assert int(said) == own.pid
