"""Databases restored on trial: the nasty ones are whole, and each planted fault is named."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.open_scratch import open_scratch
from include.backup.actions.outcome import sentence_of
from include.backup.actions.verify import VerifyOrder, verify
from include.backup.errors import RestoreRefused
from include.backup.quality import scratch_postgresql
from include.backup.quality.scratch_databases import PREFIX
from include.backup.quality.scratch_postgresql import PostgresScratch
from tests.integration.postgresql.bed import DatabaseSite
from tests.integration.verification.planting import plant_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.outcome import Outcome
    from tests.integration.postgresql.conftest import BackedUp
    from tests.servers.postgresql import Postgres

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
NAME = "verified"
SCRATCH = "verification: {postgresql: scratch, encrypted: true}\n"


def scratches(server: Postgres) -> set[str]:
    """The databases of trials that are on a server."""
    rows = server.run("SELECT datname FROM pg_database")
    return {name for (name,) in rows if name.startswith(PREFIX)}


def verified(site: DatabaseSite, **order: Any) -> tuple[Outcome, list[str]]:
    """Verify the dataset."""
    return verify(site.setting(), "crm", VerifyOrder(**order))


def test_nasty_databases_are_whole(backed_up: BackedUp, bare: Postgres) -> None:
    """No false alarm, whatever is in them: on a server that has neither roles nor databases."""
    site = backed_up.site
    site.connections["scratch"] = bare.connection()
    site.verification = SCRATCH
    outcome, faults = verified(site, recovery_point=backed_up.incremental.details["snapshot"])
    site.verification = ""
    assert faults == []
    assert outcome.details["passed"], outcome.sentence
    assert outcome.details["level"] == "facts"
    assert scratches(bare) == set()


@pytest.fixture(scope="module")
def shop(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseSite]:
    """A database with one of each sort of thing, in a vault."""
    postgres.make_database(NAME)
    postgres.run(
        "CREATE TABLE orders (id serial PRIMARY KEY, note text, placed date, "
        "CONSTRAINT noted CHECK (note <> ''))",
        "INSERT INTO orders (note, placed) SELECT 'n' || i, '2026-01-01'::date + i "
        "FROM generate_series(1, 50000) i",
        "CREATE INDEX orders_placed ON orders (placed)",
        "CREATE TABLE items (id int PRIMARY KEY, ordered int REFERENCES orders)",
        "INSERT INTO items SELECT i, i FROM generate_series(1, 1000) i",
        "CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders",
        "CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql AS 'SELECT upper($1)'",
        "SELECT lo_from_bytea(4711, 'large')",
        database=NAME,
    )
    site = DatabaseSite(tmp_path_factory.mktemp("shop"), postgres.connection(NAME))
    site.connections["scratch"] = postgres.connection()
    site.verification = SCRATCH
    site.back_up()
    yield site
    postgres.run(f'DROP DATABASE "{NAME}" WITH (FORCE)')


def plant(monkeypatch: pytest.MonkeyPatch, server: Postgres, *statements: str) -> None:
    """Change what was restored before it is looked at."""

    def fault(_: PostgresScratch) -> None:
        [name] = scratches(server)
        server.run(*statements, database=name)

    plant_in(monkeypatch, PostgresScratch, fault)


FAULTS = {
    "UPDATE orders SET note = 'x' WHERE id = 777": "public.orders: other rows: they differ from",
    "DELETE FROM items WHERE id = 9": "public.items: has 999 rows, and had 1,000",
    "INSERT INTO items VALUES (5000)": "public.items: has 1,001 rows, and had 1,000",
    "DROP TABLE items": "public.items: the table is missing",
    "DROP INDEX orders_placed": "missing or changed: CREATE INDEX orders_placed",
    "ALTER TABLE orders DROP CONSTRAINT noted": "missing or changed: CREATE TABLE public.orders",
    "ALTER TABLE items DROP CONSTRAINT items_pkey": "items_pkey PRIMARY KEY",
    "ALTER TABLE items DROP CONSTRAINT items_ordered_fkey": "items_ordered_fkey FOREIGN KEY",
    "SELECT setval('orders_id_seq', 3)": '"orders_id_seq": its value is 3, and was 50000',
    "DROP MATERIALIZED VIEW totals": "the materialized view is missing",
    "REFRESH MATERIALIZED VIEW totals WITH NO DATA": '"totals": the materialized view is missing',
    "SELECT lo_unlink(4711)": "large object 4711: missing",
    "SELECT lo_put(4711, 2, 'x')": "large object 4711: other content",
    "SELECT lo_create(4712)": "large object 4712: was not in the",
    "DROP FUNCTION shout": "missing or changed: CREATE FUNCTION public.shout",
    "CREATE TABLE more ()": "was not so: CREATE TABLE public.more",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_placed'::regclass":
        "orders_placed: an index that is not valid",
}  # fmt: skip


@pytest.mark.parametrize("statement", FAULTS)
def test_each_fault_is_named(
    shop: DatabaseSite, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """With its database; the recovery point is not proved, and nothing is left behind."""
    plant(monkeypatch, postgres, statement)
    outcome, faults = verified(shop)
    assert any(FAULTS[statement] in fault for fault in faults), faults
    compared = [fault for fault in faults if "expect_table_row_count" not in fault]
    assert all(f": {NAME}" in fault for fault in compared)
    assert outcome.sentence.startswith("BROKEN 3.4 ")
    assert shop.place().state().points[0].verified_at is None
    assert scratches(postgres) == set()


def test_a_restore_that_the_server_refuses_tells_of_the_data(
    shop: DatabaseSite, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers, and does not take the rows."""

    def refuse(*_: object) -> None:
        raise RestoreRefused("orders: it does not take the rows")

    monkeypatch.setattr(scratch_postgresql.PostgresTarget, "put", refuse)
    outcome, faults = verified(shop)
    assert [fault.partition(": ")[2] for fault in faults] == ["orders: it does not take the rows"]
    assert outcome.sentence.startswith("BROKEN 3.4 ")
    assert scratches(postgres) == set()


def test_what_a_dead_run_has_left_goes_and_what_lives_stays(
    shop: DatabaseSite, postgres: Postgres
) -> None:
    """The server tells who lives: the lock is that of a session."""
    place = open_scratch(shop.place())
    assert place is not None
    dead, alive = "0" * 20, "1" * 20
    postgres.run(f"CREATE DATABASE {PREFIX}{dead}_x", f"CREATE DATABASE {PREFIX}{alive}_x")
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
        assert scratches(postgres) == {f"{PREFIX}{alive}_x"}
    finally:
        over.set()
        thread.join()
    assert scratches(postgres) == set()


def test_a_server_that_does_not_answer_is_no_fault_of_the_data(
    shop: DatabaseSite, postgres: Postgres
) -> None:
    """Nothing could be looked at."""
    shop.connections["scratch"] = postgres.connection(port=1)
    try:
        with pytest.raises(RestoreRefused, match="refused") as caught:
            verified(shop)
    finally:
        shop.connections["scratch"] = postgres.connection()
    assert sentence_of(caught.value, "").startswith("NOT TESTED 3.4 ")
