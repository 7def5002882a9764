"""Putting rows back: several tables at a time, each in one transaction, counted.

A table is emptied and filled in one transaction, so that its pages are written as frozen and
nobody has to vacuum them (COPY FREEZE). The server's count must be that of the recovery point.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import RestoreRefused
from include.backup.sources.postgresql.catalog import copy_target, qualified, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.backup.sources.base import StoredFiles
    from include.backup.sources.postgresql.address import Address

_SETTINGS: Final = (
    "SET synchronous_commit = off",
    "SET statement_timeout = 0",
    "SET row_security = off",
    "SET lock_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    "SET search_path = ''",
    "SET datestyle = 'ISO'",
    "SET intervalstyle = 'postgres'",
    "SET xmloption = 'content'",
    "SET lc_monetary = 'C'",
    "SET array_nulls = on",
)

# Classes of errors whose messages may hold values: of data, of constraints, of PL/pgSQL.
_ABOUT_VALUES: Final = frozenset({"22", "23", "P0"})
_TRIGGERS: Final = """
SELECT t.tgname::text, t.tgenabled::text
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal AND n.nspname = %s AND c.relname = %s
"""
_ENABLED: Final = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
_REFERENCED: Final = (
    "other tables refer to it: restore them together into another database, and move the rows; "
    "or drop the foreign keys first"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table whose rows are put back."""

    schema: str
    name: str
    columns: tuple[str, ...]
    indexes: tuple[str, ...]
    sequences: tuple[str, ...]
    path: bytes  # of its file in the dataset
    rows: int
    size_bytes: int
    shared: bool = False  # with rows that its extension has made, and that stay

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """In SQL."""
        return qualified(self.schema, self.name)

    @property
    def target(self) -> str:
        """As COPY FROM wants it."""
        return copy_target(self.sql, self.columns)


class Loading:
    """Loads tables through some sessions.

    Args:
        encoding: of the files.
        progress: told how many bytes were sent.
    """

    def __init__(
        self,
        address: Address,
        files: StoredFiles,
        *,
        encoding: str,
        jobs: int,
        progress: Callable[[int], None],
    ) -> None:
        self._address = address
        self._files = files
        self._encoding = encoding
        self._jobs = jobs
        self._progress = progress
        self._stop = threading.Event()
        self._sessions = threading.local()
        self._opened: list[psycopg.Connection[Any]] = []

    def load(self, tables: Sequence[Table], *, beside: Callable[[], None]) -> None:
        """Load them all, the largest first.

        Args:
            beside: more work, which takes the turn of one table; it asks `go_on` now and then.

        Raises:
            RestoreRefused: the server did not take a table; names it.
            DamageFound, StorageError.
        """
        ordered = sorted(tables, key=lambda table: table.size_bytes, reverse=True)
        try:
            with ThreadPoolExecutor(self._jobs, thread_name_prefix="load") as pool:
                futures = [pool.submit(beside)]
                futures += [pool.submit(self._load, table) for table in ordered]
                try:
                    for future in as_completed(futures):
                        future.result()
                except BaseException:
                    self._stop.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        finally:
            for session in self._opened:
                session.close()

    def go_on(self) -> None:
        """Do nothing while all goes well.

        Raises:
            RestoreRefused: something else failed.
        """
        if self._stop.is_set():
            raise RestoreRefused("something else failed")

    def _load(self, table: Table) -> None:
        session = self._session()
        try:
            with session.transaction(), _silent_triggers(session, table):
                rows = self._copy(session, table)
                if rows != table.rows:  # what was there before is there again
                    raise RestoreRefused(f"{table.label} has {rows} rows, and had {table.rows}")
        except psycopg.Error as error:
            hint = _REFERENCED if isinstance(error, psycopg.errors.FeatureNotSupported) else ""
            raise RestoreRefused(
                f"{self._address.shown} {table.label}: {told(error)}", hint=hint
            ) from None

    def _copy(self, session: psycopg.Connection[Any], table: Table) -> int:
        """Empty a table and fill it; return how many rows it has got."""
        options = [f"ENCODING '{self._encoding}'"]
        if not table.shared:
            session.execute(f"TRUNCATE ONLY {table.sql}")
            options.append("FREEZE")
        cursor = session.cursor()
        with cursor.copy(f"COPY {table.target} FROM STDIN ({', '.join(options)})") as copy:
            for piece in self._files.stream(table.path):
                self.go_on()
                copy.write(piece)
                self._progress(len(piece))
        return cursor.rowcount

    def _session(self) -> psycopg.Connection[Any]:
        session: psycopg.Connection[Any] | None = getattr(self._sessions, "session", None)
        if session is None:
            session = self._address.connect()
            for statement in _SETTINGS:
                session.execute(statement)
            self._sessions.session = session
            self._opened.append(session)
        return session


@contextmanager
def _silent_triggers(session: psycopg.Connection[Any], table: Table) -> Iterator[None]:
    """Let no trigger of a table that is there already change what comes back.

    What checks foreign keys stays: rows that no longer fit are an error.
    """
    triggers = session.execute(_TRIGGERS, [table.schema, table.name]).fetchall()
    if triggers:
        session.execute(f"ALTER TABLE ONLY {table.sql} DISABLE TRIGGER USER")
    yield
    if triggers:
        session.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what waits for the end forbids ALTER
    for name, enabled in triggers:
        session.execute(f"ALTER TABLE ONLY {table.sql} {_ENABLED[enabled]} TRIGGER {quote(name)}")


def told(error: psycopg.Error) -> str:
    """What the server said, without what it quotes from the rows."""
    said, state = error.diag, error.sqlstate or ""
    if said.message_primary is None:  # the connection broke
        return " ".join(str(error).split())
    if state[:2] in _ABOUT_VALUES:
        line = re.search(r"\bline (\d+)\b", said.context or "")
        where = f" at line {line[1]}" if line else ""
        about = f" of {said.constraint_name}" if said.constraint_name else ""
        return f"it does not take the rows: {type(error).__name__} ({state}){about}{where}"
    return f"{said.message_primary} ({state})"
