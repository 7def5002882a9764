"""Every table of a recovery point is of the same moment, however many write meanwhile."""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pymysql
import pytest

from tests.integration.mariadb.site import MariadbSite, read_all, reading_of
from tests.servers.mariadb import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.mariadb import Mariadb

TABLES = 6
ROWS = 1500
EACH = 1000
SUM = TABLES * ROWS * EACH
_ROW = re.compile(r"^\((?:\d+),(-?\d+),", re.MULTILINE)


@contextmanager
def transfers(server: Mariadb, database: str, *, writers: int = 3) -> Iterator[list[int]]:
    """Amounts move between rows of different tables while this lasts; the sum never changes."""
    padding = "x" * 700
    server.run(
        *(f"CREATE TABLE a{n} (id INT PRIMARY KEY, amount INT, pad TEXT)" for n in range(TABLES)),
        *(
            f"INSERT INTO a{n} SELECT seq, {EACH}, '{padding}' FROM seq_1_to_{ROWS}"
            for n in range(TABLES)
        ),
        database=database,
    )
    stop = threading.Event()
    done = [0] * writers

    def move(writer: int) -> None:
        dice = random.Random(writer)
        with closing(server.connect(database, autocommit=False)) as session:
            cursor = session.cursor()
            while not stop.is_set():
                first, second = dice.sample(range(TABLES), 2)
                row, amount = dice.randint(1, ROWS), dice.randint(1, 500)
                sql = "UPDATE a{} SET amount = amount + {} WHERE id = {}"
                try:
                    cursor.execute(sql.format(first, -amount, row))
                    cursor.execute(sql.format(second, amount, row))
                    session.commit()
                except pymysql.OperationalError:
                    session.rollback()  # a deadlock of the writers is theirs
                done[writer] += 1

    threads = [threading.Thread(target=move, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def total(text: str) -> int:
    """The sum of all amounts in dumps."""
    return sum(map(int, _ROW.findall(text)))


@pytest.mark.parametrize("locking", ["all tables", "each table"])
def test_transfers_are_whole_in_every_backup(
    mariadb: Mariadb, site: MariadbSite, database: str, locking: str
) -> None:
    """Fifteen backups with 1 to 8 lanes: not one amount is seen twice or not at all."""
    lanes_of_backups = (1, 2, 2, 3, 4, 5, 6, 7, 8, 8)
    if locking == "each table":  # as on managed services, which give nobody RELOAD
        mariadb.run(
            "CREATE OR REPLACE USER narrow IDENTIFIED BY 'pw'",
            f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `{database}`.* TO narrow",
            "GRANT SELECT ON mysql.proc TO narrow",
        )
        site.connection = mariadb.connection(database, login="narrow", password="pw")
        lanes_of_backups = lanes_of_backups[::2]
    with transfers(mariadb, database) as moved:
        for lanes in lanes_of_backups:
            before = sum(moved)
            with reading_of(site.source(jobs=lanes)) as reading:
                time.sleep(0.02)  # the writers are at it again
                files = read_all(reading)
            assert sum(moved) - before > 20
            rows = "".join(text.decode() for path, text in files.items() if "/data/" in path)
            assert total(rows) == SUM
            assert len(_ROW.findall(rows)) == TABLES * ROWS


def test_two_dumps_on_their_own_are_torn(mariadb: Mariadb, database: str) -> None:
    """What the test above would show if lanes did not share a moment: the harness sees it."""

    def dump(*tables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["mariadb-dump", "--no-defaults", f"--socket={mariadb.socket}", "--user=admin",
             "--single-transaction", "--no-create-info", database, *tables],
            env={"MYSQL_PWD": PASSWORD, "PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE,
        )  # fmt: skip

    with transfers(mariadb, database):
        for _ in range(40):
            first = dump("a0", "a1", "a2")
            second = dump("a3", "a4", "a5")
            texts = [process.communicate()[0].decode() for process in (first, second)]
            if total("".join(texts)) != SUM:
                return
    pytest.fail("the harness does not see what it is there to see")
