"""A skipped test fails where merging is decided, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SKIPPING = """
import pytest

def test_that_lacks_a_tool():
    pytest.skip("no such tool")

@pytest.mark.skip(reason="marked")
def test_that_is_marked():
    pass

@pytest.fixture
def tool():
    pytest.skip("no tool for a fixture")

def test_whose_fixture_lacks_a_tool(tool):
    pass

@pytest.mark.xfail(reason="known")
def test_that_is_known_to_fail():
    assert False
"""


def run_skipping(folder: Path, *, ci: str) -> str:
    """Run tests that skip, in a pytest of their own; return what it printed."""
    (folder / "test_skipping.py").write_text(SKIPPING)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.skip_guard", "-rf", str(folder)],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("ci", ["", "false"])
def test_a_skip_is_a_skip_on_a_laptop(tmp_path: Path, ci: str) -> None:
    """Who lacks a tool can still run the rest."""
    assert "3 skipped, 1 xfailed in" in run_skipping(tmp_path, ci=ci)


def test_a_skip_is_a_failure_in_ci(tmp_path: Path) -> None:
    """However a test skips, CI is red and says why; an expected failure stays one."""
    printed = run_skipping(tmp_path, ci="true")
    assert "1 failed, 1 xfailed, 2 errors in" in printed  # what skips before it starts is an error
    for reason in ("no such tool", "marked", "no tool for a fixture"):
        assert f"not run, and CI=true: Skipped: {reason}" in printed
