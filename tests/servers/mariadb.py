"""Real MariaDB servers on loopback, each with its own data directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from include.backup.sources.connection import Connection
from tests.servers.daemon import Daemon, as_user, free_ports, give, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PASSWORD = f"a secret of the 'tests' \\ #{os.getpid()}"  # of these tests: others run beside them
_SETTINGS = {
    "bind-address": "127.0.0.1",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "32M",
    "innodb-doublewrite": "OFF",
    "key-buffer-size": "1M",
    "aria-pagecache-buffer-size": "8M",
    "performance-schema": "OFF",
    "skip-name-resolve": "ON",
    "server-id": "7",
    "log-bin": "binlog",
    "sync-binlog": "0",
    "max-connections": "80",
}


@dataclass(kw_only=True)
class Mariadb(Daemon):
    """A server, running or not."""

    account = "mysql"

    program: str

    @property
    def socket(self) -> Path:
        """Where it listens on this machine."""
        return self.folder / "s"

    @property
    def temporary(self) -> Path:
        """Its temporary tables: a server that starts removes those of others in the same folder."""
        return self.folder / "tmp"

    def connection(self, database: str = "", **changes: Any) -> Connection:
        """How Holdfast reaches it."""
        values: dict[str, Any] = {
            "conn_type": "mysql",
            "host": "127.0.0.1",
            "port": self.port,
            "login": "admin",
            "password": PASSWORD,
            "schema": database,
        }
        return Connection(**{**values, **changes})

    def connect(self, database: str = "", **options: Any) -> pymysql.Connection:
        """A session of the administrator that commits each statement."""
        settings: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "admin",
            "password": PASSWORD,
            "database": database or None,
            "autocommit": True,
            "ssl_disabled": True,
            "charset": "utf8mb4",
        }
        return pymysql.connect(**{**settings, **options})

    def run(self, *statements: str, database: str = "") -> list[Any]:
        """Run statements; return the rows of the last one."""
        with contextlib.closing(self.connect(database)) as session, session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def make_database(self, name: str, *, options: str = "") -> str:
        """Make an empty database, in place of one of that name; return its name."""
        quoted = "`" + name.replace("`", "``") + "`"
        self.run(f"DROP DATABASE IF EXISTS {quoted}", f"CREATE DATABASE {quoted} {options}")
        return name

    def feed(self, sql: str, *, database: str) -> None:
        """Let the stock client run a script."""
        self.tool("mariadb", database, feed=sql.encode())

    def tool(self, name: str, *arguments: str, feed: bytes = b"") -> str:
        """Run a stock client program; return what it prints."""
        done = subprocess.run(
            [name, "--no-defaults", f"--socket={self.socket}", "--user=admin",
             "--default-character-set=utf8mb4", *arguments],
            env={**os.environ, "MYSQL_PWD": PASSWORD},
            input=feed, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def dump(self, database: str, *options: str) -> str:
        """A whole database as the stock tool writes it: definitions and rows, in fixed order."""
        return self.tool(
            "mariadb-dump", "--skip-comments", "--skip-dump-date", "--order-by-primary",
            "--hex-blob", "--routines", "--events", "--triggers", *options, "--", database,
        )  # fmt: skip

    def command(self) -> list[str]:
        """See Daemon."""
        settings = {**_SETTINGS, **self.settings}
        return [
            self.program, "--no-defaults", f"--datadir={self.data}", f"--port={self.port}",
            f"--tmpdir={self.temporary}",
            f"--socket={self.socket}", f"--pid-file={self.folder}/pid",
            *(f"--{name}={value}" for name, value in settings.items()),
        ]  # fmt: skip

    def answers(self) -> bool:
        """See Daemon."""
        try:
            self.connect().close()
        except pymysql.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: in order, or at once with SIGKILL."""
        super().stop(how)


def make_server(program: str, *, tls: bool = False, **settings: str) -> Mariadb:
    """Make a server and start it; whoever makes it removes it."""
    folder = make_folder("holdfast-my-", tls=tls)
    folder.chmod(0o755)
    if tls:
        settings = {
            **settings,
            "ssl-cert": str(folder / "server.crt"),
            "ssl-key": str(folder / "server.key"),
        }
    server = Mariadb(
        program=program,
        folder=folder,
        port=free_ports(1)[0],
        settings={name.replace("_", "-"): value for name, value in settings.items()},
    )
    server.data.mkdir()
    server.temporary.mkdir()
    (folder / "init.sql").write_text(_first_account())
    give(folder, Mariadb.account)
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={server.data}", "--skip-test-db",
         f"--tmpdir={server.temporary}", "--auth-root-authentication-method=normal",
         "--skip-log-bin"],
        check=True, capture_output=True, **as_user(Mariadb.account),
    )  # fmt: skip
    server.settings["init-file"] = str(folder / "init.sql")
    server.start_for_good()
    return server


def server_program() -> str | None:
    """The server of this machine."""
    return shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    """A server for the whole run; tests make databases of their own in it."""
    if (program := server_program()) is None:
        pytest.skip("MariaDB is not on this machine: apt-get install mariadb-server")
    server = make_server(program, tls=True)
    yield server
    server.remove()


def _first_account() -> str:
    password = PASSWORD.replace("\\", "\\\\").replace("'", "''")
    return (
        f"CREATE OR REPLACE USER admin@'%' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;\n"
        f"CREATE OR REPLACE USER admin@localhost IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO admin@localhost WITH GRANT OPTION;\n"
    )


def statements(script: str) -> Sequence[str]:
    """The statements of a script without bodies."""
    return [one.strip() for one in script.split(";\n") if one.strip()]
