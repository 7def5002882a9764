"""An Airflow on this machine, for trials: own home, SQLite, LocalExecutor, loopback, free ports.

Its processes are noted in a file with their start times, so that whoever comes next can end what a
killed predecessor left behind, and nothing else.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from scripts.airflow_api import AirflowApi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
USER: Final = "admin"
LOCK: Final = ".lock"
COMPONENTS: Final = ("api-server", "scheduler", "dag-processor")
# Logs lie on this machine; their servers would listen on every address.
_OPTIONS: Final = dict.fromkeys(("scheduler", "triggerer"), ("--skip-serve-logs",))
_HEALTHY_SECONDS: Final = 180.0
_GRACE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.25
_TAIL_LINES: Final = 15


class SiteError(Exception):
    """Airflow did not do what it was started for; says which log to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where an Airflow keeps its things, and with which configuration it runs."""

    home: Path
    config: Path  # HOLDFAST_CONFIG
    state: Path  # HOLDFAST_STATE
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)  # keys are among them
    parallelism: int = 4
    components: tuple[str, ...] = COMPONENTS
    people: tuple[str, ...] = ()  # more users, who may start runs and answer questions

    @property
    def logs(self) -> Path:
        """One file for each component."""
        return self.home / "components"

    @property
    def airflow_logs(self) -> Path:
        """Where Airflow keeps the logs of tasks."""
        return self.home / "logs"

    @property
    def password(self) -> str:
        """Of the one who administers it; made when first asked for."""
        return self.password_of(USER)

    def password_of(self, user: str) -> str:
        """Of any of them."""
        path = self.home / "passwords.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        new = [name for name in (USER, *self.people) if name not in known]
        if new:
            known |= {name: secrets.token_urlsafe(9) for name in new}
            write_private(path, json.dumps(known))
        return str(known[user])

    @property
    def pids(self) -> Path:
        """The processes that were started, as [pid, start time]."""
        return self.home / "processes.json"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


@contextmanager
def running(site: Site) -> Iterator[AirflowApi]:
    """Start it, wait until it is healthy, and end every process of it whatever happens.

    Raises:
        SiteError: it did not become healthy.
    """
    end_leftovers(site)
    site.logs.mkdir(parents=True, exist_ok=True)
    port, *log_ports = _free_ports(3)
    address = f"http://127.0.0.1:{port}"
    environment = _environment(site, address, log_ports)
    environment["AIRFLOW__API__PORT"] = str(port)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        _run(site, environment, "db", "migrate")
        password = site.password  # before Airflow starts, which else makes one and prints it
        for name in site.components:
            processes[name] = _start(site, environment, name)
            _note(site, processes.values())
        waiting = _waiting(site, processes)
        with AirflowApi.connect(address, USER, password, wait=waiting) as api:
            yield api
    finally:
        _end([process.pid for process in processes.values()])
        site.pids.unlink(missing_ok=True)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep a folder to ourselves; the kernel gives it free, however we end.

    Raises:
        SiteError: somebody else has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SiteError(f"another Airflow of ours is running in {folder}") from None
        yield


def end_leftovers(site: Site) -> None:
    """End what an earlier run that was killed has left running."""
    try:
        noted = json.loads(site.pids.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for pid, started in noted:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).create_time() == started:
                _end([pid])
    site.pids.unlink(missing_ok=True)


def _environment(site: Site, address: str, log_ports: list[int]) -> dict[str, str]:
    """The whole environment of the components; nothing of another Airflow's gets in."""
    own = {
        "AIRFLOW_HOME": site.home,
        "AIRFLOW__CORE__DAGS_FOLDER": ROOT / "dags",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": site.parallelism,
        "AIRFLOW__CORE__LOAD_EXAMPLES": False,
        "AIRFLOW__CORE__TEST_CONNECTION": "Disabled",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join([
            f"{USER}:admin",
            *(f"{name}:op" for name in site.people),
        ]),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": site.home / "passwords.json",
        "AIRFLOW__CORE__FERNET_KEY": _kept_secret(site, "fernet"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": 1,
        "AIRFLOW__API__SECRET_KEY": _kept_secret(site, "api"),
        "AIRFLOW__API_AUTH__JWT_SECRET": _kept_secret(site, "jwt"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{site.home}/airflow.db",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": log_ports[0],
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": log_ports[1],
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.5,
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": site.home / "bundles",
        "HOLDFAST_CONFIG": site.config,
        "HOLDFAST_STATE": site.state,
        "PYTHONPATH": ROOT,
        "PYTHONUNBUFFERED": 1,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_", "HOLDFAST_"))
    }
    return {**inherited, **site.variables, **{name: str(value) for name, value in own.items()}}


def _kept_secret(site: Site, name: str) -> str:
    """A random key in base64 that stays the same for the life of the home."""
    path = site.home / f"{name}.key"
    if not path.exists():
        write_private(path, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return path.read_text(encoding="utf-8")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _run(site: Site, environment: dict[str, str], *arguments: str) -> None:
    log = site.logs / f"{'-'.join(arguments)}.log"
    with log.open("ab") as out:
        done = subprocess.run(
            _command(*arguments),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
        )
    if done.returncode:
        raise SiteError(f"airflow {' '.join(arguments)} failed\n{_tail(log)}")


def _start(site: Site, environment: dict[str, str], name: str) -> subprocess.Popen[bytes]:
    with (site.logs / f"{name}.log").open("ab") as out:
        return subprocess.Popen(
            _command(name, *_OPTIONS.get(name, ())),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C is ours to answer
        )


def _waiting(site: Site, processes: Mapping[str, subprocess.Popen[bytes]]) -> Iterator[None]:
    """Yields until the time is up or a component has ended, which raises."""
    until = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < until:
        for name, process in processes.items():
            if process.poll() is not None:
                log = site.logs / f"{name}.log"
                raise SiteError(f"airflow {name} ended at once\n{_tail(log)}")
        yield
        time.sleep(_POLL_SECONDS)
    raise SiteError(f"Airflow was not healthy after {_HEALTHY_SECONDS:.0f} s; see {site.logs}")


def _note(site: Site, processes: Iterable[subprocess.Popen[bytes]]) -> None:
    noted = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            noted.append([process.pid, psutil.Process(process.pid).create_time()])
    site.pids.write_text(json.dumps(noted), encoding="utf-8")


def _end(pids: list[int]) -> None:
    """Ask politely, then kill; children too, whatever session they are in."""
    family: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            family += [parent, *parent.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(family, timeout=_GRACE_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([*lines[-_TAIL_LINES:], f"(all of it: {log})"])
