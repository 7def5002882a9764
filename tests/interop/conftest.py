"""The stock restic binary, as tests see it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "correct horse"
_LONGEST_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Restic:
    """Runs restic. Every exit code but 0 is a failure, unless another is expected."""

    binary: str
    home: Path

    def run(
        self,
        *arguments: str,
        repository: Path,
        password: str = PASSWORD,
        expect: tuple[int, ...] = (0,),
        cwd: Path | None = None,
    ) -> str:
        """Run one command without cache; return what it printed."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "RESTIC_PASSWORD": password,
        }
        done = subprocess.run(
            [self.binary, "--no-cache", "-r", str(repository), *arguments],
            env=environment,
            cwd=cwd,
            capture_output=True,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
        output = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
        assert done.returncode in expect, f"restic {arguments}: exit {done.returncode}\n{output}"
        return done.stdout.decode("utf-8", "replace")

    def version(self) -> tuple[int, ...]:
        """As in (0, 14, 0)."""
        printed = subprocess.run(
            [self.binary, "version"], capture_output=True, check=True, text=True, timeout=60
        ).stdout
        return tuple(int(part) for part in printed.split()[1].split("-")[0].split("."))


@pytest.fixture(scope="session")
def restic(tmp_path_factory: pytest.TempPathFactory) -> Restic:
    """Stock restic; where it is missing a developer is told so, and CI fails."""
    binary = shutil.which("restic")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("restic is not installed, and CI must not pass without it")
        pytest.skip("restic is not installed: interoperability is NOT tested (apt install restic)")
    return Restic(binary=binary, home=tmp_path_factory.mktemp("home"))
