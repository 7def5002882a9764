"""A restore waits for as long as the server makes an index: of a large table that takes hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.sources.postgresql import programs
from tests.integration.postgresql.bed import DatabaseSite
from tests.integration.postgresql.given import OTHER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME = "slow"
PATIENCE_SECONDS = 0.5


def test_an_index_takes_longer_than_a_server_may_say_nothing(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is deadly for rows that do not come is usual for pg_restore."""
    postgres.make_database(NAME)
    postgres.run(
        """CREATE FUNCTION slowly(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql
           AS 'BEGIN PERFORM pg_sleep(0.5); RETURN i; END'""",
        "CREATE TABLE t AS SELECT i FROM generate_series(1, 3) i",
        "CREATE INDEX made_slowly ON t (slowly(i))",
        database=NAME,
    )
    site = DatabaseSite(tmp_path, postgres.connection(NAME))
    site.connections["target"] = postgres.connection()
    outcome = site.back_up()
    monkeypatch.setattr(programs, "STALL_SECONDS", PATIENCE_SECONDS)
    site.restore_to(outcome, "target", place=OTHER)
    found = postgres.run("SELECT indexname FROM pg_indexes WHERE tablename = 't'", database=OTHER)
    assert found == [("made_slowly",)]
    postgres.run(f'DROP DATABASE "{OTHER}" WITH (FORCE)', f'DROP DATABASE "{NAME}" WITH (FORCE)')
