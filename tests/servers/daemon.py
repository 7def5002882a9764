"""What the tests' real servers share: a folder, a port on loopback, a process that is ended.

Some servers refuse to run as root; then they run as the user of their Debian package, or `nobody`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tests.servers.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.sources.connection import Connection

_START_SECONDS = 60


@dataclass(kw_only=True)
class Daemon:
    """A server of databases, running or not."""

    account: ClassVar[str]  # of its Debian package
    crash: ClassVar[signal.Signals] = signal.SIGKILL  # ends it at once, with all its children

    folder: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.folder / "server.crt"

    def connection(self, database: str = "", **changes: Any) -> Connection:
        """How Holdfast reaches it."""
        raise NotImplementedError

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

    def command(self) -> Sequence[str | Path]:
        """What starts it."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether clients can connect."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_user(self.account),
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "log").read_text(errors="replace")
                raise RuntimeError(f"{type(self).__name__} did not start:\n{text[-3000:]}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals) -> None:
        """End it by a signal."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def remove(self) -> None:
        """End it for good."""
        self.stop(self.crash)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_for_good(self) -> None:
        """Start it, to be removed at the end of this process at the latest."""
        atexit.register(self.remove)
        self.start()


def make_folder(prefix: str, *, tls: bool) -> Path:
    """A folder for a server; with a key and a certificate if wanted."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if tls:
        make_certificate(folder)
    return folder


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody uses now."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def as_user(account: str) -> dict[str, Any]:
    """How Popen runs a program as that user, if we are root."""
    if os.getuid() != 0:
        return {}
    name = _user(account)
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def give(folder: Path, account: str) -> None:
    """Let a server's user have a folder and what is in it, if we are root."""
    if os.getuid() != 0:
        return
    user = pwd.getpwnam(_user(account))
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)


def _user(account: str) -> str:
    return account if account in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
