"""kill -9 of a whole verification, at any moment: nothing counts as proved, nothing is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from include.backup.quality.scratch_folder import PREFIX
from tests.integration.cli.shell import ROOT, Shell
from tests.integration.postgresql.test_verification import scratches
from tests.servers.postgresql import postgres  # noqa: F401 a fixture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgresql import Postgres

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
KILLS = 4
NAME = "killed"


def configure(shell: Shell, source: str, place: str) -> None:
    """Write the configuration."""
    config = shell.site / "config"
    config.mkdir()
    policy = ROOT / "include" / "config" / "policy.yaml"
    (config / "policy.yaml").write_text(policy.read_text())
    entry = f"""
  crm:
    class: important
    owner: crm-team@example.com
    source: {{{{{source}}}}}
"""
    shell.datasets(entry, place)


def begin(shell: Shell) -> subprocess.Popen[bytes]:
    """Begin a verification in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "include.backup", "verify", "crm"],
        env=shell.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_at_random_moments(shell: Shell, seed: int) -> int:
    """Kill some verifications, each a little later; return how many did not end before."""
    chance = random.Random(seed)
    began = time.monotonic()
    assert begin(shell).wait(120) == 0
    usual = time.monotonic() - began
    killed = 0
    for number in range(KILLS):
        process = begin(shell)
        time.sleep(usual * (number + chance.random()) / KILLS)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    return killed


def test_of_files(tmp_path: Path) -> None:
    """What is left in the place is removed by the next verification, and told."""
    shell = Shell(tmp_path)
    data, scratch = tmp_path / "data", tmp_path / "scratch"
    for folder in (data, scratch):
        folder.mkdir(exist_ok=True)
    for number in range(40):
        (data / f"{number}.bin").write_bytes(os.urandom(1 << 20))
    configure(
        shell,
        f"type: filesystem, path: {data}",
        f"verification: {{filesystem: {scratch}, encrypted: true}}\n",
    )
    shell("back-up", "crm")
    assert kill_at_random_moments(shell, seed=4)
    printed = shell("verify", "crm")
    assert "KEPT 3.4 4.2 · important/crm" in printed
    assert [path for path in scratch.iterdir() if path.name.startswith(PREFIX)] == []
    assert shell("status", code=None)
    shell("ledger", "verify", "crm")


def test_of_a_database(postgres: Postgres, tmp_path: Path) -> None:  # noqa: F811
    """The server tells that nobody lives."""
    postgres.make_database(NAME)
    postgres.run(
        "CREATE TABLE t AS SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 100000) i",
        database=NAME,
    )
    shell = Shell(tmp_path)
    shell.environment["AIRFLOW_CONN_SOURCE"] = postgres.variable(NAME)
    shell.environment["AIRFLOW_CONN_PLACE"] = postgres.variable()
    configure(
        shell,
        "type: postgresql, connection: source",
        "verification: {postgresql: place, encrypted: true}\n",
    )
    shell("back-up", "crm")
    assert kill_at_random_moments(shell, seed=5)
    assert "KEPT 3.4 4.2 · important/crm" in shell("verify", "crm")
    assert scratches(postgres) == set()
    postgres.run(f"DROP DATABASE {NAME} WITH (FORCE)")
