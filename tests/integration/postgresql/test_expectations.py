"""What users expect of a database: met, not met with how many, and not to be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.verify import VerifyOrder, verify
from include.backup.errors import ConfigurationInvalid
from include.backup.quality.scratch_postgresql import PostgresScratch
from include.backup.sources.postgresql.address import Address
from include.backup.sources.postgresql.making import constraints_there
from tests.integration.postgresql.bed import DatabaseSite
from tests.integration.postgresql.test_verification import SCRATCH, plant, scratches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.outcome import Outcome
    from tests.servers.postgresql import Postgres

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
NAME = "expected of"
SECRET = "a value of a row"  # never in a record
GOOD = """
expectations:
  - {table: orders, expectation: expect_column_values_to_not_be_null, column: note}
  - {table: public.orders, expectation: expect_column_values_to_be_unique, column: id}
  - {table: public.orders, expectation: newest, column: placed, not_older_than: 2 days}
  - {table: public.seen, expectation: expect_table_row_count_to_be_between, min_value: 1}
  - {table: '"odd": name', expectation: expect_column_values_to_be_between, column: "a:b",
     min_value: 0, max_value: 9}
  - {table: public.orders, expectation: unexpected_rows_expectation,
     unexpected_rows_query: "SELECT * FROM {batch} WHERE id < 0"}
  - {table: public.orders, expectation: expect_table_columns_to_match_set,
     column_set: [id, note, placed, c]}
"""


@pytest.fixture(scope="module")
def shop(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseSite]:
    """A table with a column of a composite type, one of an odd name, a view."""
    site = DatabaseSite(tmp_path_factory.mktemp("shop"), postgres.connection(NAME))
    placed = f"'{site.clock():%Y-%m-%d %H:%M:%S}+00'::timestamptz"
    postgres.make_database(NAME)
    postgres.run(
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE TABLE orders (id int PRIMARY KEY, note text, placed timestamptz, c pair)",
        f"INSERT INTO orders SELECT i, '{SECRET}', {placed} - i * interval '1 hour', "
        "(1, 'x')::pair FROM generate_series(1, 1000) i",
        "CREATE VIEW seen AS SELECT id FROM orders",
        'CREATE TABLE """odd"": name" ("a:b" int)',
        'INSERT INTO """odd"": name" SELECT 7',
        database=NAME,
    )
    site.connections["scratch"] = postgres.connection()
    site.verification = SCRATCH
    site.back_up()
    yield site
    postgres.run(f'DROP DATABASE "{NAME}" WITH (FORCE)')


def test_constraints_that_certainly_hold(postgres: Postgres) -> None:
    """None that another table, a predicate or a later check can leave open."""
    postgres.make_database("constrained")
    try:
        postgres.run(
            "CREATE TABLE plain (a int PRIMARY KEY, b int UNIQUE, c int NOT NULL, d int, gone int)",
            "ALTER TABLE plain DROP COLUMN gone, ADD UNIQUE (c, d) INCLUDE (b)",
            "CREATE UNIQUE INDEX ON plain (d) WHERE d > 0",
            "CREATE TABLE later (a int UNIQUE DEFERRABLE)",
            "CREATE TABLE above (a int PRIMARY KEY)",
            "CREATE TABLE below () INHERITS (above)",
            "CREATE TABLE parted (a int PRIMARY KEY) PARTITION BY RANGE (a)",
            "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9)",
            "CREATE VIEW seen AS SELECT a FROM plain",
            database="constrained",
        )
        address = Address.of(postgres.connection("constrained"))
        found = sorted((t, k, *sorted(c)) for t, k, c in constraints_there(address))
    finally:
        postgres.run("DROP DATABASE constrained WITH (FORCE)")
    assert found == [
        ("public.below", "filled", "a"),
        ("public.part", "filled", "a"),
        ("public.part", "unique", "a"),
        ("public.plain", "filled", "a"),
        ("public.plain", "filled", "c"),
        ("public.plain", "unique", "a"),
        ("public.plain", "unique", "b"),
        ("public.plain", "unique", "c", "d"),
    ]


def test_what_the_database_enforces_is_said_so(shop: DatabaseSite) -> None:
    """In the record, and so in the report; the rest was looked at."""
    outcome, _ = verified(shop)
    why = {(one["of"], one["expected"].split()[0]): one.get("why") for one in judged(outcome)}
    assert why["public.orders", "expect_column_values_to_be_unique"] == "the database enforces it"
    assert why["orders", "expect_column_values_to_not_be_null"] is None


def verified(site: DatabaseSite, text: str = GOOD) -> tuple[Outcome, list[str]]:
    """Verify the dataset, of which this is expected."""
    site.expectations = text
    return verify(site.setting(), "crm", VerifyOrder())


def judged(outcome: Outcome, by: str = "users") -> list[dict[str, Any]]:
    """What became of what users expect, or of what facts tell."""
    [point] = outcome.details["points"]
    return [one for one in point["expectations"] if one["by"] == by]


def test_what_users_expect_is_met(shop: DatabaseSite, postgres: Postgres) -> None:
    """The most critical class is tested then; facts are counted apart."""
    outcome, faults = verified(shop)
    assert faults == []
    assert outcome.details["passed"]
    assert outcome.details["level"] == "expectations"
    assert [one["met"] for one in judged(outcome)] == [True] * 7
    assert {one["of"] for one in judged(outcome, "facts")} == {
        'public."odd": name',
        "public.orders",
    }
    assert all(one["met"] for one in judged(outcome, "facts"))
    assert outcome.sentence.startswith("KEPT 3.4 4.2 ")
    assert "7 expectations of users met" in outcome.sentence
    assert scratches(postgres) == set()


FAULTS = {
    "UPDATE orders SET note = NULL WHERE id <= 3": "(column: note): 3 of 1,000 are not so",
    "UPDATE orders SET placed = placed - interval '9 days'": "the newest is older",
    "DELETE FROM orders": "the newest is older, or there is none",
    "DROP TABLE orders CASCADE": "orders: newest (column: placed, not older than: 48 h): is not",
    "UPDATE orders SET id = -id WHERE id < 5": "there are 4",
    'UPDATE """odd"": name" SET "a:b" = 11': "max_value: 9): 1 of 1 are not so",
    "INSERT INTO orders VALUES (5000)": "orders: expect_table_row_count_to_equal (value: 1000)",
}


@pytest.mark.parametrize("statement", FAULTS)
def test_what_is_not_met_is_named(
    shop: DatabaseSite, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """With how many of how many, and without a value."""
    plant(monkeypatch, postgres, statement)
    outcome, faults = verified(shop)
    assert any(FAULTS[statement] in fault for fault in faults), faults
    assert outcome.sentence.startswith("BROKEN 3.4 ")
    assert SECRET not in f"{outcome.details} {faults} {outcome.sentence}"


def test_what_cannot_be_judged_is_not_wrong(shop: DatabaseSite) -> None:
    """A column that is not there, a comparison that makes no sense: NOT TESTED, and why."""
    outcome, faults = verified(
        shop,
        "expectations:\n"
        "  - {table: orders, expectation: expect_column_values_to_not_be_null, column: gone}\n"
        "  - {table: orders, expectation: expect_column_values_to_be_between, column: note,\n"
        "     min_value: 7}\n"
        "  - {table: orders, expectation: expect_column_values_to_be_unique, column: id}\n",
    )
    assert faults == []
    assert not outcome.details["passed"]
    met = {one["expected"].split()[0]: one["met"] for one in judged(outcome)}
    assert met == {
        "expect_column_values_to_not_be_null": None,
        "expect_column_values_to_be_between": None,
        "expect_column_values_to_be_unique": True,
    }
    assert outcome.sentence.startswith("NOT TESTED 3.4 ")
    assert "there is no column gone" in outcome.sentence
    assert SECRET not in f"{outcome.details} {outcome.sentence}"


def test_a_view_that_cannot_be_read_is_not_judged(
    shop: DatabaseSite, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are; the comparison says by itself what is wrong."""
    plant(
        monkeypatch,
        postgres,
        "CREATE MATERIALIZED VIEW empty AS SELECT id FROM orders WITH NO DATA",
    )
    outcome, faults = verified(
        shop,
        "expectations:\n"
        "  - {table: empty, expectation: expect_column_values_to_be_unique, column: id}\n"
        "  - {table: orders, expectation: expect_column_values_to_be_unique, column: id}\n",
    )
    assert [one["met"] for one in judged(outcome)] == [None, True]
    assert "ObjectNotInPrerequisiteState" in judged(outcome)[0]["why"]
    assert any("was not so: CREATE MATERIALIZED VIEW public.empty" in fault for fault in faults)


def test_facts_alone_do_not_test_the_most_critical_class(shop: DatabaseSite) -> None:
    """It is said which file is missing."""
    (shop.folder / "config" / "expectations" / "crm.yaml").unlink(missing_ok=True)
    outcome, faults = verified(shop, "")
    assert faults == []
    assert outcome.details["level"] == "facts"
    assert outcome.sentence.startswith("NOT TESTED 3.4 ")
    assert "expectations/crm.yaml" in outcome.sentence


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (
            "expectation: expect_column_values_to_not_be_nul, column: a",
            "did you mean .*not_be_null",
        ),
        ("expectation: expect_column_values_to_not_be_null, colum: a", "column: field required"),
        ("expectation: expect_column_values_to_be_unique, column: a, mostly: 7", "mostly: "),
    ],
)
def test_a_slip_is_told_before_anything_is_restored(
    shop: DatabaseSite, monkeypatch: pytest.MonkeyPatch, entry: str, told: str
) -> None:
    """A restore takes hours; a word that is misspelt, none."""
    monkeypatch.setattr(PostgresScratch, "__init__", None)
    with pytest.raises(ConfigurationInvalid, match=told) as caught:
        verified(shop, f"expectations: [{{table: orders, {entry}}}]")
    assert "crm.yaml line 1" in str(caught.value)
