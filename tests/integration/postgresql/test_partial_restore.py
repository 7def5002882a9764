"""One table, or some: into a database of their own, or beside the others that are still there."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.choosing import Order
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_server import ServerOrder, open_server
from include.backup.actions.restore import restore
from include.backup.actions.setting import Setting
from include.backup.errors import DestinationRefused, RestoreRefused
from include.backup.policy.datasets import load_datasets
from include.backup.policy.load import load_policy
from include.backup.policy.model import Method
from include.backup.sources.connection import Connection
from include.backup.storage.local import LocalStorage
from tests.servers.postgresql import postgres  # noqa: F401 a fixture

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration

_SCHEMA = """
CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('calm', 'busy');
CREATE TABLE shop.customers (id serial PRIMARY KEY, name text NOT NULL, m shop.mood);
COMMENT ON COLUMN shop.customers.name IS 'as they write it';
CREATE INDEX by_name ON shop.customers (lower(name));
CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer int REFERENCES shop.customers, total numeric CHECK (total >= 0));
CREATE FUNCTION shop.stamp() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.name := NEW.name; RETURN NEW; END $$;
CREATE TRIGGER stamped BEFORE INSERT ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.stamp();
INSERT INTO shop.customers (name, m) SELECT 'c' || g, 'calm' FROM generate_series(1, 500) g;
INSERT INTO shop.orders (customer, total) SELECT g, g FROM generate_series(1, 500) g;
CREATE VIEW shop.rich AS SELECT * FROM shop.orders WHERE total > 100;
"""
_DEFINITION = """
SELECT string_agg(t, E'\\n' ORDER BY t) FROM (
  SELECT pg_get_indexdef(indexrelid) t FROM pg_index WHERE indrelid = 'shop.customers'::regclass
  UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint
             WHERE conrelid = 'shop.customers'::regclass
  UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger
             WHERE tgrelid = 'shop.customers'::regclass AND NOT tgisinternal
  UNION ALL SELECT col_description('shop.customers'::regclass, 2)
  UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
             WHERE adrelid = 'shop.customers'::regclass) x
"""


class Shop:
    """A database with a recovery point."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        self.server = server
        self.folder = folder
        server.make_database("shop")
        server.run(_SCHEMA, database="shop")
        (folder / "datasets.yaml").write_text(
            "key: {provider: local, connection: backup_master_key}\n"
            "signing_key: {connection: backup_signing_key}\n"
            f"vaults: {{primary: {{url: 'file://{folder}/vault'}}}}\n"
            "datasets:\n  shop: {class: critical, owner: o@example.com,\n"
            "    source: {type: postgresql, connection: shop}}\n"
        )
        back_up(self.setting(), "shop", method=Method.FULL)

    def setting(self) -> Setting:
        """As one act sees the world."""
        policy = load_policy()
        key = Connection(password=base64.b64encode(b"k" * 32).decode())
        known = {"shop": self.server.connection("shop"), "scratch": self.server.connection()}
        return Setting(
            policy=policy,
            datasets=load_datasets([one.name for one in policy.classes],
                                   self.folder / "datasets.yaml"),
            connection=lambda name: known.get(name, key),
            open_storage=lambda _: LocalStorage(self.folder / "vault"),
            s3_client=lambda _: pytest.fail("no bucket is asked for"),
            kms=lambda _: pytest.fail("no KMS is asked for"),
            state_folder=self.folder / "state",
            clock=lambda: datetime.now(UTC),
            owner="tests",
        )  # fmt: skip

    def restore(self, pattern: str, place: str, **more: object) -> Outcome:
        """Restore what a pattern fits into a database of the same server."""
        setting = self.setting()
        order = ServerOrder(connection="scratch", place=place, pattern=pattern, **more)  # type: ignore[arg-type]
        server = open_server(DatasetVault.open(setting, "shop"), order)
        wish = Order(address=f"connection:scratch/{place}", requested_by="tests", path=pattern)
        return restore(setting, "shop", server, wish)

    def rows(self, database: str, table: str) -> str:
        """All rows as text."""
        return self.server.tool("psql", "-XAtc", f"COPY {table} TO STDOUT", database=database)


@pytest.fixture(scope="module")
def shop(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Shop:  # noqa: F811
    """One recovery point for all tests."""
    return Shop(tmp_path_factory.mktemp("shop"), postgres)


def test_one_table_into_a_database_of_its_own(shop: Shop) -> None:
    """All definitions come, of the rows only what was asked for, and no foreign key that lies."""
    shop.server.run('DROP DATABASE IF EXISTS "one table" WITH (FORCE)')
    outcome = shop.restore("shop/data/shop.orders.copy", "one table")
    assert "1 table, " in outcome.sentence
    assert "foreign keys were left out" in outcome.sentence
    assert shop.rows("one table", "shop.orders") == shop.rows("shop", "shop.orders")
    assert shop.rows("one table", "shop.customers") == ""
    assert shop.server.run("SELECT count(*) FROM shop.rich", database="one table") == [(400,)]


def test_a_table_that_was_dropped_comes_back_beside_the_others(shop: Shop) -> None:
    """With its sequence and its value, index, constraint, trigger, comment; the others stay."""
    server = shop.server
    server.make_database("lost", options="TEMPLATE shop")
    server.run("DROP TABLE shop.customers CASCADE", database="lost")
    outcome = shop.restore("shop/data/shop.customers.copy", "lost")
    assert outcome.kind == "restored"
    assert shop.rows("lost", "shop.customers") == shop.rows("shop", "shop.customers")
    assert server.run(_DEFINITION, database="lost") == server.run(_DEFINITION, database="shop")
    [(number,)] = server.run(
        "INSERT INTO shop.customers (name) VALUES ('new') RETURNING id", database="lost"
    )
    assert number == 501
    assert shop.rows("lost", "shop.orders") == shop.rows("shop", "shop.orders")


def test_rows_that_are_there_are_replaced_only_when_that_is_wished(shop: Shop) -> None:
    """Without --overwrite nothing is touched, and the refusal is recorded as one."""
    server = shop.server
    server.make_database("spoilt", options="TEMPLATE shop")
    server.run("UPDATE shop.orders SET total = 0", database="spoilt")
    spoilt = shop.rows("spoilt", "shop.orders")
    with pytest.raises(DestinationRefused, match=r"shop\.orders already"):
        shop.restore("shop/data/shop.orders.copy", "spoilt")
    assert shop.rows("spoilt", "shop.orders") == spoilt
    shop.restore("shop/data/shop.orders.copy", "spoilt", overwrite=True)
    assert shop.rows("spoilt", "shop.orders") == shop.rows("shop", "shop.orders")


def test_a_schema_under_another_owner(shop: Shop) -> None:
    """Everything in it belongs to whom the restore says, and nobody is granted anything."""
    shop.server.run("DROP ROLE IF EXISTS keeper", "CREATE ROLE keeper")
    shop.server.run("DROP DATABASE IF EXISTS kept WITH (FORCE)")
    shop.restore("shop", "kept", owner="keeper")
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'shop'"
    assert shop.server.run(owners, database="kept") == [("keeper",)]
    shop.server.run("DROP DATABASE kept WITH (FORCE)", "DROP ROLE keeper")


def test_what_is_not_there_is_refused(shop: Shop) -> None:
    """A pattern that fits nothing; the source itself, unless it is named twice."""
    with pytest.raises(DestinationRefused, match="nothing of the recovery point"):
        shop.restore("shop/data/nothing.*", "nowhere")
    with pytest.raises(DestinationRefused, match="the database that the recovery point was taken"):
        shop.restore("shop", "")


def test_an_error_of_the_server_is_a_failed_restore(shop: Shop) -> None:
    """A foreign key whose rows are gone cannot be made; nothing is called done."""
    server = shop.server
    server.make_database("broken", options="TEMPLATE shop")
    server.run("DROP TABLE shop.orders CASCADE", "DELETE FROM shop.customers", database="broken")
    with pytest.raises(RestoreRefused, match="violates foreign key constraint"):
        shop.restore("shop/data/shop.orders.copy", "broken")
    head = DatasetVault.open(shop.setting(), "shop").ledger.head()
    assert head is not None
    assert head.kind == "failed"
