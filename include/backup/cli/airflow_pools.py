"""Airflow's pools, asked for by its own command.

A task whose pool is not there is never started, and nothing turns red: `doctor` looks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from include.backup.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_SECONDS: Final = 120


def pool_of(data_class: str) -> str:
    """The pool that bounds how many datasets of a class are backed up at a time."""
    return f"holdfast_{data_class}"


def require_pools(data_classes: Iterable[str]) -> str:
    """See that each class has its pool; say how many slots each has.

    Raises:
        BackupError: one is not there, or Airflow does not answer.
    """
    slots = _slots()
    wanted = {pool_of(name): name for name in data_classes}
    if missing := [pool for pool in wanted if pool not in slots]:
        raise BackupError(
            f"Airflow has no pool {', '.join(missing)}, and never starts a task that needs it",
            hint=f'airflow pools set {missing[0]} 4 "{wanted[missing[0]]} datasets at a time"',
        )
    return ", ".join(f"{pool} {slots[pool]}" for pool in wanted)


def can_be_asked() -> bool:
    """Whether an Airflow is set up here. Its command would make itself a new home otherwise."""
    return bool(os.environ.get("AIRFLOW_HOME")) and shutil.which("airflow") is not None


def _slots() -> dict[str, str]:
    """The pools with their slots.

    Raises:
        BackupError: Airflow does not answer.
    """
    hint = "airflow db check"
    try:
        done = subprocess.run(
            ["airflow", "pools", "list", "--output", "json"],  # noqa: S607  as on PATH
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackupError(f"Airflow does not answer: {type(error).__name__}", hint=hint) from None
    try:
        listed = json.loads(done.stdout[done.stdout.index("[") :])
        return {str(pool["pool"]): str(pool["slots"]) for pool in listed}
    except (ValueError, KeyError, TypeError):
        raise BackupError(
            f"Airflow does not answer: its command ended with {done.returncode}", hint=hint
        ) from None
