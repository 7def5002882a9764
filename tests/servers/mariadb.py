"""Real MariaDB servers on loopback: each with its own data directory, ended by its process id.

A server refuses to run as root; then it runs as `mysql`, or `nobody`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from include.backup.sources.connection import Connection
from tests.servers.postgresql import free_port
from tests.servers.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PASSWORD = "a secret of the 'tests' \\ #1"
_START_SECONDS = 60
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
class Mariadb:
    """A server, running or not."""

    program: str
    folder: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        """Where it listens on this machine."""
        return self.folder / "s"

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.folder / "server.crt"

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

    def variable(self, database: str = "", **changes: Any) -> str:
        """The same as the text of an AIRFLOW_CONN_ variable."""
        known = self.connection(database, **changes)
        return json.dumps({
            "conn_type": known.conn_type,
            "host": known.host,
            "port": known.port,
            "login": known.login,
            "password": known.password,
            "schema": known.schema,
            "extra": dict(known.extra),
        })

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

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {**_SETTINGS, **self.settings}
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [self.program, "--no-defaults", f"--datadir={self.data}", f"--port={self.port}",
             f"--socket={self.socket}", f"--pid-file={self.folder}/pid",
             *(f"--{name}={value}" for name, value in settings.items())],
            stdout=log, stderr=log, start_new_session=True, **_as_user(),
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "log").read_text(errors="replace")
                raise RuntimeError(f"MariaDB did not start:\n{text[-3000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: in order, or at once with SIGKILL."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def remove(self) -> None:
        """End it for good."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def make_server(program: str, *, tls: bool = False, **settings: str) -> Mariadb:
    """Make a server and start it; whoever makes it removes it."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-my-"))
    folder.chmod(0o755)
    if tls:
        make_certificate(folder)
        settings = {
            **settings,
            "ssl-cert": str(folder / "server.crt"),
            "ssl-key": str(folder / "server.key"),
        }
    server = Mariadb(
        program=program,
        folder=folder,
        port=free_port(),
        settings={name.replace("_", "-"): value for name, value in settings.items()},
    )
    server.data.mkdir()
    (folder / "init.sql").write_text(_first_account())
    _give(folder)
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={server.data}", "--skip-test-db",
         "--auth-root-authentication-method=normal", "--skip-log-bin"],
        check=True, capture_output=True, **_as_user(),
    )  # fmt: skip
    server.settings["init-file"] = str(folder / "init.sql")
    atexit.register(server.remove)
    server.start()
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


def _as_user() -> dict[str, Any]:
    if os.getuid() != 0:
        return {}
    name = _server_user()
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def _server_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "mysql" if "mysql" in names else "nobody"


def _give(folder: Path) -> None:
    """Let the server's user have a folder and what is in it."""
    if os.getuid() != 0:
        return
    user = pwd.getpwnam(_server_user())
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)


def statements(script: str) -> Sequence[str]:
    """The statements of a script without bodies."""
    return [one.strip() for one in script.split(";\n") if one.strip()]
