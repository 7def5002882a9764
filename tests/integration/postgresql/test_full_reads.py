"""What cannot be known to be unchanged is read, and the recovery point says why."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from include.backup.sources.postgresql.snapshot import DatabaseSnapshot, Token
from tests.integration.postgresql.bed import DatabaseSite, streams
from tests.servers.postgresql import make_server, make_standby

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME, AGAIN = "changing", "changing again"
ROWS = 30_000
AGAIN_FULL = f"INSERT INTO t SELECT i, repeat('x', 320) FROM generate_series(1, {ROWS}) i"


def fill(server: Postgres) -> None:
    """A table of some ten ranges of pages, in a new database."""
    server.make_database(NAME)
    server.run(
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE TABLE t (id int PRIMARY KEY, filler text, m mood DEFAULT 'good')",
        f"INSERT INTO t SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, {ROWS}) i",
        "VACUUM t",
        database=NAME,
    )


def noted(outcome: Outcome) -> list[str]:
    """Why something was read in full."""
    return [one for one in outcome.details["noted"] if "read in full" in one]


def comes_back(site: DatabaseSite, server: Postgres, outcome: Outcome) -> bool:
    """Whether a recovery point has the rows that the server has now."""
    site.connections["target"] = server.connection()
    site.restore_to(outcome, "target", place=AGAIN)
    try:
        return streams(server, AGAIN) == streams(server, NAME)
    finally:
        server.run(f'DROP DATABASE "{AGAIN}"')


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Iterator[DatabaseSite]:
    """The database in a vault, with a full and an incremental that took its ranges over."""
    fill(postgres)
    made = DatabaseSite(tmp_path, postgres.connection(NAME))
    full = made.back_up()
    outcome = made.back_up()
    assert not noted(outcome)
    assert outcome.details["bytes_read"] < full.details["bytes_read"] / 3
    yield made
    postgres.run(f"DROP DATABASE {NAME}")


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["TRUNCATE t"], ""),  # empty: there is nothing to read
        (["TRUNCATE t", AGAIN_FULL], "it was rewritten or emptied"),
        (["VACUUM FULL t"], "it was rewritten or emptied"),
        (["CLUSTER t USING t_pkey"], "it was rewritten or emptied"),
        (["ALTER TABLE t ALTER id TYPE bigint"], "it was rewritten or emptied"),
        (["ALTER TABLE t ADD added int DEFAULT 7"], "its columns changed"),  # rewrites no row
        (["ALTER TABLE t DROP m"], "its columns changed"),
        (["ALTER TABLE t RENAME filler TO other"], "its columns changed"),
        (["ALTER TYPE mood RENAME VALUE 'good' TO 'better'"], "a type, a collation or an"),
    ],
    ids=lambda value: value[-1][:40] if isinstance(value, list) else "",
)  # fmt: skip
def test_what_was_made_anew_is_read(
    site: DatabaseSite, postgres: Postgres, statements: Sequence[str], why: str
) -> None:
    """Some of it leaves the rows where they are, with the transactions that they are from."""
    postgres.run(*statements, database=NAME)
    outcome = site.back_up()
    told = noted(outcome)
    assert any(why in one for one in told) if why else not told
    assert comes_back(site, postgres, outcome)


def roll_back(server: Postgres, copy: Path) -> None:
    """Give a server that is stopped the disk that it had."""
    shutil.rmtree(server.data)
    subprocess.run(["cp", "-a", copy, server.data], check=True)
    server.start()
    for _ in range(200):  # so that transaction ids are as far as they were
        server.run("SELECT txid_current()", database=NAME)


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_disk_that_was_rolled_back(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_noticed: bool
) -> None:
    """Only the start of the server's process tells; without it a backup is wrong in silence."""
    server = make_server(postgres.binaries, fsync="off")
    try:
        fill(server)
        server.stop()
        subprocess.run(["cp", "-a", server.data, tmp_path / "copy"], check=True)
        server.start()
        if not is_noticed:
            token = DatabaseSnapshot._token

            def forgetful(self: DatabaseSnapshot) -> Token | None:
                found = token(self)
                return None if found is None else replace(found, started_at="never")

            monkeypatch.setattr(DatabaseSnapshot, "_token", forgetful)
        site = DatabaseSite(tmp_path, server.connection(NAME))
        server.run("UPDATE t SET filler = 'lost' WHERE id = 7", database=NAME)
        assert comes_back(site, server, site.back_up())
        server.stop()
        roll_back(server, tmp_path / "copy")
        outcome = site.back_up()
        assert any("restarted" in one for one in noted(outcome)) is is_noticed
        assert comes_back(site, server, outcome) is is_noticed
    finally:
        server.remove()


def test_a_failover(postgres: Postgres, tmp_path: Path) -> None:
    """A standby becomes the primary: what it had not replayed is not there."""
    primary = make_server(postgres.binaries, fsync="off")
    standby = None
    try:
        fill(primary)
        standby = make_standby(primary)
        site = DatabaseSite(tmp_path, primary.connection(NAME))
        site.back_up()
        primary.stop()
        standby.run("SELECT pg_promote()")
        standby.run("UPDATE t SET filler = 'after' WHERE id = 7", database=NAME)
        site.connections["erp_source"] = standby.connection(NAME)
        outcome = site.back_up()
        [told] = noted(outcome)
        assert "timeline" in told or "restarted" in told
        assert comes_back(site, standby, outcome)
    finally:
        primary.remove()
        if standby is not None:
            standby.remove()
