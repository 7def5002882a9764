"""Our command line with one dataset, of a server of databases, in a vault of its own."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Command, Cost, measure, middle
from benchmarks.programs import DATASET, ROOT, key_connection
from benchmarks.report import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

TABLE_HEAD: Final = (
    "| what | wall s | CPU s (client) | peak MiB | stored MiB |",
    "|---|---|---|---|---|",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OurSide:
    """What our command line works with.

    Args:
        source: of the dataset, as in datasets.yaml.
        connections: what the source and the place to restore to are reached by, as JSON.
        settle: lets the server write what others left to be written, so that nobody pays for it.
    """

    work: Path
    source: Mapping[str, str]
    connections: Mapping[str, str] = field(repr=False)
    settle: Callable[[], object] = field(default=lambda: None)
    more: Mapping[str, object] = field(default_factory=dict)  # in datasets.yaml
    expectations: str = ""  # of the dataset, as YAML

    def full(self) -> Cost:
        """A first full into an empty vault."""
        for name in ("vault", "state"):
            shutil.rmtree(self.work / name, ignore_errors=True)
        (self.work / "vault").mkdir()
        return replace(self.run("back-up", DATASET, "--full"), stored_bytes=self.stored_bytes())

    def incremental(self) -> Cost:
        """One more backup; what it stored is what the vault has grown by."""
        before = self.stored_bytes()
        cost = self.run("back-up", DATASET)
        return replace(cost, stored_bytes=self.stored_bytes() - before)

    def run(self, *arguments: str) -> Cost:
        """Run a command."""
        config = self._config()
        master, signing = json.loads((self.work / "keys").read_text())
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work),
            "LANG": "C.UTF-8",
            "HOLDFAST_STATE": str(self.work / "state"),
            "AIRFLOW_CONN_BACKUP_MASTER_KEY": master,
            "AIRFLOW_CONN_BACKUP_SIGNING_KEY": signing,
            **{f"AIRFLOW_CONN_{name.upper()}": text for name, text in self.connections.items()},
        }
        program = (sys.executable, "-m", "include.backup", "--config", str(config))
        command = Command(arguments=(*program, *arguments), environment=environment, folder=ROOT)
        self.settle()
        return measure(command, log=self.work / "log")

    def stored_bytes(self) -> int:
        """What lies in the vault."""
        vault = self.work / "vault"
        return sum(path.stat().st_size for path in vault.rglob("*") if path.is_file())

    def _config(self) -> Path:
        config = self.work / "config"
        if not config.exists():
            config.mkdir()
            shutil.copy(ROOT / "include" / "config" / "policy.yaml", config)
            document = {
                "key": {"provider": "local", "connection": "backup_master_key"},
                "signing_key": {"connection": "backup_signing_key"},
                "vaults": {"primary": {"url": f"file://{self.work}/vault"}},
                **self.more,
                "datasets": {
                    DATASET: {
                        "class": "critical",
                        "owner": "bench@example.com",
                        "source": dict(self.source),
                    }
                },
            }
            (config / "datasets.yaml").write_text(json.dumps(document))
            if self.expectations:
                (config / "expectations").mkdir()
                (config / "expectations" / f"{DATASET}.yaml").write_text(self.expectations)
            (self.work / "keys").write_text(json.dumps([key_connection(), key_connection()]))
        return config


def medians(costs: Mapping[str, Sequence[Cost]]) -> dict[str, Cost]:
    """The median of each step."""
    return {name: middle(found) for name, found in costs.items()}


def table_rows(costs: Mapping[str, Cost], prefix: str = "") -> list[str]:
    """Rows below TABLE_HEAD."""
    return [
        f"| {prefix}{name} | {cost.wall_seconds:.2f} | {cost.cpu_seconds:.2f} | "
        f"{cost.peak_bytes / MIB:.0f} | {cost.stored_bytes / MIB:.1f} |"
        for name, cost in costs.items()
    ]
