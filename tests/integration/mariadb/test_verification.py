"""Databases restored on trial: a nasty one is whole, and each planted fault is named."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.open_scratch import open_scratch
from include.backup.actions.outcome import sentence_of
from include.backup.actions.verify import VerifyOrder, verify
from include.backup.errors import RestoreRefused
from include.backup.quality import scratch_mariadb
from include.backup.quality.scratch_databases import PREFIX
from include.backup.quality.scratch_mariadb import MariadbScratch
from tests.integration.mariadb import nasty
from tests.integration.verification.planting import plant_in

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from tests.integration.mariadb.site import MariadbSite
    from tests.servers.mariadb import Mariadb


def scratches(server: Mariadb) -> set[str]:
    """The databases of trials that are on a server."""
    return {name for (name,) in server.run("SHOW DATABASES") if name.startswith(PREFIX)}


@pytest.fixture
def trial(site: MariadbSite, mariadb: Mariadb) -> MariadbSite:
    """With a place where its restores are tried."""
    site.connections["scratch"] = mariadb.connection()
    site.verification = "verification: {mariadb: scratch, encrypted: true}\n"
    return site


@pytest.fixture
def shop(trial: MariadbSite, mariadb: Mariadb, database: str) -> MariadbSite:
    """A database with one of each sort of thing, in a vault."""
    mariadb.run(
        "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(50), "
        "CONSTRAINT noted CHECK (note <> ''), KEY by_note (note))",
        "INSERT INTO orders (note) SELECT CONCAT('n', seq) FROM seq_1_to_50000",
        "CREATE TABLE items (id INT PRIMARY KEY, ordered INT REFERENCES orders (id))",
        "INSERT INTO items SELECT seq, seq FROM seq_1_to_1000",
        "CREATE SEQUENCE numbers",
        "CREATE VIEW seen AS SELECT id FROM orders",
        "CREATE TRIGGER kept BEFORE INSERT ON items FOR EACH ROW SET NEW.ordered = 1",
        "CREATE FUNCTION one() RETURNS INT NO SQL RETURN 1",
        "CREATE EVENT later ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
        database=database,
    )
    trial.back_up()
    return trial


def verified(site: MariadbSite, **order: Any) -> tuple[Outcome, list[str]]:
    """Verify the dataset."""
    return verify(site.setting(), "crm", VerifyOrder(**order))


def test_a_nasty_database_is_whole(trial: MariadbSite, mariadb: Mariadb, database: str) -> None:
    """No false alarm, whatever is in it."""
    nasty.fill(mariadb, database)
    trial.back_up()
    outcome, faults = verified(trial)
    assert faults == []
    assert outcome.details["passed"], outcome.sentence
    assert outcome.details["level"] == "facts"
    assert scratches(mariadb) == set()


def plant(monkeypatch: pytest.MonkeyPatch, server: Mariadb, *statements: str) -> None:
    """Change what was restored before it is looked at."""

    def fault(_: MariadbScratch) -> None:
        [name] = scratches(server)
        server.run(*statements, database=name)

    plant_in(monkeypatch, MariadbScratch, fault)


FAULTS = {
    "UPDATE orders SET note = 'x' WHERE id = 777": "orders: other rows: they differ from byte",
    "DELETE FROM items WHERE id = 9": "items: has 999 rows, and had 1,000",
    "INSERT INTO items VALUES (5000, 1)": "items: has 1,001 rows, and had 1,000",
    "DROP TABLE items": "items: the table is missing",
    "ALTER TABLE orders DROP KEY by_note": "missing or changed: CREATE TABLE `orders`",
    "ALTER TABLE orders DROP CONSTRAINT noted": "missing or changed: CREATE TABLE `orders`",
    "ALTER TABLE items DROP FOREIGN KEY items_ibfk_1": "missing or changed: CREATE TABLE `items`",
    "ALTER TABLE orders AUTO_INCREMENT = 90000": "missing or changed: CREATE TABLE `orders`",
    "SELECT NEXTVAL(numbers)": "missing or changed: DO SETVAL(`numbers`, 1, 0)",
    "DROP SEQUENCE numbers": "numbers: the sequence is missing",
    "DROP VIEW seen": "seen: the view is missing",
    "CREATE OR REPLACE VIEW seen AS SELECT note FROM orders": "/*!50001 CREATE VIEW `seen`",
    "DROP TRIGGER kept": "TRIGGER kept BEFORE INSERT",
    "DROP FUNCTION one": "FUNCTION `one`()",
    "DROP EVENT later": "EVENT `later`",
    "CREATE TABLE more (id INT)": "was not so: CREATE TABLE `more`",
}


@pytest.mark.parametrize("statement", FAULTS)
def test_each_fault_is_named(
    shop: MariadbSite,
    mariadb: Mariadb,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
) -> None:
    """With its database; the recovery point is not proved, and nothing is left behind."""
    plant(monkeypatch, mariadb, statement)
    outcome, faults = verified(shop)
    assert any(FAULTS[statement] in fault for fault in faults), faults
    compared = [fault for fault in faults if "expect_table_row_count" not in fault]
    assert all(f": {database}" in fault for fault in compared)
    assert outcome.sentence.startswith("BROKEN 3.4 ")
    assert shop.place().state().points[0].verified_at is None
    assert scratches(mariadb) == set()


def test_another_release_compares_rows_alone(
    shop: MariadbSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes the same definitions in other words; a note says so."""
    original = scratch_mariadb._release
    releases = iter(["11.4"])
    monkeypatch.setattr(
        scratch_mariadb, "_release", lambda version: next(releases, original(version))
    )
    outcome, faults = verified(shop)
    assert faults == []
    [point] = outcome.details["points"]
    assert any("the server is 11.4, and was 10.11" in note for note in point["noted"])


def test_what_a_dead_run_has_left_goes_and_what_lives_stays(
    shop: MariadbSite, mariadb: Mariadb
) -> None:
    """The server tells who lives: the lock is that of a session."""
    place = open_scratch(shop.place())
    assert place is not None
    dead, alive = "0" * 20, "1" * 20
    mariadb.run(f"CREATE DATABASE {PREFIX}{dead}_x", f"CREATE DATABASE {PREFIX}{alive}_x")
    inside, over = threading.Event(), threading.Event()

    def live() -> None:
        with place.make(alive, None, 0):
            inside.set()
            over.wait(60)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        assert inside.wait(60)
        assert place.sweep(None) == [f"{PREFIX}{dead}_x"]
        assert scratches(mariadb) == {f"{PREFIX}{alive}_x"}
    finally:
        over.set()
        thread.join()
    assert scratches(mariadb) == set()


def test_a_server_that_does_not_answer_is_no_fault_of_the_data(
    shop: MariadbSite, mariadb: Mariadb
) -> None:
    """Nothing could be looked at."""
    shop.connections["scratch"] = mariadb.connection(port=1)
    with pytest.raises(RestoreRefused, match="cannot be reached") as caught:
        verified(shop)
    assert sentence_of(caught.value, "").startswith("NOT TESTED 3.4 ")


def test_what_users_expect(shop: MariadbSite, mariadb: Mariadb) -> None:
    """Met; and not met, with how many of how many."""
    shop.expectations = (
        "expectations:\n"
        "  - {table: orders, expectation: expect_column_values_to_be_unique, column: note}\n"
        "  - {table: items, expectation: expect_column_values_to_be_unique, column: id}\n"
        "  - {table: items, expectation: expect_column_values_to_be_between, column: ordered,\n"
        "     min_value: 1, max_value: 900}\n"
        "  - {table: seen, expectation: expect_table_row_count_to_equal, value: 50000}\n"
        "  - {table: orders, expectation: newest, column: gone, not_older_than: 1 day}\n"
    )
    outcome, faults = verified(shop)
    [fault] = faults
    assert "items: expect_column_values_to_be_between" in fault
    assert "100 of 1,000 are not so" in fault
    found = {one["expected"]: one["met"] for one in outcome.details["points"][0]["expectations"]}
    assert list(found.values()).count(None) == 1
    assert list(found.values()).count(False) == 1
    assert "expect_table_row_count_to_equal (value: 1000)" in found
    enforced = [
        one["of"]
        for one in outcome.details["points"][0]["expectations"]
        if one.get("why") == "the database enforces it"
    ]
    assert enforced == ["items"]
    assert scratches(mariadb) == set()
