"""Before a database is handed over: what goes is told, and what came is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.choosing import Order
from include.backup.actions.erasures import ErasureOrder, register
from include.backup.actions.open_server import ServerOrder, open_server
from include.backup.actions.restore import restore
from include.backup.errors import RestoreRefused
from include.backup.quality import scratch_mariadb
from include.backup.vault.erasures import Erased

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from include.backup.sources.base import Server
    from tests.integration.mariadb.site import MariadbSite
    from tests.servers.mariadb import Mariadb

pytestmark = pytest.mark.integration


@pytest.fixture
def point(site: MariadbSite, mariadb: Mariadb, database: str) -> Outcome:
    """Two tables and a view."""
    mariadb.run(
        "CREATE TABLE customers (id INT PRIMARY KEY, name TEXT)",
        "INSERT INTO customers SELECT seq, CONCAT('n', seq) FROM seq_1_to_1000",
        "CREATE TABLE notes (t TEXT)",
        "CREATE VIEW named AS SELECT name FROM customers",
        database=database,
    )
    site.connections["target"] = mariadb.connection()
    return site.back_up()


def server(site: MariadbSite, place: str, **how: Any) -> Server:
    order = ServerOrder(connection="target", place=place, into_source="shop", **how)
    return open_server(site.place(), order)


def restored(site: MariadbSite, place: str, path: str = "", **how: Any) -> Outcome:
    target = server(site, place, pattern=path, **how)
    wish = Order(address="connection:target", requested_by="tests", path=path, compare=True)
    return restore(site.setting(), "crm", target, wish)


def test_a_plan_changes_nothing_and_tells_what_goes(
    mariadb: Mariadb, site: MariadbSite, point: Outcome, database: str
) -> None:
    """Nothing where there is none; refused without overwrite; named with it."""
    stored, back = site.stored(point), f"{database}_back"
    assert server(site, back).standing(stored) == []
    mariadb.make_database(back)
    mariadb.run("CREATE TABLE notes (old INT)", database=back)
    with pytest.raises(RestoreRefused, match="is not empty"):
        server(site, back).standing(stored)
    [told] = server(site, back, overwrite=True).standing(stored)
    assert told == f"database {back}: table notes is replaced"
    assert mariadb.run("SHOW COLUMNS FROM notes", database=back)[0][0] == "old"


def test_what_was_restored_is_read_again(
    mariadb: Mariadb,
    site: MariadbSite,
    point: Outcome,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it, or the tables that were asked for, beside what is there."""
    back, table = f"{database}_back", f"{database}/data/customers.sql"
    assert restored(site, back).details["compared"] == "2 tables of 1 database"
    mariadb.run("INSERT INTO notes VALUES ('mine')", database=back)
    done = restored(site, back, table, overwrite=True)
    assert done.details["compared"] == "1 table of 1 database"
    compare = scratch_mariadb.compare_databases

    def meddled(*arguments: Any) -> Any:
        mariadb.run("DELETE FROM customers WHERE id = 7", database=back)
        return compare(*arguments)

    monkeypatch.setattr(scratch_mariadb, "compare_databases", meddled)
    for path in ("", table):
        with pytest.raises(RestoreRefused, match=r"1 difference: .*customers: has 999 rows"):
            restored(site, back, path, overwrite=True)


def test_rows_that_were_erased_do_not_come_back(
    mariadb: Mariadb, site: MariadbSite, point: Outcome, database: str
) -> None:
    """Compared first, then erased in one transaction; a table that was not restored is no error."""
    back = f"{database}_back"

    def erase(statements: str) -> str:
        erased = Erased(statements=statements)
        order = ErasureOrder(erased=erased, requested_by="dpo", reason="article 17")
        return str(register(site.setting(), "crm", order).details["erasure"])

    erase("DELETE FROM customers WHERE id < 11; UPDATE customers SET name = '%' WHERE id = 20")
    outcome = restored(site, back)
    assert "1 erasure carried out again: 11 removed" in outcome.sentence
    assert mariadb.run("SELECT MIN(id), MAX(name = '%') FROM customers", database=back) == [(11, 1)]
    restored(site, back, f"{database}/data/notes.sql", overwrite=True)
    wrong = erase("DELETE FROM customers WHERE id = 12; DELETE FROM customers WHERE no = 'Ada'")
    with pytest.raises(
        RestoreRefused, match=rf"erasure {wrong} failed in {back} \(1054\)"
    ) as refused:
        restored(site, back, overwrite=True)
    assert "Ada" not in f"{refused.value.outcome.sentence} {refused.value.hint}"
    assert mariadb.run("SELECT MIN(id) FROM customers", database=back) == [(11,)]
