"""A materialized view that cannot be filled is no reason to lose a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.postgresql.bed import DatabaseSite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME, OTHER, SECRET = "views", "views_back", "a value of a row"


def test_a_view_that_cannot_be_filled_stays_empty(postgres: Postgres, tmp_path: Path) -> None:
    """With a note, which tells no value; the others are filled."""
    postgres.make_database(NAME)
    postgres.run(
        "CREATE TABLE t (v text)",
        "INSERT INTO t VALUES ('1')",
        "CREATE MATERIALIZED VIEW numbers AS SELECT v::int FROM t",
        "CREATE MATERIALIZED VIEW texts AS SELECT v FROM t",
        f"UPDATE t SET v = '{SECRET}'",
        database=NAME,
    )
    site = DatabaseSite(tmp_path, postgres.connection(NAME))
    site.connections["target"] = postgres.connection()
    try:
        outcome = site.restore_to(site.back_up(), "target", place=OTHER)
        [note] = outcome.details["noted"]
        assert 'left empty: REFRESH MATERIALIZED VIEW "public"."numbers";' in note
        assert "invalid input syntax" in note
        assert SECRET not in note
        filled = "SELECT relname, relispopulated FROM pg_class WHERE relkind = 'm' ORDER BY 1"
        assert postgres.run(filled, database=OTHER) == [("numbers", False), ("texts", True)]
    finally:
        for name in (NAME, OTHER):
            postgres.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    for path in site.vault.rglob("ledger/*"):
        assert SECRET.encode() not in path.read_bytes()
