"""The processes of a run: what others see of them, how many there are, and that none is left."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import SourceError
from include.backup.sources.postgresql.rows import TableRows
from tests.integration.cli.shell import Shell
from tests.integration.postgresql import nasty
from tests.integration.postgresql.bed import DatabaseSite
from tests.servers.postgresql import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.postgresql.conftest import BackedUp
    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME = "processes"
_ENTRY = """
  erp:
    class: critical
    owner: erp-team@example.com
    source: {{type: postgresql, connection: erp_source, jobs: 3}}
"""


@pytest.fixture(scope="module")
def large(postgres: Postgres) -> Postgres:
    """A server with a database that takes a second to be backed up."""
    postgres.make_database(NAME)
    for number in range(3):
        postgres.run(
            f"CREATE TABLE t{number} (filler text)",
            f"INSERT INTO t{number} SELECT md5(i::text) || md5((-i)::text) "
            "FROM generate_series(1, 150000) i",
            database=NAME,
        )
    return postgres


def make_shell(folder: Path, server: Postgres, **extra: Any) -> Shell:
    """An installation that backs the database up."""
    (folder / "config").mkdir(parents=True)
    policy = Path(__file__).parents[3] / "include/config/policy.yaml"
    (folder / "config/policy.yaml").write_text(policy.read_text())
    shell = Shell(folder)
    shell.datasets(_ENTRY)
    shell.environment["AIRFLOW_CONN_ERP_SOURCE"] = server.variable(NAME, extra=extra)
    return shell


def begin(shell: Shell) -> subprocess.Popen[bytes]:
    """Begin a backup in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "include.backup", "back-up", "erp"],
        env=shell.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def processes(server: Postgres) -> dict[str, tuple[bytes, bytes]]:
    """Client programs that talk to the server: arguments and environment, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (folder / "environ").read_bytes()
            if b"PGPORT=%d\0" % server.port in environment:
                found[folder.name] = (folder / "cmdline").read_bytes(), environment
    return found


@contextlib.contextmanager
def watched(server: Postgres) -> Iterator[list[dict[str, tuple[bytes, bytes]]]]:
    """What `processes` sees, over and over."""
    seen: list[dict[str, tuple[bytes, bytes]]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            seen.append(processes(server))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_nobody_sees_the_password(large: Postgres, tmp_path: Path) -> None:
    """It is in no arguments, no output, no file; programs get no other connection's secret."""
    shell = make_shell(tmp_path, large)
    arguments: list[bytes] = []
    with watched(large) as seen:
        printed = begin(shell).communicate()[0].decode()
    assert "KEPT" in printed
    named = set()
    for one in seen:
        for command, environment in one.values():
            arguments.append(command)
            named.add(Path(command.split(b"\0")[0].decode()).name)
            assert b"AIRFLOW_CONN" not in environment
    assert {"psql", "pg_dump"} <= named
    secret = PASSWORD.encode()
    assert not any(secret in one for one in arguments)
    assert PASSWORD not in printed
    for path in tmp_path.rglob("*"):
        assert not (path.is_file() and secret in path.read_bytes()), path


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_nothing_is_left_of_a_run_that_is_stopped(
    large: Postgres, tmp_path: Path, how: signal.Signals
) -> None:
    """No program, no session, no lock on the server, within a few seconds."""
    running = begin(make_shell(tmp_path, large))
    wait_until(lambda: any(b"psql" in one[0] for one in processes(large).values()))
    running.send_signal(how)
    running.communicate(timeout=10)
    assert running.returncode != 0
    wait_until(lambda: not processes(large))
    wait_until(
        lambda: (
            not large.run(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'holdfast' "
                f"AND datname = '{NAME}'"
            )
        )
    )


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait five seconds at most."""
    deadline = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_slots_bound_the_streams_of_all_processes(large: Postgres, tmp_path: Path) -> None:
    """`max_parallel` of the connection, whatever the datasets' own jobs are."""
    shells = [make_shell(tmp_path / name, large, max_parallel=2) for name in ("a", "b")]
    for shell in shells:
        shell.environment["HOLDFAST_STATE"] = str(tmp_path / "state")
    with watched(large) as seen:
        running = [begin(shell) for shell in shells]
        printed = [one.communicate()[0].decode() for one in running]
    assert all("KEPT" in one for one in printed), printed
    streams = [sum(b"psql" in command for command, _ in one.values()) for one in seen]
    assert max(streams) == 2


def test_settings_of_a_role_change_no_byte(backed_up: BackedUp, tmp_path: Path) -> None:
    """Whatever it has set for its sessions, the rows are written as before."""
    server = backed_up.server
    server.run("DROP ROLE IF EXISTS changed", "CREATE ROLE changed SUPERUSER LOGIN PASSWORD 'p'")
    for setting in (
        "datestyle = 'SQL, DMY'", "intervalstyle = 'iso_8601'", "bytea_output = 'escape'",
        "extra_float_digits = -10", "synchronize_seqscans = on", "timezone = 'Asia/Kathmandu'",
        "xmloption = 'document'", "search_path = shop, types", "client_min_messages = debug1",
        "standard_conforming_strings = off", "row_security = on",
        "parallel_tuple_cost = 0",
        "parallel_setup_cost = 0", "min_parallel_table_scan_size = '1MB'",
        "enable_tidscan = off", "enable_seqscan = off", "statement_timeout = '20ms'",
        "default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on",
        "lc_messages = 'C'", "array_nulls = off", "client_encoding = 'LATIN1'",
    ):  # fmt: skip
        server.run(f"ALTER ROLE changed SET {setting}")
    connection = server.connection(login="changed", password="p")
    site = DatabaseSite(tmp_path, connection, (nasty.NASTY, nasty.HOSTILE))
    found = site.about(site.back_up(), "manifest.json")
    wanted = backed_up.site.about(backed_up.full, "manifest.json")
    for database in (nasty.NASTY, nasty.HOSTILE):
        assert digests(found, database) == digests(wanted, database)
    server.run("DROP ROLE changed")


def digests(manifest: Any, database: str) -> dict[str, str]:
    """Of each table's rows."""
    relations = manifest["databases"][database]["relations"]
    return {label: one.get("sha256", one["rows"]) for label, one in relations.items()}


def test_a_snapshot_is_not_held_longer_than_allowed(
    large: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vacuum waits for it; the run ends instead."""
    site = DatabaseSite(tmp_path, large.connection(NAME), options=", max_snapshot_age: 1 s")
    original, waited = TableRows.readinto, []

    def readinto(self: TableRows, buffer: memoryview) -> int:
        if not waited:
            waited.append(True)
            time.sleep(1.1)
        return original(self, buffer)

    monkeypatch.setattr(TableRows, "readinto", readinto)
    with pytest.raises(SourceError, match="longer than max_snapshot_age allows"):
        site.back_up()
    assert site.place().state().points == ()
