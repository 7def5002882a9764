"""Any number of lanes, any number of readers, any order: nobody waits for ever."""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import EntryUnreadable
from tests.integration.mariadb.site import MariadbSite, read_one, reading_of, relations

if TYPE_CHECKING:
    from include.backup.format.tree import Node
    from include.backup.sources.mariadb.reading import MariadbReading
    from tests.servers.mariadb import Mariadb


MANY = int(os.environ.get("HOLDFAST_MANY_TABLES", "600"))


def walk(reading: MariadbReading) -> list[tuple[bytes, Node]]:
    found, waiting = [], [b""]
    while waiting:
        folder = waiting.pop()
        for node in reading.list(folder):
            path = folder + b"/" + node.name if folder else node.name
            if node.type == "dir":
                waiting.append(path)
            else:
                found.append((path, node))
    return found


@pytest.fixture
def mixed(mariadb: Mariadb, database: str) -> str:
    """Tables of all sizes, from no row to some megabytes."""
    sizes = [0, 1, 100, 5_000, 0, 40_000, 3, 0, 20_000] * 3
    mariadb.run(
        *(f"CREATE TABLE t{n} (id INT PRIMARY KEY, v TEXT)" for n in range(len(sizes))),
        *(
            f"INSERT INTO t{n} SELECT seq, REPEAT('v', 60) FROM seq_1_to_{size}"
            for n, size in enumerate(sizes)
            if size
        ),
        *(f"ANALYZE TABLE t{n}" for n in range(len(sizes))),
        database=database,
    )
    return database


@pytest.mark.parametrize("lanes", [1, 2, 8])
@pytest.mark.parametrize("readers", [3, 12])
def test_every_order_is_read(site: MariadbSite, mixed: str, lanes: int, readers: int) -> None:
    """Readers that take entries as they like, and hold them for a while, get the same."""
    with reading_of(site.source(jobs=lanes)) as reading, ThreadPoolExecutor(readers) as pool:
        files = walk(reading)
        random.Random(lanes * readers).shuffle(files)
        contents = list(pool.map(lambda file: read_one(reading, *file), files))
        reading.about()
    by_name = {path: data for (path, _), data in zip(files, contents, strict=True)}
    for n, size in enumerate([0, 1, 100, 5_000, 0, 40_000, 3, 0, 20_000] * 3):
        data = by_name[f"{mixed}/data/t{n}.sql".encode()]
        assert data.count(b"\n(") == size
        assert data.endswith(b"SET SQL_NOTES=@OLD_SQL_NOTES */;\n\n")


@pytest.mark.parametrize("jobs", [8])
def test_the_engine_reads_many_empty_tables(
    mariadb: Mariadb, site: MariadbSite, database: str, jobs: int
) -> None:
    """Thousands of them take seconds, for they are dumped together."""
    names = [f"t{n:05}" for n in range(MANY)]
    with mariadb.connect(database) as session, session.cursor() as cursor:
        for name in names:
            cursor.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY) ENGINE=InnoDB")
    site.settings = replace(site.settings, jobs=jobs)
    begun = time.monotonic()
    stored = site.stored(site.back_up())
    assert time.monotonic() - begun < 60
    assert {one["rows"] for one in relations(stored, database).values()} == {0}
    assert len(stored.list(f"{database}/data".encode())) == len(names)
    mariadb.run(f"DROP DATABASE {database}")


def test_an_error_wakes_whoever_waits(
    mariadb: Mariadb, site: MariadbSite, database: str, mixed: str
) -> None:
    """One reader fails while the others wait for its lane: all end, none hangs."""
    errors: list[BaseException] = []
    with reading_of(site.source(jobs=1)) as reading:
        files = [file for file in walk(reading) if b"/data/" in file[0]]
        large = [file for file in files if file[1].size > 512 << 10]
        holding = threading.Event()

        def wait(path: bytes, node: Node) -> None:
            holding.wait()
            try:
                read_one(reading, path, node)
            except EntryUnreadable as error:
                errors.append(error)

        threads = [threading.Thread(target=wait, args=file) for file in large[1:4]]
        for thread in threads:
            thread.start()
        with pytest.raises(ZeroDivisionError):
            fail(reading, *large[0], holding)
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
    assert len(errors) == 3


def fail(reading: MariadbReading, path: bytes, node: Node, holding: threading.Event) -> None:
    """Hold the only lane, and fail."""
    with reading.open(path, node, None) as content:
        content.readinto(memoryview(bytearray(1000)))
        holding.set()
        time.sleep(0.2)
        _ = 1 / 0
