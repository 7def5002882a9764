"""What the benchmark says of a program is what the program did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import BenchmarkFailedError, Command, Cost, measure, middle

ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20
HOLD = "import time; held = bytearray({mib} << 20); time.sleep(1.5)"


def python(code: str, folder: Path) -> Command:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return Command(arguments=[sys.executable, "-c", code], environment=environment, folder=folder)


def test_processes_alive_at_once_count_together(tmp_path: Path) -> None:
    """Memory cannot be hidden by spreading it over workers."""
    hold = HOLD.format(mib=300)
    workers = tmp_path / "workers.py"
    workers.write_text(f"""
import subprocess, sys
workers = [subprocess.Popen([sys.executable, "-c", "{hold}"]) for _ in range(2)]
sys.exit(any([worker.wait() for worker in workers]))
""")
    # Measured by a process of its own: what this one has ever held would count (see measure).
    measured = f"""
import sys
from pathlib import Path
from benchmarks.measure import Command, measure
folder = Path({str(tmp_path)!r})
command = Command(arguments=[sys.executable, {str(workers)!r}], environment={{}}, folder=folder)
print(measure(command, log=folder / "log").peak_bytes)
"""
    done = subprocess.run(
        [sys.executable, "-c", measured], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert 600 * MIB < int(done.stdout) < 750 * MIB


def test_the_processor_time_of_children_counts(tmp_path: Path) -> None:
    """Work cannot be hidden in children either; waiting is no work."""
    burn = "import time\\nwhile time.process_time() < 0.3: pass"
    code = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", "{burn}"], check=True)
time.sleep(0.3)
"""
    cost = measure(python(code, tmp_path), log=tmp_path / "log")
    assert cost.cpu_seconds >= 0.3
    assert cost.wall_seconds >= 0.6


def test_a_program_that_fails_is_no_result(tmp_path: Path) -> None:
    """Its last words are told."""
    with pytest.raises(BenchmarkFailedError, match="no such vault"):
        measure(python("raise SystemExit('no such vault')", tmp_path), log=tmp_path / "log")


def test_nothing_is_inherited_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting on one machine must not change what is compared."""
    monkeypatch.setenv("RESTIC_COMPRESSION", "max")
    code = "import os, sys; sys.exit('RESTIC_COMPRESSION' in os.environ)"
    measure(python(code, tmp_path), log=tmp_path / "log")


def test_each_figure_has_its_own_median() -> None:
    """One slow run does not decide, nor does it drag the other figures along."""
    costs = [
        Cost(wall_seconds=wall, cpu_seconds=cpu, peak_bytes=peak)
        for wall, cpu, peak in ((1, 9, 20), (2, 8, 30), (90, 7, 10))
    ]
    found = middle(costs)
    assert (found.wall_seconds, found.cpu_seconds, found.peak_bytes) == (2, 8, 20)
