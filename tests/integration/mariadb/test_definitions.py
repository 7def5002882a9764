"""What is defined must not change while rows are read; if it does, nothing counts as read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.errors import EntryUnreadable
from tests.integration.mariadb.site import MariadbSite, read_all, reading_of, relations

if TYPE_CHECKING:
    from tests.servers.mariadb import Mariadb


def fill(server: Mariadb, database: str) -> None:
    server.run(
        "CREATE TABLE early (id INT PRIMARY KEY, v VARCHAR(10))",
        "CREATE TABLE late (id INT PRIMARY KEY, v VARCHAR(10))",
        "INSERT INTO early SELECT seq, 'x' FROM seq_1_to_20000",
        "INSERT INTO late SELECT seq, 'x' FROM seq_1_to_20000",
        "CREATE VIEW seen AS SELECT id FROM late",
        "CREATE TRIGGER t BEFORE INSERT ON late FOR EACH ROW SET NEW.v = 'y'",
        "CREATE PROCEDURE p() SELECT 1",
        database=database,
    )


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("TRUNCATE late", "late"),
        ("ALTER TABLE late ADD COLUMN new INT DEFAULT 7", "late"),  # instant: silent in a dump
        ("ALTER TABLE late MODIFY v VARCHAR(50)", "late"),  # instant as well
        ("RENAME TABLE late TO later", "late"),
        ("DROP TABLE late", "late"),
        ("ALTER TABLE late ENGINE=InnoDB, FORCE", "late"),
        ("ALTER TABLE early ADD COLUMN new INT", "early"),
        ("CREATE OR REPLACE VIEW seen AS SELECT v FROM late", "seen"),
        ("DROP TRIGGER t", "trigger"),
        ("CREATE OR REPLACE PROCEDURE p() SELECT 2", "routine"),
        ("CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "event"),
        ("ALTER DATABASE CHARACTER SET utf8mb3", "database"),
    ],
)
def test_a_definition_that_changes_fails_the_backup(
    mariadb: Mariadb, site: MariadbSite, database: str, statement: str, named: str
) -> None:
    """Also where a dump would go on without a word; the error names what changed."""
    fill(mariadb, database)
    with pytest.raises(EntryUnreadable, match=rf"chang.*{named}|{named}.*(chang|gone|dropped)"):
        read_while(site, statement)


def read_while(site: MariadbSite, statement: str) -> None:
    """Read everything; right after the consistency point somebody runs a statement."""
    with reading_of(site.source(jobs=1)) as reading:
        site.server.run(statement, database=site.database)
        read_all(reading)


def test_a_new_table_does_no_harm(mariadb: Mariadb, site: MariadbSite, database: str) -> None:
    """It is younger than the consistency point: no part of the recovery point, and no error."""
    fill(mariadb, database)
    with reading_of(site.source()) as reading:
        mariadb.run("CREATE TABLE young (id INT)", database=database)
        files = read_all(reading)
    assert f"{database}/data/late.sql" in files
    assert b"young" not in b"".join(files.values())


def test_the_next_backup_has_the_new_definition(
    mariadb: Mariadb, site: MariadbSite, database: str
) -> None:
    """The row count, the schema and the values belong together again."""
    fill(mariadb, database)
    site.back_up()
    mariadb.run("ALTER TABLE late ADD COLUMN new INT DEFAULT 7", database=database)
    stored = site.stored(site.back_up())
    assert relations(stored, database)["late"]["rows"] == 20000
    assert b"`new` int" in stored.load(f"{database}/schema.sql".encode())
    assert b"(1,'x',7)" in stored.load(f"{database}/data/late.sql".encode())


def test_counters_and_sequences_are_never_behind(
    mariadb: Mariadb, site: MariadbSite, database: str
) -> None:
    """What was handed out before the consistency point is not handed out again."""
    mariadb.run(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY)",
        "CREATE SEQUENCE s CACHE 10",
        "INSERT INTO t VALUES (NULL), (NULL), (99)",
        "DELETE FROM t WHERE id = 99",
        "SELECT NEXTVAL(s)",
        database=database,
    )
    site.put_back(site.back_up(), f"{database}_back")
    [(value,)] = mariadb.run(
        "INSERT INTO t VALUES (NULL)", "SELECT MAX(id) FROM t", database=f"{database}_back"
    )
    assert value >= 100
    [(value,)] = mariadb.run("SELECT NEXTVAL(s)", database=f"{database}_back")
    assert value > 1


def test_an_event_at_which_the_stock_client_hangs(
    mariadb: Mariadb, site: MariadbSite, database: str
) -> None:
    """It is told before anything is read, and not after two hours."""
    with mariadb.connect(database) as session, session.cursor() as cursor:
        cursor.execute(
            "CREATE EVENT odd ON SCHEDULE EVERY 1 DAY DISABLE DO BEGIN SET @a = ';;'; END"
        )
    try:
        with pytest.raises(EntryUnreadable, match=r"the event odd holds ;; in its body"):
            site.back_up()
    finally:
        mariadb.run("DROP EVENT odd", database=database)
