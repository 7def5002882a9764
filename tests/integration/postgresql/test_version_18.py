"""The same round trip on PostgreSQL 18, and from the release's own version to 18."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.errors import DestinationRefused, ToolMissing
from include.backup.policy.model import Method
from include.backup.sources.postgresql import tools
from include.backup.sources.postgresql.manifest import escaped
from tests.integration.postgresql import nasty
from tests.integration.postgresql.bed import DatabaseSite, others, streams
from tests.integration.postgresql.test_round_trip import assert_equal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.postgresql.conftest import BackedUp
    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture
def both(postgres_18: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client programs of both versions are on this machine."""
    found = tools._candidates
    monkeypatch.setattr(
        tools, "_candidates", lambda name: [*found(name), str(postgres_18.binaries / name)]
    )


def test_an_older_pg_dump_is_refused(postgres_18: Postgres, tmp_path: Path) -> None:
    """Only with the release's own client programs the server cannot be backed up."""
    site = DatabaseSite(tmp_path, postgres_18.connection())
    with pytest.raises(ToolMissing, match="the server is of version 18"):
        site.back_up()


@pytest.mark.usefixtures("both")
def test_everything_comes_back_on_18(postgres_18: Postgres, tmp_path: Path) -> None:
    """A full, an incremental of nothing new, and the nasty database beside itself."""
    nasty.make_everything(postgres_18)
    names = (nasty.NASTY, nasty.HOSTILE)
    site = DatabaseSite(tmp_path, postgres_18.connection(), names)
    site.back_up(Method.FULL)
    outcome = site.back_up()
    assert outcome.details["bytes_stored"] < 20 << 10
    site.connections["other"] = postgres_18.connection()
    site.restore_to(outcome, "other", place="again", path=escaped(nasty.NASTY))
    assert_equal(postgres_18, postgres_18, nasty.NASTY, "again")


@pytest.mark.usefixtures("both")
def test_an_upgrade_by_backup_and_restore(
    backed_up: BackedUp,
    postgres_18: Postgres,
) -> None:
    """Rows, sequences and large objects of an older server come back on a newer one."""
    site = backed_up.site
    site.connections["newer"] = postgres_18.connection()
    site.restore_to(backed_up.incremental, "newer", place="upgraded", path=nasty.HOSTILE)
    assert streams(postgres_18, "upgraded") == streams(backed_up.server, nasty.HOSTILE)
    assert others(postgres_18, "upgraded") == others(backed_up.server, nasty.HOSTILE)


@pytest.mark.usefixtures("both")
def test_there_is_no_way_back(
    postgres_18: Postgres,
    postgres: Postgres,
    tmp_path: Path,
) -> None:
    """From 18 to an older server: refused before anything is made."""
    postgres_18.make_database("new")
    site = DatabaseSite(tmp_path, postgres_18.connection("new"))
    site.connections["older"] = postgres.connection()
    with pytest.raises(DestinationRefused, match="from a server of version 18"):
        site.restore_to(site.back_up(), "older", place="never")
    assert not postgres.run("SELECT 1 FROM pg_database WHERE datname = 'never'")
