"""Others change, lock and kill while a backup runs: it has everything, or it fails and says so."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from include.backup.errors import BackupError, DamageFound, SourceError
from include.backup.sources.postgresql import definitions, programs, ranges, snapshot
from include.backup.sources.postgresql.database import Database
from include.backup.sources.postgresql.definitions import Definitions
from include.backup.sources.postgresql.pump import Pump
from include.backup.sources.postgresql.reading import PostgresReading
from include.backup.sources.postgresql.snapshot import DatabaseSnapshot
from tests.integration.postgresql.bed import DatabaseSite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME = "locks"
BIG, SMALL = 30_000, 300


@pytest.fixture(scope="module")
def template(postgres: Postgres) -> str:
    """A database with a table that is read in ranges, a small one, and a large object."""
    name = postgres.make_database("locks_template")
    postgres.run(
        "CREATE TABLE big (id int, filler text)",
        f"INSERT INTO big SELECT i, repeat(md5(i::text), 5) FROM generate_series(1, {BIG}) i",
        "CREATE TABLE small (id serial)",
        f"INSERT INTO small SELECT FROM generate_series(1, {SMALL})",
        "SELECT lo_from_bytea(0, '\\x00')",
        database=name,
    )
    return name


@pytest.fixture
def site(postgres: Postgres, template: str, tmp_path: Path) -> DatabaseSite:
    """A copy of it, to be backed up."""
    postgres.make_database(NAME, options=f"TEMPLATE {template} STRATEGY file_copy")
    return DatabaseSite(tmp_path, postgres.connection(NAME))


@pytest.fixture
def others(postgres: Postgres) -> Iterator[Callable[[str], threading.Thread]]:
    """Runs a statement in a thread of another session; all have to end."""
    threads: list[threading.Thread] = []

    def begin(statement: str) -> threading.Thread:
        thread = threading.Thread(
            target=lambda: postgres.run(statement, database=NAME), daemon=True
        )
        thread.start()
        threads.append(thread)
        return thread

    yield begin
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "it still waits"


def before(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], Any]) -> None:
    """Do something before the first call of a function."""
    original, done = getattr(where, name), []

    def changed(*arguments: Any, **options: Any) -> Any:
        if not done:
            done.append(True)
            act()
        return original(*arguments, **options)

    monkeypatch.setattr(where, name, changed)


def after(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], Any]) -> None:
    """Do something after the first call of a function."""
    original, done = getattr(where, name), []

    def changed(*arguments: Any, **options: Any) -> Any:
        answer = original(*arguments, **options)
        if not done:
            done.append(True)
            act()
        return answer

    monkeypatch.setattr(where, name, changed)


def counts(site: DatabaseSite) -> dict[str, int]:
    """Back up; the rows of each table as the manifest has them."""
    manifest = site.about(site.back_up(), "manifest.json")
    relations = manifest["databases"][NAME]["relations"].values()
    return {one["name"]: one["count"] for one in relations if "count" in one}


def wait_for_waiting(postgres: Postgres) -> None:
    """Until some session waits for a lock."""
    deadline = time.monotonic() + 10
    while not postgres.run("SELECT 1 FROM pg_locks WHERE NOT granted"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("statements", "wanted"),
    [
        (["VACUUM FULL big"], {"big": BIG, "small": SMALL}),
        (["ALTER TABLE big ALTER id TYPE bigint"], {"big": BIG, "small": SMALL}),
        (["TRUNCATE big"], {"big": 0, "small": SMALL}),  # over before the consistency point
        (["TRUNCATE big", "INSERT INTO big VALUES (1)"], {"big": 1, "small": SMALL}),
        (["CREATE TABLE made AS SELECT 1"], {"big": BIG, "small": SMALL, "made": 1}),
        (["DROP TABLE small"], {"big": BIG}),
        (["ALTER TABLE small RENAME TO renamed"], {"big": BIG, "renamed": SMALL}),
        (["DROP TABLE small", "CREATE TABLE small AS SELECT 1"], {"big": BIG, "small": 1}),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_what_changes_between_listing_and_locking_is_seen(
    site: DatabaseSite,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    statements: list[str],
    wanted: dict[str, int],
) -> None:
    """The list is made anew until it is what was locked."""
    after(
        monkeypatch,
        snapshot,
        "relations",
        lambda: postgres.run(*statements, database=NAME),
    )
    assert counts(site) == wanted


def test_truncate_waits_for_the_rows_to_be_read(
    site: DatabaseSite,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    others: Callable[[str], threading.Thread],
) -> None:
    """After the lock, and before the snapshot, is where others' rows would be lost in silence."""

    def truncate() -> None:
        others("TRUNCATE big")
        wait_for_waiting(postgres)

    before(monkeypatch, DatabaseSnapshot, "_settled", truncate)
    monkeypatch.setattr(definitions, "_LOCK_SECONDS", 1)
    # pg_dump would wait behind it: all is let go of, and the second try comes after the TRUNCATE.
    assert counts(site) == {"big": 0, "small": SMALL}


def test_who_waits_for_a_table_does_not_stop_the_backup(
    site: DatabaseSite,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    others: Callable[[str], threading.Thread],
) -> None:
    """The session that has the lock reads the table itself; then the ALTER is done, and SELECTs."""
    selected = []

    def alter() -> None:
        others("ALTER TABLE big ADD later int DEFAULT 7")
        wait_for_waiting(postgres)
        selected.append(others("SELECT count(*) FROM big"))

    before(monkeypatch, PostgresReading, "list", alter)
    read_here = []
    original = DatabaseSnapshot.copied

    def copied(self: DatabaseSnapshot, query: str) -> Iterator[bytes]:
        read_here.append(query)
        return original(self, query)

    monkeypatch.setattr(DatabaseSnapshot, "copied", copied)
    assert counts(site) == {"big": BIG, "small": SMALL}
    assert sum('FROM ONLY "public"."big"' in query for query in read_here) > 1  # its ranges
    selected[0].join(10)
    assert not selected[0].is_alive()
    assert counts(site) == {"big": BIG, "small": SMALL}  # and the next one has the column
    restored = site.about(site.back_up(), "manifest.json")
    assert restored["databases"][NAME]["relations"]['"public"."big"']["columns"][-1] == "later"


def test_the_fallback_reads_the_same_bytes(
    site: DatabaseSite,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    others: Callable[[str], threading.Thread],
) -> None:
    """Range by range, and none of them twice."""
    wanted = site.about(site.back_up(), "manifest.json")
    postgres.run("UPDATE big SET id = id WHERE id = 10000", database=NAME)

    def alter() -> None:
        others("DO $$ BEGIN LOCK TABLE big; END $$")
        wait_for_waiting(postgres)

    before(monkeypatch, PostgresReading, "list", alter)
    outcome = site.back_up()
    big = site.about(outcome, "manifest.json")["databases"][NAME]["relations"]['"public"."big"']
    was = wanted["databases"][NAME]["relations"]['"public"."big"']
    assert (big["count"], big["bytes"]) == (was["count"], was["bytes"])
    assert 0 < outcome.details["bytes_read"] < big["bytes"]
    path = f"crm/{NAME}/data/public.big.copy"
    data = site.file(outcome, path)
    assert sorted(data.split(b"\n")) == sorted(site.file(site.back_up(), path).split(b"\n"))


def test_a_sequence_is_there_until_its_value_is_read(
    site: DatabaseSite,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    others: Callable[[str], threading.Thread],
) -> None:
    """That is at the end, and who drops it waits until then; one dropped before is not missed."""
    postgres.run("CREATE SEQUENCE early", "CREATE SEQUENCE late", database=NAME)

    def drop() -> None:
        others("DROP SEQUENCE late")
        wait_for_waiting(postgres)

    before(
        monkeypatch,
        DatabaseSnapshot,
        "_sequences_are_kept",
        lambda: postgres.run("DROP SEQUENCE early", database=NAME),
    )
    before(monkeypatch, PostgresReading, "list", drop)
    values = site.file(site.back_up(), f"crm/{NAME}/sequences.sql")
    assert b'"late"' in values
    assert b'"early"' not in values


def test_a_table_that_stays_locked_fails_the_backup(
    site: DatabaseSite, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time to wait, with what to look for."""
    monkeypatch.setitem(snapshot.SETTINGS, "lock_timeout", "200ms")
    with postgres.connect(NAME) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE small IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceError, match="could not be locked") as caught:
            site.back_up()
    assert "pg_stat_activity" in caught.value.hint
    assert site.place().state().points == ()


def terminate(postgres: Postgres) -> None:
    """End every session of Holdfast."""
    assert postgres.run(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
        "WHERE application_name = 'holdfast' AND datname = 'locks'"
    )


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (DatabaseSnapshot, "_settled"),
        (Definitions, "archive"),
        (PostgresReading, "list"),
        (PostgresReading, "open"),
        (Definitions, "_load_sql"),
        (Definitions, "_sequences_sql"),
        (Database, "state"),
        (Database, "describe"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lost_snapshot_fails_the_backup(
    site: DatabaseSite,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    name: str,
) -> None:
    """Whenever its session ends, there is no recovery point, and one clear error."""
    before(monkeypatch, where, name, lambda: terminate(postgres))
    with pytest.raises(SourceError) as caught:
        site.back_up()
    assert NAME in caught.value.message
    assert site.place().state().points == ()


def test_a_killed_psql_fails_the_backup(
    site: DatabaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came until then is no table."""
    original = Pump.readinto

    def readinto(self: Pump, target: memoryview) -> int:
        count = original(self, target)
        self._process.kill()
        return count

    monkeypatch.setattr(Pump, "readinto", readinto)
    with pytest.raises(SourceError, match=r"big.*psql ended with -9 in the middle"):
        site.back_up()
    assert site.place().state().points == ()


def test_a_server_that_hangs_fails_the_backup(
    site: DatabaseSite, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes, and the connection is not closed either."""
    for _ in range(3):  # more than pipes and sockets hold
        postgres.run("INSERT INTO big SELECT * FROM big", database=NAME)
    stopped: list[int] = []
    original = Pump.readinto

    def readinto(self: Pump, target: memoryview) -> int:
        count = original(self, target)
        deadline = time.monotonic() + 2
        while not stopped and time.monotonic() < deadline:
            # In a range of pages, or between two: most are still to come, for the pipes are full.
            found = postgres.run(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' "
                "AND query LIKE 'COPY%big%'"
            )
            stopped.extend(row[0] for row in found)
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
        return count

    monkeypatch.setattr(Pump, "readinto", readinto)
    monkeypatch.setattr(programs, "STALL_SECONDS", 0.5)
    try:
        with pytest.raises(SourceError, match=r"nothing came for 0\.5 s"):
            site.back_up()
        assert stopped
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert site.place().state().points == ()


def test_tables_that_never_settle_are_told(
    site: DatabaseSite, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each listing sees another table rewritten: the backup gives up instead of guessing."""
    original = DatabaseSnapshot._lock_all

    def lock_all(self: DatabaseSnapshot, known: list[Any]) -> bool:
        postgres.run("VACUUM FULL small", database=NAME)
        return original(self, known)

    monkeypatch.setattr(DatabaseSnapshot, "_lock_all", lock_all)
    with pytest.raises(BackupError, match="faster than they can be locked"):
        site.back_up()


def test_others_errors_are_not_swallowed(postgres: Postgres) -> None:
    """The bed itself: a session that was ended says so."""
    with postgres.connect() as session:
        pid = session.execute("SELECT pg_backend_pid()").fetchone()[0]
        postgres.run(f"SELECT pg_terminate_backend({pid}, 2000)")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def test_a_range_that_was_wrongly_taken_for_unchanged_is_found(
    site: DatabaseSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit reads it, and nothing builds on that generation any more: the next is a full."""
    first = site.back_up()
    original = ranges.decide

    def decide(*arguments: Any, **options: Any) -> list[ranges.Range]:
        decided = original(*arguments, **options)
        assert decided[0].audited
        return [decided[0]._replace(audited=(b"x" * 32,)), *decided[1:]]

    with monkeypatch.context() as patched:
        patched.setattr(ranges, "AUDITED", 1)  # all of them
        patched.setattr(ranges, "decide", decide)
        with pytest.raises(DamageFound, match="range 0 was taken for unchanged"):
            site.back_up()
    second = site.back_up()
    assert second.details["method"] == "full"
    assert second.details["generation"] != first.details["generation"]
