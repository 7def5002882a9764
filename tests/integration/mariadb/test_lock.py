"""The read lock: short, given up in time, and never left behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pymysql
import pytest

from include.backup.actions.archive import Archive
from include.backup.errors import SourceError
from include.backup.repository.progress import Progress
from tests.integration.mariadb.site import MariadbSite, read_all, read_one, reading_of
from tests.unit.repository.samples import bare, memory, writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Event

    from tests.servers.mariadb import Mariadb


@pytest.fixture
def filled(mariadb: Mariadb, database: str) -> str:
    """A table of some megabytes, and one of an engine without transactions."""
    mariadb.run(
        "CREATE TABLE large (id INT PRIMARY KEY, v VARCHAR(200))",
        "INSERT INTO large SELECT seq, REPEAT('x', 200) FROM seq_1_to_100000",
        "ANALYZE TABLE large",
        "CREATE TABLE small (id INT PRIMARY KEY)",
        database=database,
    )
    return database


def writes(server: Mariadb, database: str) -> bool:
    """Whether a writer gets through at once."""
    with closing(server.connect(database)) as session, session.cursor() as cursor:
        cursor.execute("SET max_statement_time = 0.3")
        try:
            cursor.execute("REPLACE INTO small VALUES (1)")
        except pymysql.MySQLError:
            return False
    return True


def left_over(server: Mariadb) -> list[tuple[object, ...]]:
    """Sessions of Holdfast that the server still has."""
    rows = server.run("SHOW FULL PROCESSLIST")
    me = server.run("SELECT CONNECTION_ID()")[0][0]
    return [row for row in rows if row[1] == "admin" and row[0] not in {me, me - 1}]


def dumps() -> list[psutil.Process]:
    """Children of ours that are still at work."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            if child.name() == "mariadb-dump":
                found.append(child)
    return found


def relays() -> set[Path]:
    """Sockets that wait for a client program; those of servers have longer names."""
    return set(Path(tempfile.gettempdir()).glob("holdfast-????????/s"))


def until(true: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait for something to be so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return true()


def test_writers_go_on_while_rows_are_read(
    mariadb: Mariadb, site: MariadbSite, filled: str
) -> None:
    """The lock is gone before the first entry is read; how long it lasted is written down."""
    with reading_of(site.source(jobs=8)) as reading:
        assert until(lambda: writes(mariadb, filled))
        files = read_all(reading)
    position = json.loads(files[".holdfast/position.json"])
    assert position["lock"] == "FLUSH TABLES WITH READ LOCK"
    assert position["lock_held_seconds"] < 0.25
    assert position["binary_log"]["position"] > 0
    assert files[f"{filled}/data/small.sql"].count(b"(1)") == 0  # written after the moment


def test_a_long_transaction_gets_us_out_of_the_way(
    mariadb: Mariadb, site: MariadbSite, filled: str
) -> None:
    """We do not stall every writer behind a lock that cannot be had: an error says why."""
    with closing(mariadb.connect(filled)) as session, session.cursor() as cursor:
        cursor.execute("LOCK TABLES small WRITE")
        with (
            pytest.raises(SourceError, match="no read lock within 1 seconds, 2 times"),
            reading_of(site.source()),
        ):
            pass
        cursor.execute("UNLOCK TABLES")
    assert until(lambda: writes(mariadb, filled))


def test_a_long_statement_gets_us_out_of_the_way(
    mariadb: Mariadb, site: MariadbSite, filled: str
) -> None:
    """One that reads for long would make us wait, and us every writer."""
    mariadb.run("INSERT INTO small VALUES (5)", database=filled)
    with closing(mariadb.connect(filled)) as session, session.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE small SET id = 6")  # a transaction alone is in nobody's way
        with reading_of(site.source()):
            pass
        cursor.execute("COMMIT")
        thread = threading.Thread(target=cursor.execute, args=("UPDATE small SET id = SLEEP(3)",))
        thread.start()
        time.sleep(0.3)
        with pytest.raises(SourceError, match="no read lock"), reading_of(site.source()):
            pass
        thread.join()


def test_the_lock_is_had_after_a_pause(mariadb: Mariadb, site: MariadbSite, filled: str) -> None:
    """Whoever was in the way is given time."""
    with closing(mariadb.connect(filled)) as session, session.cursor() as cursor:
        cursor.execute("LOCK TABLES small WRITE")
        timer = threading.Timer(1.3, lambda: cursor.execute("UNLOCK TABLES"))
        timer.start()
        with reading_of(site.source()):
            pass
        timer.join()


def test_engines_without_transactions_are_refused(
    mariadb: Mariadb, site: MariadbSite, filled: str
) -> None:
    """By name, with the option; with their rows left out they are none."""
    mariadb.run("CREATE TABLE old (id INT) ENGINE=MyISAM", "INSERT INTO old VALUES (1), (2)",
                "CREATE TABLE fast (id INT) ENGINE=MEMORY",
                "CREATE TABLE aria (id INT) ENGINE=Aria", database=filled)  # fmt: skip
    with (
        pytest.raises(SourceError, match=r"aria \(Aria\).*old \(MyISAM\).*non_transactional: lock"),
        reading_of(site.source()),
    ):
        pass
    with reading_of(site.source(schema_only=("*.old", "*.fast", f"{filled}.a*"))) as reading:
        files = read_all(reading)
    relations = json.loads(files[".holdfast/manifest.json"])["databases"][0]["relations"]
    [old] = [one for one in relations if one["name"] == "old"]
    assert old["rows_left_out"] == "schema_only: *.old"


def test_engines_without_transactions_are_read_under_the_lock(
    mariadb: Mariadb, site: MariadbSite, filled: str
) -> None:
    """They come first; writers wait until the last is read, and a note says how long."""
    mariadb.run("CREATE TABLE old (id INT) ENGINE=MyISAM", "INSERT INTO old VALUES (1), (2)",
                "CREATE TABLE aria (id INT) ENGINE=Aria", database=filled)  # fmt: skip
    with reading_of(site.source(lock=True)) as reading:
        folder = f"{filled}/data".encode()
        nodes = sorted(reading.list(folder), key=lambda node: node.size, reverse=True)
        assert [node.name for node in nodes[:2]] == [b"old.sql", b"aria.sql"] or [
            node.name for node in nodes[:2]
        ] == [b"aria.sql", b"old.sql"]
        assert not writes(mariadb, filled)
        first = read_one(reading, folder + b"/" + nodes[0].name, nodes[0])
        assert not writes(mariadb, filled)
        second = read_one(reading, folder + b"/" + nodes[1].name, nodes[1])
        assert until(lambda: writes(mariadb, filled))
        assert sorted([first.count(b"\n("), second.count(b"\n(")]) == [0, 2]
        [_note] = [note for note in reading.notes if "writers waited" in note.what]


def test_a_cancelled_run_leaves_nothing(mariadb: Mariadb, site: MariadbSite, filled: str) -> None:
    """No session, no lock, no child, no thread."""
    mariadb.run("CREATE TABLE old (id INT) ENGINE=MyISAM", database=filled)
    assert until(lambda: not left_over(mariadb))
    with pytest.raises(KeyboardInterrupt):
        _begin(site, _interrupt)
    assert not dumps()
    assert until(lambda: writes(mariadb, filled))
    assert until(lambda: not left_over(mariadb))


@pytest.mark.parametrize("tables", [1, 12])
def test_a_cancelled_run_does_not_wait_for_the_server(
    mariadb: Mariadb, site: MariadbSite, filled: str, tables: int
) -> None:
    """Dumps wait for tables that somebody has locked; who presses Ctrl-C need not.

    With one table the walk is done and waits for the workers, with many it waits for room.
    """
    if tables > 1:
        site.connection = mariadb.connection(filled, extra={"ssl_ca": str(mariadb.certificate)})
    names = [f"t{n}" for n in range(tables)]
    mariadb.run(*(f"CREATE TABLE {name} (id INT, f FLOAT)" for name in names), database=filled)
    lock = f"LOCK TABLES {', '.join(f'{name} WRITE' for name in names)}"
    with closing(mariadb.connect(filled)) as session, session.cursor() as cursor:
        timer = threading.Timer(1, os.kill, args=(os.getpid(), signal.SIGINT))
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            _archive(site, lambda: cursor.execute(lock), timer)
        assert time.monotonic() - begun < 6
        cursor.execute("UNLOCK TABLES")
    assert until(lambda: not dumps())
    assert until(lambda: not [one for one in threading.enumerate() if "archive" in one.name])
    assert until(lambda: not left_over(mariadb))


def _archive(site: MariadbSite, lock: Callable[[], object], timer: threading.Timer) -> None:
    """Begin; after the consistency point somebody locks the tables, and later presses Ctrl-C."""
    repository = bare(memory())
    with writing(repository) as session, reading_of(site.source()) as reading:
        lock()
        timer.start()
        Archive(
            repository,
            session,
            reading,
            parent_tree=None,
            progress=Progress(),
            guard=lambda: None,
        ).run()


def _begin(site: MariadbSite, then: Callable[[], None]) -> None:
    """The lock held, a dump under way."""
    with reading_of(site.source(lock=True)) as reading:
        folder = f"{site.database}/data".encode()
        [node] = [one for one in reading.list(folder) if one.name == b"large.sql"]
        with reading.open(folder + b"/large.sql", node, None) as content:
            content.readinto(memoryview(bytearray(1000)))
            then()


def _interrupt() -> None:
    assert dumps()
    raise KeyboardInterrupt


def _hold(site: MariadbSite, ready: Event) -> None:
    """In a process that is going to be killed."""

    def sleep() -> None:
        ready.set()
        time.sleep(60)

    _begin(site, sleep)


def test_a_killed_run_leaves_nothing(mariadb: Mariadb, site: MariadbSite, filled: str) -> None:
    """Kill -9 while the lock is held: the server has no lock and no session, and no child lives."""
    mariadb.run("CREATE TABLE old (id INT) ENGINE=MyISAM", database=filled)
    assert until(lambda: not left_over(mariadb))
    before = relays()
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_hold, args=(site, ready))
    process.start()
    assert ready.wait(20)
    assert process.pid is not None
    children = psutil.Process(process.pid).children(recursive=True)
    assert [child for child in children if "mariadb" in child.name()]
    assert not writes(mariadb, filled)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert until(lambda: writes(mariadb, filled))
    assert until(lambda: not left_over(mariadb))
    assert until(lambda: not any(child.is_running() for child in children))
    assert until(lambda: relays() <= before)


def test_a_slow_vault_loses_no_session(mariadb: Mariadb, site: MariadbSite, filled: str) -> None:
    """The server gives up a reader after net_write_timeout; ours may be slower than that."""
    mariadb.run("SET GLOBAL net_write_timeout = 1", "SET GLOBAL wait_timeout = 2",
                "SET GLOBAL net_read_timeout = 1")  # fmt: skip
    try:
        with reading_of(site.source(jobs=1)) as reading:
            path = f"{filled}/data/large.sql".encode()
            nodes = {one.name: one for one in reading.list(path.rpartition(b"/")[0])}
            with reading.open(path, nodes[b"large.sql"], None) as content:
                content.readinto(memoryview(bytearray(1000)))
                time.sleep(2.2)
                buffer = memoryview(bytearray(1 << 20))
                while content.readinto(buffer):
                    pass
                content.settle(last=True)
            time.sleep(2.5)  # between two tables
            read_all(reading)
    finally:
        mariadb.run("SET GLOBAL net_write_timeout = 60", "SET GLOBAL wait_timeout = 28800",
                    "SET GLOBAL net_read_timeout = 30")  # fmt: skip
