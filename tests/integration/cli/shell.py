"""A shell that runs the commands of one installation, as somebody at a terminal would."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
ENTRY = """
  crm:
    class: critical
    owner: crm-team@example.com
    source: {{type: filesystem, path: {site}/crm}}
"""


class Shell:
    """Runs commands of one installation."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(site),
            "PYTHONPATH": str(ROOT),
            "HOLDFAST_CONFIG": str(site / "config"),
            "HOLDFAST_STATE": str(site / "state"),
            "AIRFLOW_CONN_BACKUP_MASTER_KEY": connection(1),
            "AIRFLOW_CONN_BACKUP_SIGNING_KEY": connection(2),
        }

    def __call__(self, *arguments: str, code: int | None = 0) -> str:
        """Run a command, expect an exit code (None: any), return everything printed."""
        done = self.run(*arguments, code=code)
        return done.stdout + done.stderr

    def out(self, *arguments: str, code: int | None = 0) -> str:
        """Run a command, return what it printed on standard output."""
        return self.run(*arguments, code=code).stdout

    def json(self, *arguments: str) -> Any:
        """Run a command that prints JSON, and nothing else on standard output."""
        return json.loads(self.out(*arguments, "--json"))

    def run(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; fail if it ends with another code than expected, or with a traceback."""
        done = subprocess.run(
            [sys.executable, "-m", "include.backup", *arguments],
            env=self.environment,
            cwd=self.site,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        printed = done.stdout + done.stderr
        assert "Traceback" not in printed, printed
        assert code is None or done.returncode == code, f"exit {done.returncode}\n{printed}"
        return done

    def newest_record(self, dataset: str) -> Path:
        """The file of the newest record of a dataset."""
        return max((self.site / "vault" / "datasets" / dataset / "ledger").iterdir())

    def datasets(self, entries: str, more: str = "", *, replica: bool = False) -> None:
        """Write datasets.yaml with these entries, and more before them.

        Args:
            replica: a second vault holds copies.
        """
        second = f", second: {{url: 'file://{self.site}/second'}}" if replica else ""
        defaults = "defaults: {replicas: [second]}\n" if replica else ""
        (self.site / "config" / "datasets.yaml").write_text(
            "key: {provider: local, connection: backup_master_key}\n"
            "signing_key: {connection: backup_signing_key}\n"
            f"vaults: {{primary: {{url: 'file://{self.site}/vault'}}{second}}}\n"
            f"{more}{defaults}datasets:{entries.format(site=self.site)}"
        )


def connection(number: int) -> str:
    """A key as the variable of its connection holds it."""
    password = base64.b64encode(bytes([number]) * 32).decode()
    return json.dumps({"conn_type": "generic", "password": password})
