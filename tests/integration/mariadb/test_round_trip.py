"""A database comes back as it was: definitions, rows, and what watches them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.mariadb import nasty

if TYPE_CHECKING:
    from tests.integration.mariadb.site import MariadbSite
    from tests.servers.mariadb import Mariadb


def test_a_nasty_database_comes_back(site: MariadbSite, mariadb: Mariadb, database: str) -> None:
    """Dumps of both databases by the stock tool are the same, and so are their FLOATs."""
    nasty.fill(mariadb, database)
    before = mariadb.dump(database, "--dump-history")
    outcome = site.back_up()
    assert mariadb.dump(database, "--dump-history") == before
    done = site.put_back(outcome, f"{database}_back")
    assert mariadb.dump(f"{database}_back", "--dump-history") == before
    exact = "SELECT id, CAST(f AS DOUBLE), CAST(f2 AS DOUBLE), d FROM numbers ORDER BY id"
    rows = mariadb.run(exact, database=database)
    assert mariadb.run(exact, database=f"{database}_back") == rows
    assert rows[0][1] == 16777216  # which `mariadb-dump` writes as 16777200
    [note] = [note.what for note in done.notes]
    assert "gone@nowhere" in note
    assert "procedure orphaned" in note
