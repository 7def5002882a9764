"""A database comes back as it was: definitions, rows, and what watches them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.errors import RestoreRefused
from tests.integration.mariadb import nasty

if TYPE_CHECKING:
    from tests.integration.mariadb.site import MariadbSite
    from tests.servers.mariadb import Mariadb


def test_a_nasty_database_comes_back(site: MariadbSite, mariadb: Mariadb, database: str) -> None:
    """Dumps of both databases by the stock tool are the same, and so are their FLOATs."""
    nasty.fill(mariadb, database)
    before = mariadb.dump(database, "--dump-history")
    outcome = site.back_up()
    assert mariadb.dump(database, "--dump-history") == before
    done = site.put_back(outcome, f"{database}_back")
    assert mariadb.dump(f"{database}_back", "--dump-history") == before
    exact = "SELECT id, CAST(f AS DOUBLE), CAST(f2 AS DOUBLE), d FROM numbers ORDER BY id"
    rows = mariadb.run(exact, database=database)
    assert mariadb.run(exact, database=f"{database}_back") == rows
    assert rows[0][1] == 16777216  # which `mariadb-dump` writes as 16777200
    for table in ("made", "history FOR SYSTEM_TIME ALL"):
        exact = f"SELECT id, CAST(fl AS DOUBLE) FROM {table} ORDER BY 1, 2"
        rows = mariadb.run(exact, database=database)
        assert mariadb.run(exact, database=f"{database}_back") == rows
        assert rows[0][1] in {16777216, 1.2345677614212036}
    [note] = [note.what for note in done.notes]
    assert "gone@nowhere" in note
    assert "procedure orphaned" in note


def test_a_large_row_asks_for_room(site: MariadbSite, mariadb: Mariadb, database: str) -> None:
    """Written as hexadecimal it is twice as long, and the server may not take that: a hint."""
    mariadb.run(
        "CREATE TABLE large (id INT PRIMARY KEY, v LONGBLOB)",
        "INSERT INTO large VALUES (1, REPEAT('x', 10 << 20)), (2, 'y')",
        database=database,
    )
    outcome = site.back_up()
    with pytest.raises(RestoreRefused, match="SET GLOBAL max_allowed_packet=1073741824"):
        site.put_back(outcome, f"{database}_back")
    mariadb.run("SET GLOBAL max_allowed_packet=1073741824")
    try:
        site.put_back(outcome, f"{database}_back", overwrite=True)
    finally:
        mariadb.run("SET GLOBAL max_allowed_packet=16777216")
    [(length,)] = mariadb.run("SELECT LENGTH(v) FROM large LIMIT 1", database=f"{database}_back")
    assert length == 10 << 20


@pytest.mark.parametrize("rows", [3, 30_000], ids=["with others", "alone"])
def test_a_default_that_asks_a_sequence(
    site: MariadbSite, mariadb: Mariadb, database: str, rows: int
) -> None:
    """Under LOCK TABLES, as stock dumps have it, the server does not evaluate it."""
    mariadb.run(
        "CREATE SEQUENCE numbers",
        "CREATE TABLE t (id INT DEFAULT nextval(numbers) PRIMARY KEY, v TEXT)",
        f"INSERT INTO t (v) SELECT REPEAT('v', 100) FROM seq_1_to_{rows}",
        database=database,
    )
    before = mariadb.dump(database)
    outcome = site.back_up()
    site.put_back(outcome, f"{database}_back")
    assert mariadb.dump(f"{database}_back") == before
    mariadb.run("INSERT INTO t (v) VALUES ('more')", database=f"{database}_back")


@pytest.mark.parametrize(
    ("charset", "texts"),
    [
        ("cp932", ("8790", "81E0", "FA54", "81CA", "5C")),
        ("sjis", ("815F", "5C", "8190")),
        ("eucjpms", ("A1C0", "8FA2B7", "ADE2")),
        ("gbk", ("A1AA", "A844", "80")),
    ],
)
def test_characters_with_two_codes_keep_theirs(
    site: MariadbSite, mariadb: Mariadb, database: str, charset: str, texts: tuple[str, ...]
) -> None:
    """Through Unicode one of them would become the other, and no count would show it."""
    mariadb.run(
        f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, c CHAR(9), v TEXT) CHARSET {charset}",
        "SET sql_mode = ''",
        *(
            f"INSERT IGNORE INTO t (c, v) VALUES (0x{text}, 0x{text}), (NULL, ''), ('', 'a''\\\\b')"
            for text in texts
        ),
        database=database,
    )
    exact = "SELECT id, HEX(c), HEX(v) FROM t ORDER BY id"
    before = mariadb.run(exact, database=database)
    site.put_back(site.back_up(), f"{database}_back")
    assert mariadb.run(exact, database=f"{database}_back") == before
