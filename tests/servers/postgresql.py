"""Real PostgreSQL servers on loopback, each with its own data directory."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from include.backup.sources.connection import Connection
from tests.servers.daemon import Daemon, as_user, free_ports, give, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = f"a secret of the tests {os.getpid()}"
_SETTINGS = {
    "fsync": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_prepared_transactions": "10",
    "autovacuum": "off",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",
}


@dataclass(kw_only=True)
class Postgres(Daemon):
    """A server, running or not."""

    account = "postgres"
    crash = signal.SIGQUIT

    binaries: Path

    def connection(self, database: str = "", **changes: Any) -> Connection:
        """How Holdfast reaches it."""
        values: dict[str, Any] = {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": self.port,
            "login": "postgres",
            "password": PASSWORD,
            "schema": database or "postgres",
        }
        return Connection(**{**values, **changes})

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        """A session of the superuser that commits each statement."""
        settings: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "postgres",
            "password": PASSWORD,
            "dbname": database,
            "autocommit": True,
            "client_encoding": "utf8",
        }
        return psycopg.connect(**{**settings, **options})

    def run(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run statements; return the rows of the last one."""
        with self.connect(database) as session:
            cursor = None
            for statement in statements:
                cursor = session.execute(statement)
            return cursor.fetchall() if cursor is not None and cursor.description else []

    def make_database(self, name: str, *, options: str = "") -> str:
        """Make an empty database, in place of one of that name; return its name."""
        self.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.run(f'CREATE DATABASE "{name}" {options}')
        return name

    def tool(self, name: str, *arguments: str, database: str = "postgres") -> str:
        """Run a client program of this server's version; return what it prints."""
        done = subprocess.run(
            [str(self.binaries / name), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
             "-d", database, *arguments],
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True, text=True, check=False, errors="surrogateescape",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self) -> list[str | Path]:
        """See Daemon."""
        told = [f"-c{name}={value}" for name, value in {**_SETTINGS, **self.settings}.items()]
        return [
            self.binaries / "postgres", "-D", self.data, "-p", str(self.port),
            "-k", self.folder, *told,
        ]  # fmt: skip

    def answers(self) -> bool:
        """See Daemon."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: fast, or at once as a crash with SIGQUIT."""
        super().stop(how)


def make_server(binaries: Path, *, tls: bool = False, **settings: str) -> Postgres:
    """Make a server and start it; whoever makes it removes it."""
    folder = make_folder("holdfast-pg-", tls=tls)
    if tls:
        settings = {
            **settings,
            "ssl": "on",
            "ssl_cert_file": str(folder / "server.crt"),
            "ssl_key_file": str(folder / "server.key"),
        }
    (folder / "password").write_text(PASSWORD)
    give(folder, Postgres.account)
    subprocess.run(
        [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "scram-sha-256",
         "--pwfile", folder / "password", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync",
         "--data-checksums"],
        check=True, capture_output=True, **as_user(Postgres.account),
    )  # fmt: skip
    server = Postgres(binaries=binaries, folder=folder, port=free_ports(1)[0], settings=settings)
    server.start_for_good()
    return server


def wind_forward(server: Postgres, *, left: int) -> None:
    """Let a new server's next transaction id be that far from where they begin anew (2^32)."""
    databases = ("template1", "postgres")
    for database in databases:
        server.run("VACUUM FREEZE", database=database)
    server.run("CHECKPOINT")
    server.stop()
    following = (1 << 32) - left
    oldest = following - 100_000
    subprocess.run(
        [server.binaries / "pg_resetwal", "-D", server.data, "-x", str(following),
         "-u", str(oldest)],
        check=True, capture_output=True, **as_user(Postgres.account),
    )  # fmt: skip
    log = server.data / "pg_xact" / f"{following // (32768 * 32):04X}"
    log.write_bytes(bytes(8192 * 32))
    give(log.parent, Postgres.account)
    server.start()
    # All is frozen; said as of now, so that nothing seems to be of the future.
    server.run(f"UPDATE pg_database SET datfrozenxid = '{oldest}'")
    for database in databases:
        server.run(
            f"UPDATE pg_class SET relfrozenxid = '{oldest}' WHERE relfrozenxid <> '0'",
            database=database,
        )


def make_standby(primary: Postgres, **settings: str) -> Postgres:
    """Make a hot standby of a server and start it; whoever makes it removes it."""
    folder = make_folder("holdfast-pg-", tls=False)
    give(folder, Postgres.account)
    subprocess.run(
        [primary.binaries / "pg_basebackup", "-D", folder / "data", "-R", "-c", "fast",
         "-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"],
        check=True, capture_output=True,
        env={**os.environ, "PGPASSWORD": PASSWORD}, **as_user(Postgres.account),
    )  # fmt: skip
    server = Postgres(
        binaries=primary.binaries, folder=folder, port=free_ports(1)[0], settings=settings
    )
    server.start_for_good()
    return server


@functools.cache
def debian_binaries() -> Path | None:
    """The newest server of Debian's packages on this machine."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parents[1].name),
    )
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for the whole run; tests make databases of their own in it."""
    if (binaries := debian_binaries()) is None:
        pytest.skip("PostgreSQL is not on this machine: apt-get install postgresql")
    server = make_server(binaries, tls=True)
    yield server
    server.remove()
