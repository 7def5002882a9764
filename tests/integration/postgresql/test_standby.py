"""A hot standby is backed up instead of the primary; a conflict with its recovery is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import SourceError
from include.backup.sources.postgresql.pump import Pump
from tests.integration.postgresql.bed import DatabaseSite, definitions, streams
from tests.servers.postgresql import make_server, make_standby

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME = "replicated"


@pytest.fixture(scope="module")
def pair(postgres: Postgres) -> Iterator[tuple[Postgres, Postgres]]:
    """A primary with a database, and its standby."""
    primary = make_server(postgres.binaries)
    primary.make_database(NAME)
    primary.run(
        "CREATE TABLE t (id int PRIMARY KEY, filler text)",
        "INSERT INTO t SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 100000) i",
        "CREATE UNLOGGED TABLE u (id int GENERATED ALWAYS AS IDENTITY)",
        "INSERT INTO u SELECT FROM generate_series(1, 10)",
        "SELECT lo_from_bytea(77, 'large')",
        database=NAME,
    )
    standby = make_standby(primary, max_standby_streaming_delay="100ms")
    wait_for(primary, standby)
    yield primary, standby
    standby.remove()
    primary.remove()


def wait_for(primary: Postgres, standby: Postgres) -> None:
    """Until the standby has replayed what the primary has written."""
    position = primary.run("SELECT pg_current_wal_flush_lsn()::text")[0][0]
    deadline = time.monotonic() + 20
    while not standby.run(f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn")[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_standby_is_backed_up_and_restored(
    pair: tuple[Postgres, Postgres], tmp_path: Path
) -> None:
    """What it has no rows of is said; the rest comes back, and incrementals reuse ranges."""
    primary, standby = pair
    site = DatabaseSite(tmp_path, standby.connection(NAME))
    site.back_up()
    primary.run("UPDATE t SET filler = 'new' WHERE id = 7", database=NAME)
    wait_for(primary, standby)
    outcome = site.back_up()
    described = site.about(outcome, "manifest.json")["databases"][NAME]
    assert described["standby"] is True
    assert described["relations"]['"public"."u"']["rows"] == "left out: it is unlogged"
    assert described["relations"]['"public"."u_id_seq"']["rows"] == "left out: it is unlogged"
    table = described["relations"]['"public"."t"']
    assert outcome.details["bytes_read"] < table["bytes"] / 2
    site.connections["other"] = primary.connection()
    site.restore_to(outcome, "other", place="again")
    assert definitions(primary, NAME) == definitions(primary, "again")
    wanted, found = streams(primary, NAME), streams(primary, "again")
    assert found['"public"."t"'] == wanted['"public"."t"']
    assert found['"public"."u"'][0] == 0


def test_a_conflict_with_recovery_fails_the_backup(
    pair: tuple[Postgres, Postgres], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The primary removes rows that the snapshot needs, and the standby may not wait for us."""
    primary, standby = pair
    site = DatabaseSite(tmp_path, standby.connection(NAME))
    original, done = Pump.readinto, []

    def readinto(self: Pump, target: memoryview) -> int:
        if not done:
            done.append(True)
            primary.run("DELETE FROM t WHERE id % 3 = 0", "VACUUM t", database=NAME)
            wait_for(primary, standby)
        return original(self, target)

    monkeypatch.setattr(Pump, "readinto", readinto)
    with pytest.raises(SourceError) as caught:
        site.back_up()
    assert "conflict with recovery" in str(caught.value)
    assert "hot_standby_feedback" in caught.value.hint
    assert site.place().state().points == ()
    site.back_up()  # again, and it succeeds
