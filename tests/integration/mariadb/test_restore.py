"""Putting databases back: never quietly less, never over what nobody named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import DestinationRefused, RestoreRefused, ToolMissing
from include.backup.sources.mariadb.address import address_of
from include.backup.sources.mariadb.target import MariadbTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.put_back import PointFiles
    from tests.integration.mariadb.site import MariadbSite
    from tests.servers.mariadb import Mariadb


@pytest.fixture
def filled(mariadb: Mariadb, database: str) -> str:
    """Three tables that hang together, and what watches them."""
    mariadb.run(
        "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(50) UNIQUE)",
        "CREATE TABLE orders (id INT PRIMARY KEY, customer INT REFERENCES customers (id))",
        "CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT)",
        "INSERT INTO customers SELECT seq, CONCAT('secret name ', seq) FROM seq_1_to_1000",
        "INSERT INTO orders SELECT seq, 1 + seq % 1000 FROM seq_1_to_3000",
        "INSERT INTO notes (t) VALUES ('a'), ('b')",
        "CREATE TRIGGER noted AFTER INSERT ON orders FOR EACH ROW INSERT INTO notes (t) VALUES (1)",
        "CREATE VIEW named AS SELECT o.id, name FROM orders o JOIN customers c ON c.id = customer",
        database=database,
    )
    return database


@pytest.fixture
def point(site: MariadbSite, filled: str) -> Outcome:
    """A recovery point of them."""
    return site.back_up()


class Tampered:
    """A recovery point in which a file reads otherwise."""

    def __init__(self, files: PointFiles, changes: dict[bytes, bytes]) -> None:
        self._files = files
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        """Everything else is as it is."""
        return getattr(self._files, name)

    def stream(self, path: bytes) -> Iterator[bytes]:
        """See StoredFiles."""
        return iter((self._changes[path],)) if path in self._changes else self._files.stream(path)


def tampered(site: MariadbSite, point: Outcome, **changes: bytes) -> Tampered:
    paths = {name: f"{site.database}/data/{name}.sql".encode() for name in changes}
    return Tampered(site.stored(point), {paths[name]: data for name, data in changes.items()})


def put(site: MariadbSite, stored: PointFiles | Tampered, database: str, **options: Any) -> Any:
    target = MariadbTarget(
        address_of("target", site.server.connection()), database=database, **options
    )
    target.prepare()
    return target.put(stored, lambda _: None)


def test_what_it_says(mariadb: Mariadb, site: MariadbSite, point: Outcome, filled: str) -> None:
    """Files, bytes, tables; progress tells each byte."""
    told: list[int] = []
    target = MariadbTarget(
        address_of("target", mariadb.connection()), database=f"{filled}_back", jobs=4
    )
    target.prepare()
    done = target.put(site.stored(point), told.append)
    assert done.contents == "3 tables of 1 database"
    assert done.files == 6
    assert sum(told) == done.bytes_written
    assert not done.notes
    assert mariadb.dump(filled) == mariadb.dump(f"{filled}_back")


def test_a_database_that_is_not_empty_is_left_alone(
    mariadb: Mariadb, site: MariadbSite, point: Outcome, filled: str
) -> None:
    """Without overwrite; with it, tables of the same names are replaced and others stay."""
    with pytest.raises(RestoreRefused, match="is not empty: it has 4 tables"):
        site.put_back(point, filled)
    with pytest.raises(RestoreRefused, match="is not empty"):
        site.put_back(point)  # under its own name
    mariadb.run("DELETE FROM orders", "CREATE TABLE own (id INT)", database=filled)
    done = site.put_back(point, filled, overwrite=True)
    assert mariadb.run("SELECT COUNT(*) FROM orders", database=filled) == [(3000,)]
    [note] = done.notes
    assert note.what == "left as they were: own"


def test_the_source_is_left_alone(
    mariadb: Mariadb, site: MariadbSite, point: Outcome, filled: str
) -> None:
    """Unless it is named twice, as whoever calls says."""
    source = address_of("shop", site.connection)
    with pytest.raises(RestoreRefused, match="is the server that the dataset is read from"):
        put(site, site.stored(point), f"{filled}_back", source=source)
    aliased = replace(source, host="localhost")  # the same, by another name
    with pytest.raises(RestoreRefused, match="is the server that the dataset is read from"):
        put(site, site.stored(point), f"{filled}_back", source=aliased)
    gone = replace(source, port=1)
    put(site, site.stored(point), f"{filled}_gone", source=gone)  # that one is lost
    put(site, site.stored(point), f"{filled}_back", source=source, into_source=True)


def test_one_table_alone(mariadb: Mariadb, site: MariadbSite, point: Outcome, filled: str) -> None:
    """With its definition, and nothing else."""
    mariadb.make_database(f"{filled}_one")
    path = f"{filled}/data/customers.sql".encode()
    done = put(site, site.stored(point), f"{filled}_one", wanted=path.__eq__)
    assert done.contents == "1 table of 1 database"
    assert mariadb.run("SHOW TABLES", database=f"{filled}_one") == [("customers",)]
    assert mariadb.run("SELECT COUNT(*) FROM customers", database=f"{filled}_one") == [(1000,)]
    mariadb.run("DROP TABLE orders", database=filled)
    path = f"{filled}/data/orders.sql".encode()
    put(site, site.stored(point), filled, wanted=path.__eq__, overwrite=True)
    assert mariadb.run("SELECT COUNT(*) FROM named", database=filled) == [(3000,)]
    assert mariadb.run("SELECT COUNT(*) FROM notes", database=filled) == [(2,)]  # no trigger fired


def test_rows_that_refer_to_nothing_are_noted(
    mariadb: Mariadb, site: MariadbSite, point: Outcome, filled: str
) -> None:
    """A table of one day beside others of another: MariaDB itself would never look again."""
    path = f"{filled}/data/customers.sql".encode()
    done = put(site, site.stored(point), filled, wanted=path.__eq__, overwrite=True)
    assert not done.notes
    mariadb.run(
        "INSERT INTO customers VALUES (1001, 'new')",
        "INSERT INTO orders VALUES (3001, 1001), (3002, NULL)",
        database=filled,
    )
    done = put(site, site.stored(point), filled, wanted=path.__eq__, overwrite=True)
    [note] = done.notes
    assert note.what == "1 row of orders (orders_ibfk_1) refers to no row of customers"
    mariadb.run("SET foreign_key_checks=0", "DROP TABLE customers", database=filled)
    path = f"{filled}/data/orders.sql".encode()
    done = put(site, site.stored(point), filled, wanted=path.__eq__, overwrite=True)
    [note] = done.notes
    assert note.what.startswith("foreign key of orders (orders_ibfk_1) was not looked at: ")


def test_several_databases(mariadb: Mariadb, site: MariadbSite, filled: str) -> None:
    """Under their own names, or one of them under another."""
    mariadb.make_database("more/of.it")
    mariadb.run("CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)", database="more/of.it")
    site.settings = replace(site.settings, databases=(filled, "more/of.it"))
    point = site.back_up()
    with pytest.raises(RestoreRefused, match="holds 2 databases"):
        site.put_back(point, "other")
    mariadb.run("DROP DATABASE `more/of.it`", f"DROP DATABASE {filled}")
    assert site.put_back(point).contents == "4 tables of 2 databases"
    assert mariadb.run("SELECT id FROM t", database="more/of.it") == [(7,)]
    done = put(site, site.stored(point), "other", wanted=lambda path: path.startswith(b"more%2Fof"))
    assert done.contents == "1 table of 1 database"
    assert mariadb.run("SELECT id FROM t", database="other") == [(7,)]
    mariadb.run("DROP DATABASE `more/of.it`", "DROP DATABASE other")


def test_an_error_of_the_server_is_a_failed_restore(
    site: MariadbSite, point: Outcome, filled: str
) -> None:
    """It names the table and the error, and no value of a row."""
    rows = site.stored(point).load(f"{filled}/data/customers.sql".encode())
    bad = tampered(site, point, customers=rows.replace(b"(2,'secret name 2')", b"(1,'twice')"))
    with pytest.raises(RestoreRefused, match=rf"{filled}_back\.customers.*(1062|1180)") as caught:
        put(site, bad, f"{filled}_back")
    assert "secret" not in str(caught.value)
    assert "twice" not in str(caught.value)


def test_a_row_too_few_is_a_failed_restore(site: MariadbSite, point: Outcome, filled: str) -> None:
    """What the server took without an error is counted."""
    rows = site.stored(point).load(f"{filled}/data/customers.sql".encode())
    bad = tampered(site, point, customers=rows.replace(b"(2,'secret name 2'),\n", b""))
    with pytest.raises(RestoreRefused, match=r"customers has 999 rows .* had 1000"):
        put(site, bad, f"{filled}_back")


def test_a_manifest_of_something_else_is_refused(
    site: MariadbSite, point: Outcome, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a PostgreSQL server."""
    other = json.dumps({"format": 1, "source": "postgresql"}).encode()
    stored = site.stored(point)
    monkeypatch.setattr(stored, "about", lambda _: other)
    with pytest.raises(RestoreRefused, match="not one of a MariaDB"):
        put(site, stored, f"{filled}_back")


def test_rights_to_define_for_others_are_asked_for(
    mariadb: Mariadb, site: MariadbSite, point: Outcome, filled: str
) -> None:
    """An account that may not set a DEFINER is told what it lacks; nothing is half-silent."""
    mariadb.run(
        "CREATE OR REPLACE USER narrow IDENTIFIED BY 'pw'",
        f"GRANT ALL ON `{filled}_back`.* TO narrow",
    )
    target = mariadb.connection(login="narrow", password="pw")
    with pytest.raises(RestoreRefused, match=r"1227.*SET USER"):
        site.put_back(point, f"{filled}_back", connection=target)
    mariadb.run("GRANT SET USER ON *.* TO narrow", f"DROP DATABASE {filled}_back")
    with pytest.raises(RestoreRefused, match=r"1419.*log_bin_trust_function_creators=1"):
        site.put_back(point, f"{filled}_back", connection=target)
    mariadb.run("GRANT SUPER ON *.* TO narrow", f"DROP DATABASE {filled}_back")
    [note] = site.put_back(point, f"{filled}_back", connection=target).notes
    assert "no SELECT on mysql.user" in note.what


def test_a_wrong_password_and_a_missing_program(
    mariadb: Mariadb, site: MariadbSite, point: Outcome, filled: str, monkeypatch: Any
) -> None:
    """Both are found before anything is written."""
    with pytest.raises(RestoreRefused, match="refuses admin"):
        site.put_back(point, f"{filled}_back", connection=mariadb.connection(password="wrong"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolMissing, match="mariadb is not on this machine"):
        site.put_back(point, f"{filled}_back")


def test_one_table_comes_back_with_its_triggers(
    mariadb: Mariadb, site: MariadbSite, database: str
) -> None:
    """Beside others that are there: with the statement that makes the table its own were gone."""
    mariadb.run(
        "CREATE TABLE items (id INT PRIMARY KEY)",
        "CREATE TABLE `other``one` (id INT PRIMARY KEY)",
        "INSERT INTO items VALUES (1), (2)",
        "CREATE TRIGGER a BEFORE INSERT ON items FOR EACH ROW SET NEW.id = NEW.id + 100",
        "CREATE TRIGGER `b c` AFTER INSERT ON `other``one` FOR EACH ROW SET @x = ' ON items '",
        database=database,
    )
    point = site.back_up()
    site.put_back(point, f"{database}_back")
    back = {"database": f"{database}_back"}
    mariadb.run("DELETE FROM items", "INSERT INTO `other``one` VALUES (7)", **back)
    only = {"wanted": lambda path: path == f"{database}/data/items.sql".encode()}
    with pytest.raises(DestinationRefused, match="has items already"):
        site.put_back(point, f"{database}_back", **only)
    site.put_back(point, f"{database}_back", overwrite=True, **only)
    assert mariadb.run("SELECT id FROM items ORDER BY id", **back) == [(1,), (2,)]
    assert mariadb.run("SELECT id FROM `other``one`", **back) == [(7,)]
    named = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()"
    assert sorted(mariadb.run(named, **back)) == [("a",), ("b c",)]
    mariadb.run("DROP TABLE items", **back)
    site.put_back(point, f"{database}_back", **only)
    assert mariadb.run("SELECT id FROM items ORDER BY id", **back) == [(1,), (2,)]
    assert sorted(mariadb.run(named, **back)) == [("a",), ("b c",)]


def test_rows_that_were_left_out_are_told(
    mariadb: Mariadb, site: MariadbSite, database: str
) -> None:
    """An empty table is no surprise, nor one that was emptied by it."""
    mariadb.run("CREATE TABLE log_a (id INT)", "INSERT INTO log_a VALUES (1)", database=database)
    was, site.settings = site.settings, replace(site.settings, schema_only=(f"{database}.log_*",))
    try:
        done = site.put_back(site.back_up(), f"{database}_back")
    finally:
        site.settings = was
    assert any("1 table without rows" in note.what for note in done.notes)
