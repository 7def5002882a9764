"""One snapshot of one database, held from before its tables are listed until all is read.

    list the tables → BEGIN → LOCK them → export the snapshot → list again → compare

Locks come first. A TRUNCATE, or an ALTER that rewrites a table, between snapshot and lock would
show an empty table to a snapshot that is older than it, and no error (mvcc-caveats). LOCK takes no
snapshot itself, so what was committed until the last lock is held is in the snapshot. Whatever was
made or rewritten meanwhile shows in the second list, and all begins anew.

Source: https://www.postgresql.org/docs/current/mvcc-caveats.html, and explicit-locking.html
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import SourceError
from include.backup.sources.postgresql.address import refused
from include.backup.sources.postgresql.catalog import relations, types_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.catalog import Relation

log = logging.getLogger(__name__)

_MOST_TRIES: Final = 5
_LOCKED_AT_ONCE: Final = 200  # tables in one LOCK
LOCK_SECONDS: Final = 30
_FLUSH_SECONDS: Final = 5
# What makes COPY write the same bytes on every server and whatever the role's settings are: in the
# order of the pages, which neither several workers keep nor a scan that begins in the middle.
SETTINGS: Final = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "row_security": "off",
    "search_path": "",
    "synchronize_seqscans": "off",
    "max_parallel_workers_per_gather": "0",
    "enable_seqscan": "on",
    "enable_tidscan": "on",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
}
BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_TRANSACTION_TIMEOUT_SINCE: Final = 170_000
_DEADLOCK, _LOCK_TIMEOUT = "40P01", "55P03"
_VANISHED: Final = frozenset({"42P01", "3F000", "XX000"})  # between listing and locking


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What must be the same for rows of an earlier snapshot to be known as unchanged."""

    system_identifier: str
    timeline: int
    started_at: str  # the server process; a rolled back disk shows nowhere else
    database_oid: int


class DatabaseSnapshot:
    """The coordinating session of one database, with its locks and its exported snapshot."""

    def __init__(self, address: Address, *, elapsed: timedelta) -> None:
        """Open the session, lock, and export the snapshot.

        Args:
            elapsed: how long ago the pass over the dataset began.

        Raises:
            SourceError: the server refuses, or its tables change too fast.
        """
        self.address = address
        begun = time.monotonic()
        self.session = address.connect()
        self._lock = threading.Lock()
        try:
            self._begin()
        except psycopg.Error as error:
            self.session.close()
            if error.sqlstate in {_LOCK_TIMEOUT, _DEADLOCK}:
                raise self._not_to_be_locked() from None
            raise refused(error, address) from None
        except BaseException:
            self.session.close()
            raise
        self.taken_after = elapsed + timedelta(seconds=self._exported - begun)

    def _begin(self) -> None:
        # What the database or the role has set must not reach the listing either.
        for name, value in _named(self.session.info.server_version).items():
            self.session.execute(f"SET {name} = '{value}'")
        about = self.session.execute(_ABOUT).fetchone()
        assert about is not None
        self.version, self.encoding, self.in_recovery, self.user, self.superuser = about
        self.token = self._token()
        for _ in range(_MOST_TRIES):
            if self._lock_all(relations(self.session)) and self._settled():
                return
            self.session.execute("ROLLBACK")
        raise SourceError(
            f"{self.address.shown}: tables are made or rewritten faster than they can be locked",
            hint="back up at another time, or pause what changes the schema",
        )

    def _token(self) -> Token | None:
        """None where the server does not tell, and nothing can be known as unchanged."""
        try:
            row = self.session.execute(_IDENTITY).fetchone()
        except psycopg.Error as error:
            log.info("%s: no incremental reads: %s", self.address.shown, str(error).split("\n")[0])
            return None
        assert row is not None
        return Token(
            system_identifier=str(row[0]), timeline=row[1], started_at=str(row[2]),
            database_oid=row[3],
        )  # fmt: skip

    def _lock_all(self, known: list[Relation]) -> bool:
        """Begin the transaction and lock; False if a table vanished meanwhile."""
        run = self.session.execute
        run(_as_one((BEGIN, *settings_of(self.version))))
        tables = [one for one in known if one.has_storage and one.readable]
        self._locked = {(one.oid, one.filenode) for one in tables}
        try:
            for start in range(0, len(tables), _LOCKED_AT_ONCE):
                some = ", ".join(f"ONLY {one.sql}" for one in tables[start:][:_LOCKED_AT_ONCE])
                run(f"LOCK TABLE {some} IN ACCESS SHARE MODE")
        except psycopg.Error as error:
            if error.sqlstate in _VANISHED:
                return False
            raise
        self._exported = time.monotonic()
        return True

    def _not_to_be_locked(self) -> SourceError:
        return SourceError(
            f"{self.address.shown}: a table could not be locked within {LOCK_SECONDS} s: "
            "another session is changing its definition",
            hint="select pid, query from pg_stat_activity where state <> 'idle'",
        )

    def _settled(self) -> bool:
        """Export the snapshot; say whether all that it shows was locked before."""
        row = self.session.execute(_SNAPSHOT).fetchone()
        assert row is not None
        self.id, self.xmin, self.xmax = str(row[0]), int(row[1]), int(row[2])
        self.relations = relations(self.session)
        shown = {
            (one.oid, one.filenode) for one in self.relations if one.has_storage and one.readable
        }
        if not shown <= self._locked or not self._sequences_are_kept():
            return False
        self.types = types_fingerprint(self.session)
        self.insert_lsn = self._lsn("pg_current_wal_insert_lsn()")
        return True

    def _sequences_are_kept(self) -> bool:
        """Lock sequences, as whoever reads one does: their values are asked for at the very end.

        Returns:
            False if one was dropped meanwhile.
        """
        named = [
            f"SELECT 1 FROM {one.sql}"
            for one in self.relations
            if one.kind == "S"
            and one.readable
            and not (self.in_recovery and one.persistence == "u")
        ]
        try:
            for start in range(0, len(named), _LOCKED_AT_ONCE):
                some = " UNION ALL ".join(named[start:][:_LOCKED_AT_ONCE])
                self.session.execute(f"{some} LIMIT 0")
        except psycopg.Error as error:
            if error.sqlstate in _VANISHED:
                return False
            raise
        return True

    def _lsn(self, function: str) -> int:
        """A position in the log, in bytes; 0 on a standby, which replays only what is durable."""
        if self.in_recovery:
            return 0
        [(position,)] = self.run(f"SELECT {function} - '0/0'::pg_lsn")
        return int(position)

    def is_durable(self) -> bool:
        """Whether everything that the snapshot shows survives a crash of the server.

        An idle server leaves the last part of a page of its log unwritten for long. A transaction
        that takes an id and commits makes its writer look, which comes round several times a
        second.
        """
        deadline = time.monotonic() + _FLUSH_SECONDS
        asked = False
        while not self._is_flushed():
            if time.monotonic() > deadline:
                return False
            if not asked:
                asked = True
                with suppress(SourceError, psycopg.Error), self.address.connect() as session:
                    session.execute("SELECT pg_catalog.txid_current()")
            time.sleep(_FLUSH_SECONDS / 100)
        return True

    def _is_flushed(self) -> bool:
        return self._lsn("pg_current_wal_flush_lsn()") >= self.insert_lsn

    def run(self, statement: str) -> list[Any]:
        """Run a statement inside the snapshot; return its rows.

        Raises:
            SourceError.
        """
        try:
            with self._lock:
                cursor = self.session.execute(statement)
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise refused(error, self.address) from None

    def joining(self, relation: Relation) -> tuple[str, ...]:
        """What another session says after BEGIN, to read one table as the snapshot shows it."""
        return (
            f"SET TRANSACTION SNAPSHOT '{self.id}'",
            *settings_of(self.version),
            f"LOCK TABLE ONLY {relation.sql} IN ACCESS SHARE MODE NOWAIT",
        )

    def run_beside(self, relation: Relation, statement: str) -> list[Any]:
        """Run a statement about one table in a session of its own: several at a time.

        Where the lock is not to be had at once, somebody waits for the table, and only the
        coordinating session may read it.

        Raises:
            SourceError.
        """
        try:
            with self.address.connect() as session:
                session.execute(_as_one((BEGIN, *self.joining(relation))))
                return session.execute(statement).fetchall()
        except psycopg.Error as error:
            if error.sqlstate == _LOCK_TIMEOUT:
                return self.run(statement)
            raise refused(error, self.address) from None

    def copy(self, query: str) -> str:
        """The statement that reads rows: as the server has them, of which none is unknown to it.

        Not every byte that a server keeps as WIN1252, say, is a character of Unicode.
        """
        return f"COPY ({query}) TO STDOUT (ENCODING '{self.encoding}')"

    def copied(self, query: str) -> Iterator[bytes]:
        """The pieces that `copy` writes, read in this very session.

        Nothing else can be asked of it until the iterator is closed.

        Raises:
            SourceError.
        """
        try:
            with self._lock, self.session.cursor().copy(self.copy(query)) as stream:
                for piece in stream:
                    yield bytes(piece)
        except psycopg.Error as error:
            raise refused(error, self.address) from None

    def is_waited_for(self) -> bool:
        """Whether another session waits for what this one has locked."""
        return bool(self.run(_WAITING))

    def close(self) -> None:
        """Let go of the snapshot and the locks."""
        self.session.close()


def _as_one(statements: Iterable[str]) -> str:
    """Statements as one message: between two, the server may end who is idle in a transaction."""
    return "; ".join(statements)


def settings_of(version: int) -> list[str]:
    """The statements that a session needs which reads rows."""
    return [f"SET LOCAL {name} = '{value}'" for name, value in _named(version).items()]


def _named(version: int) -> dict[str, str]:
    if version < _TRANSACTION_TIMEOUT_SINCE:
        return SETTINGS
    return SETTINGS | {"transaction_timeout": "0"}


_ABOUT: Final = """
SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
       pg_catalog.pg_is_in_recovery(), current_user::text,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
"""
_IDENTITY: Final = """
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),
       (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
       extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text,
       (SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = current_database())
"""
_WAITING: Final = """
SELECT 1 FROM pg_catalog.pg_locks
 WHERE NOT granted AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(pid))
"""
_SNAPSHOT: Final = """
SELECT pg_catalog.pg_export_snapshot(),
       pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8
"""
