"""The programs that are compared, each with its own way to say the same five things.

All run with their defaults, with an empty home of their own and only the environment that is
written here. Borg has no default for encryption; it gets the fastest of those that authenticate.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from benchmarks.measure import BenchmarkFailedError, Command
from benchmarks.server import Bucket

ROOT: Final = Path(__file__).resolve().parents[1]
DATASET: Final = "bench"
Place = Path | Bucket  # where the vault of a program lies: a folder of its own, or a prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a program works with in one round."""

    home: Path  # its home, caches and configuration
    data: Path  # what it backs up
    place: Place


class Program(Protocol):
    """One program with one empty vault."""

    name: str

    def begin(self) -> None:
        """Make the vault, where that is a step of its own. Not measured."""

    def full(self) -> Command:
        """Take the first backup."""

    def incremental(self) -> Command:
        """Take a later backup."""

    def restore(self, to: Path) -> Command:
        """Put the newest backup back into an empty folder."""

    def restored(self, to: Path) -> Path:
        """Where below that folder the data is."""

    def check(self) -> Command:
        """Read and verify every stored byte."""


class Holdfast:
    """Our command line in this checkout."""

    name = "holdfast"

    def __init__(self, site: Site) -> None:
        self._config = site.home / "config"
        self._environment = _environment(site.home) | {
            "HOLDFAST_STATE": str(site.home / "state"),
            "AIRFLOW_CONN_BACKUP_MASTER_KEY": key_connection(),
            "AIRFLOW_CONN_BACKUP_SIGNING_KEY": key_connection(),
        }
        if isinstance(site.place, Bucket):
            vault = {"url": f"s3://{site.place.name}/holdfast", "connection": "backup_vault"}
            self._environment["AIRFLOW_CONN_BACKUP_VAULT"] = site.place.connection()
        else:
            vault = {"url": f"file://{site.place}"}
        write_config(self._config, vault=vault, datasets={DATASET: site.data})

    @staticmethod
    def version() -> str:
        """The version of the project, and the commit where git can tell."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        version = f"holdfast {project['version']}"
        if shutil.which("git") is None:
            return version
        commit = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        return f"{version} ({commit})" if commit else version

    def begin(self) -> None:
        """Nothing: the first backup makes the vault."""

    def full(self) -> Command:
        """A full recovery point."""
        return self._command("back-up", DATASET, "--full")

    def incremental(self) -> Command:
        """An incremental recovery point."""
        return self._command("back-up", DATASET)

    def restore(self, to: Path) -> Command:
        """The newest recovery point."""
        return self._command("restore", DATASET, "--to", str(to))

    def restored(self, to: Path) -> Path:
        """Right there."""
        return to

    def check(self) -> Command:
        """Structure and every byte."""
        return self._command("check", DATASET, "--read-data")

    def _command(self, *arguments: str) -> Command:
        program = (sys.executable, "-m", "include.backup", "--config", str(self._config))
        return Command(arguments=(*program, *arguments), environment=self._environment, folder=ROOT)


class Restic:
    """The restic on PATH."""

    name = "restic"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._options: tuple[str, ...] = ()
        self._environment = _environment(site.home) | {
            "RESTIC_PASSWORD": secrets.token_hex(),
            "RESTIC_CACHE_DIR": str(site.home / "cache"),
        }
        if isinstance(site.place, Bucket):
            self._environment |= site.place.credentials()
            self._environment["RESTIC_REPOSITORY"] = (
                f"s3:{site.place.server.endpoint}/{site.place.name}/restic"
            )
            self._options = ("--cacert", site.place.server.ca_path)
        else:
            self._environment["RESTIC_REPOSITORY"] = str(site.place)

    @staticmethod
    def version() -> str:
        """What it says of itself."""
        return _first_line("restic", "version")

    def begin(self) -> None:
        """Make the repository; 0.14 would not choose version 2 by itself."""
        _run(self._command("init", "--repository-version", "2"))

    def full(self) -> Command:
        """The first snapshot."""
        return self._command("backup", str(self._site.data))

    def incremental(self) -> Command:
        """The next snapshot; restic finds its parent."""
        return self.full()

    def restore(self, to: Path) -> Command:
        """The newest snapshot."""
        return self._command("restore", "latest", "--target", str(to))

    def restored(self, to: Path) -> Path:
        """Below the whole path of the data."""
        return to / self._site.data.relative_to("/")

    def check(self) -> Command:
        """Structure and every byte."""
        return self._command("check", "--read-data")

    def _command(self, *arguments: str) -> Command:
        return Command(
            arguments=("restic", *self._options, *arguments),
            environment=self._environment,
            folder=self._site.home,
        )


class Borg:
    """The borg on PATH. Knows no S3."""

    name = "borg"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._taken = 0
        self._environment = _environment(site.home) | {
            "BORG_BASE_DIR": str(site.home),
            "BORG_REPO": str(site.place),
            "BORG_PASSPHRASE": secrets.token_hex(),
        }

    @staticmethod
    def version() -> str:
        """What it says of itself."""
        return _first_line("borg", "--version")

    def begin(self) -> None:
        """Make the repository."""
        _run(self._command("init", "--encryption", "repokey-blake2"))

    def full(self) -> Command:
        """The first archive."""
        self._taken += 1
        return self._command("create", f"::{self._taken}", ".", folder=self._site.data)

    def incremental(self) -> Command:
        """The next archive; borg has only one kind."""
        return self.full()

    def restore(self, to: Path) -> Command:
        """The newest archive."""
        return self._command("extract", f"::{self._taken}", folder=to)

    def restored(self, to: Path) -> Path:
        """Right there."""
        return to

    def check(self) -> Command:
        """Structure and every byte."""
        return self._command("check", "--verify-data")

    def _command(self, *arguments: str, folder: Path | None = None) -> Command:
        return Command(
            arguments=("borg", *arguments),
            environment=self._environment,
            folder=folder or self._site.home,
        )


Factory = type[Holdfast] | type[Restic] | type[Borg]


def on_path() -> list[Factory]:
    """The programs that can be compared here, ours first.

    Raises:
        BenchmarkFailedError: restic, to which all ratios refer, is not there.
    """
    if shutil.which("restic") is None:
        raise BenchmarkFailedError("restic is not on PATH; on Debian: apt-get install restic")
    return [Holdfast, Restic, *([Borg] if shutil.which("borg") else [])]


def write_config(folder: Path, *, vault: dict[str, str], datasets: dict[str, Path]) -> None:
    """Write the policy that we ship and a datasets.yaml (JSON is YAML) into a new folder."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "include" / "config" / "policy.yaml", folder)
    entries = {
        name: {
            "class": "critical",
            "owner": "bench@example.com",
            "source": {"type": "filesystem", "path": str(path)},
        }
        for name, path in datasets.items()
    }
    document = {
        "key": {"provider": "local", "connection": "backup_master_key"},
        "signing_key": {"connection": "backup_signing_key"},
        "vaults": {"primary": vault},
        "datasets": entries,
    }
    (folder / "datasets.yaml").write_text(json.dumps(document), encoding="utf-8")


def _environment(home: Path) -> dict[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def key_connection() -> str:
    """A connection that holds a new key, as the text of its variable."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    return json.dumps({"conn_type": "generic", "password": key})


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].strip()


def _run(command: Command) -> None:
    done = subprocess.run(
        command.arguments,
        env=dict(command.environment),
        cwd=command.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(f"{' '.join(command.arguments)}\n{done.stderr}")
