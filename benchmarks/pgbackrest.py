"""pgBackRest beside us: it copies the files of a server that it runs on, as that server's user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Command, Cost, measure
from tests.servers.postgresql import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgresql import Postgres

_STANZA: Final = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class PgBackRest:
    """One repository: encrypted, compressed with zstd at level 1, two processes."""

    server: Postgres
    folder: Path

    @classmethod
    def of(cls, server: Postgres) -> PgBackRest | None:
        """None where it is not installed."""
        if shutil.which("pgbackrest") is None:
            return None
        folder = server.folder / "pgbackrest"
        for part in (folder, folder / "repository", folder / "work"):
            part.mkdir()
            _give(part, server)
        made = cls(server=server, folder=folder)
        made.run("stanza-create")
        return made

    def full(self) -> Cost:
        """A full backup in the place of those before."""
        shutil.rmtree(self.folder / "repository" / "backup", ignore_errors=True)
        shutil.rmtree(self.folder / "repository" / "archive", ignore_errors=True)
        self.run("stanza-create")
        return self._backup("full")

    def incremental(self) -> Cost:
        """A backup by blocks of what was written since the last."""
        return self._backup("incr")

    def _backup(self, kind: str) -> Cost:
        before = self._stored_bytes()
        cost = measure(
            self._command(
                "backup",
                f"--type={kind}",
                "--start-fast",
                "--no-archive-check",
                "--compress-type=zst",
                "--compress-level=1",
                "--process-max=2",
                "--repo1-retention-full=9",
            ),
            log=self.folder / "log",
        )
        return replace(cost, stored_bytes=self._stored_bytes() - before)

    def run(self, *arguments: str) -> None:
        """Run a command that is not measured."""
        command = self._command(*arguments)
        subprocess.run(command.arguments, env=dict(command.environment), check=True)

    def _command(self, *arguments: str) -> Command:
        user = pwd.getpwuid(self.server.data.stat().st_uid)
        as_user = () if os.getuid() else ("setpriv", f"--reuid={user.pw_name}",
                                          f"--regid={user.pw_gid}", "--clear-groups")  # fmt: skip
        return Command(
            arguments=(
                *as_user, "pgbackrest", "--no-config", f"--stanza={_STANZA}",
                f"--pg1-path={self.server.data}", f"--pg1-port={self.server.port}",
                "--pg1-user=postgres",
                f"--repo1-path={self.folder}/repository", "--repo1-cipher-type=aes-256-cbc",
                f"--lock-path={self.folder}/work", f"--log-path={self.folder}/work",
                "--log-level-console=warn",
                *arguments,
            ),
            environment={
                "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                "PGHOST": "127.0.0.1", "PGPASSWORD": PASSWORD,
                "PGBACKREST_REPO1_CIPHER_PASS": "not a secret: a benchmark's",
            },
            folder=self.folder,
        )  # fmt: skip

    def _stored_bytes(self) -> int:
        place = self.folder / "repository" / "backup"
        return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _give(folder: Path, server: Postgres) -> None:
    if os.getuid() == 0:
        owner = server.data.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
