"""The two keys of a trial: made by `holdfast init` on first use, kept in a file for its owner."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from scripts.airflow_site import ROOT, write_private

if TYPE_CHECKING:
    from pathlib import Path


def keys(path: Path, *, config: Path) -> dict[str, str]:
    """The environment variables of the keys; the file is made if it is not there.

    Raises:
        subprocess.CalledProcessError: `holdfast init` failed.
    """
    if not path.exists():
        made = subprocess.run(
            [sys.executable, "-m", "include.backup", "--config", str(config), "init"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        write_private(path, made.stdout)
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = "".join(shlex.split(value))
    return found
