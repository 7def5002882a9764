"""Secrets stay in this process: not in arguments, environments, files, errors or objects."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import EntryUnreadable, SourceError
from tests.integration.mariadb.site import MariadbSite, read_all, reading_of
from tests.servers.mariadb import PASSWORD, make_server, server_program

if TYPE_CHECKING:
    from tests.servers.mariadb import Mariadb


def test_no_process_shows_the_password(mariadb: Mariadb, site: MariadbSite, database: str) -> None:
    """Looked for in every process, while it is backed up and put back."""
    mariadb.run(
        *(f"CREATE TABLE t{n} (id INT PRIMARY KEY, v TEXT)" for n in range(12)),
        *(f"INSERT INTO t{n} SELECT seq, 'x' FROM seq_1_to_3000" for n in range(12)),
        database=database,
    )
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        text = (path / name).read_bytes()
                    except OSError:
                        continue
                    if b"mariadb" in text and b"--socket=" in text and name == "cmdline":
                        seen.add(text.split(b"\0")[0].decode().rpartition("/")[2])
                    assert PASSWORD.encode() not in text, path
            time.sleep(0.002)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        site.put_back(site.back_up(), f"{database}_back")
    finally:
        stop.set()
        watcher.join()
    assert {"mariadb-dump", "mariadb"} <= seen
    assert PASSWORD not in repr(site.source()) + repr(site.connection)
    for file in Path(site.folder).rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes()


def test_the_server_goes_while_it_is_read(tmp_path: Path) -> None:
    """An error that names the table; no recovery point, nothing hangs."""
    server = make_server(str(server_program()))
    try:
        server.make_database("shop")
        server.run(
            "CREATE TABLE t (id INT PRIMARY KEY, v CHAR(200))",
            "INSERT INTO t SELECT seq, 'x' FROM seq_1_to_100000",
            "ANALYZE TABLE t",
            database="shop",
        )
        site = MariadbSite(tmp_path, server, "shop")
        with pytest.raises(EntryUnreadable, match=r"shop\.t: .*(Error 2013|lost)"):
            read_while_it_stops(site)
        with pytest.raises(SourceError, match="cannot be reached"), reading_of(site.source()):
            pass
    finally:
        server.remove()


def test_a_session_that_is_killed_fails_the_backup(
    mariadb: Mariadb, site: MariadbSite, database: str
) -> None:
    """Its snapshot is gone; a new session would see another moment."""
    mariadb.run("CREATE TABLE t (id INT PRIMARY KEY)", database=database)
    with pytest.raises(SourceError, match=r"lost|gone|2013|2006"):
        read_while_it_is_killed(site)


def read_while_it_stops(site: MariadbSite) -> None:
    """In the midst of a table."""
    with reading_of(site.source()) as reading:
        [node] = reading.list(b"shop/data")
        with reading.open(b"shop/data/t.sql", node, None) as content:
            content.readinto(memoryview(bytearray(1000)))
            site.server.stop()
            while content.readinto(memoryview(bytearray(1 << 20))):
                pass


def read_while_it_is_killed(site: MariadbSite) -> None:
    """Between two tables."""
    with reading_of(site.source(jobs=1)) as reading:
        with closing(site.server.connect()) as session, session.cursor() as cursor:
            cursor.execute("SHOW PROCESSLIST")
            for row in cursor.fetchall():
                if row[1] == "admin" and row[0] != session.thread_id():
                    cursor.execute(f"KILL {row[0]}")
        read_all(reading)
