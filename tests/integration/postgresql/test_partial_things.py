"""A table that comes back beside others: what belongs to it, and what must not meddle with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.errors import RestoreRefused
from tests.integration.postgresql.bed import DatabaseSite
from tests.integration.postgresql.given import change_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.outcome import Outcome
    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME, OTHER = "things", "things_back"
_TRIGGERS = "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"


class Things:
    """A database with a recovery point, and a copy of it that has lived on."""

    def __init__(self, server: Postgres, site: DatabaseSite, outcome: Outcome) -> None:
        self.server = server
        self._site = site
        self._outcome = outcome

    def copy(self) -> None:
        """Make the copy anew."""
        self.server.run(f"DROP DATABASE IF EXISTS {OTHER} WITH (FORCE)")
        self.server.run(f"CREATE DATABASE {OTHER} TEMPLATE {NAME}")

    def restore(self, table: str, *, overwrite: bool = False) -> list[str]:
        """Restore one table into the copy; return the notes."""
        outcome = self._site.restore_to(
            self._outcome,
            "target",
            place=OTHER,
            path=f"{NAME}/data/public.{table}.copy",
            overwrite=overwrite,
        )
        return list(outcome.details["noted"])

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        """In the copy."""
        return self.server.run(*statements, database=OTHER)


@pytest.fixture(scope="module")
def things(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Things]:
    postgres.make_database(NAME)
    postgres.run("DROP ROLE IF EXISTS a_reader", "CREATE ROLE a_reader")
    postgres.run(
        "CREATE TABLE audit (what text)",
        "CREATE TABLE t (id serial PRIMARY KEY, x text)",
        "INSERT INTO t (x) SELECT 'true value' FROM generate_series(1, 100)",
        """CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
           $$BEGIN INSERT INTO audit VALUES (NEW.x); NEW.x := 'changed'; RETURN NEW; END$$""",
        "CREATE TRIGGER a_usual BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION meddle()",
        "CREATE TRIGGER b_always BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION meddle()",
        "CREATE TRIGGER c_off BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION meddle()",
        "ALTER TABLE t ENABLE ALWAYS TRIGGER b_always",
        "ALTER TABLE t DISABLE TRIGGER c_off",
        'CREATE TABLE "Orders" (id serial PRIMARY KEY, a int CONSTRAINT ch CHECK (a > 0))',
        'INSERT INTO "Orders" (a) VALUES (1)',
        'CREATE POLICY po ON "Orders"',
        'GRANT SELECT ON "Orders" TO a_reader',
        'GRANT UPDATE (a) ON "Orders" TO a_reader',
        'GRANT USAGE ON SEQUENCE "Orders_id_seq" TO a_reader',
        *(
            f"""COMMENT ON {what} IS 'of {what.replace('"', "")}'"""
            for what in (
                'TABLE "Orders"',
                'COLUMN "Orders".a',
                'CONSTRAINT ch ON "Orders"',
                'POLICY po ON "Orders"',
            )
        ),
        'CREATE STATISTICS st ON id, a FROM "Orders"',
        'CREATE PUBLICATION news FOR TABLE "Orders"',
        "CREATE TABLE m (d int, v int) PARTITION BY RANGE (d)",
        "CREATE INDEX md ON m (d)",
        "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (100)",
        "INSERT INTO m SELECT i, i FROM generate_series(0, 49) i",
        database=NAME,
    )
    site = DatabaseSite(tmp_path_factory.mktemp("things"), postgres.connection(NAME))
    site.connections["target"] = postgres.connection()
    yield Things(postgres, site, site.back_up())
    postgres.run(
        f"DROP DATABASE IF EXISTS {OTHER} WITH (FORCE)",
        f"DROP DATABASE {NAME} WITH (FORCE)",
        "DROP ROLE a_reader",
    )


@pytest.fixture(autouse=True)
def copied(things: Things) -> None:
    things.copy()


def test_triggers_change_nothing_that_comes_back(things: Things) -> None:
    """Whatever they do usually; and afterwards they are as they were."""
    before = things.run(_TRIGGERS)
    things.run("DELETE FROM t WHERE id > 7")
    things.restore("t", overwrite=True)
    assert things.run("SELECT x, count(*) FROM t GROUP BY x") == [("true value", 100)]
    assert things.run("SELECT count(*) FROM audit") == [(0,)]
    assert things.run(_TRIGGERS) == before


def test_a_wrong_count_leaves_the_old_rows(things: Things, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is seen before anything is committed."""
    things.run("UPDATE t SET x = 'newer'")
    change_rows(monkeypatch, lambda data: data.partition(b"\n")[2], b"public.t.copy")
    with pytest.raises(RestoreRefused, match="has 99 rows, and had 100"):
        things.restore("t", overwrite=True)
    assert things.run("SELECT x, count(*) FROM t GROUP BY x") == [("newer", 100)]
    assert len(things.run(_TRIGGERS)) == 3


def test_a_sequence_is_raised_with_the_rows(things: Things) -> None:
    """Its next value is none that a row has; one that is further on stays."""
    things.run("TRUNCATE t RESTART IDENTITY")
    things.restore("t", overwrite=True)
    assert things.run("SELECT nextval('t_id_seq')") == [(101,)]
    things.run("SELECT setval('t_id_seq', 5000)")
    things.restore("t", overwrite=True)
    assert things.run("SELECT nextval('t_id_seq')") == [(5001,)]


def test_names_that_need_quotes_keep_grants_and_comments(things: Things) -> None:
    """pg_dump's list has them in two ways."""
    about = """
        SELECT relacl::text, obj_description(oid), col_description(oid, 2),
               (SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attname = 'a'),
               (SELECT relacl::text FROM pg_class WHERE relname = 'Orders_id_seq'),
               (SELECT obj_description(oid) FROM pg_policy WHERE polrelid = c.oid),
               (SELECT obj_description(oid) FROM pg_constraint
                 WHERE conrelid = c.oid AND conname = 'ch')
          FROM pg_class c WHERE relname = 'Orders'"""
    before = things.run(about)
    assert None not in before[0]
    things.run('DROP TABLE "Orders"')
    assert things.restore("Orders") == []
    assert things.run(about) == before
    assert things.run("SELECT stxname FROM pg_statistic_ext") == [("st",)]
    assert things.run("SELECT tablename FROM pg_publication_tables") == [("Orders",)]


def test_a_partition_is_attached_again(things: Things) -> None:
    """With its index as a part of the parent's; where there is no parent that is noted."""
    things.run("DROP TABLE m1")
    assert things.run("SELECT count(*) FROM m") == [(0,)]
    assert things.restore("m1") == []
    assert things.run("SELECT count(*) FROM m") == [(50,)]
    parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'md'::regclass"
    assert things.run(parts) == [(1,)]
    assert things.run("SELECT count(*) FROM pg_indexes WHERE tablename = 'm1'") == [(1,)]
    things.run("DROP TABLE m")
    [note] = things.restore("m1")
    assert "it stays a table of its own" in note
    assert things.run("SELECT count(*) FROM m1") == [(50,)]
