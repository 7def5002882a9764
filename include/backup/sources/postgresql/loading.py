"""Putting rows back: several tables at a time, each in one transaction, counted.

A table is emptied and filled in one transaction, so that its pages are written as frozen and
nobody has to vacuum them (COPY FREEZE). The server's count must be that of the recovery point.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import RestoreRefused
from include.backup.sources.postgresql.catalog import copy_target, qualified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

_DATA_EXCEPTION: Final = "22"  # whose messages are about values


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

    def load(self, tables: Sequence[Table]) -> None:
        """Load them all, the largest first.

        Raises:
            RestoreRefused: the server did not take a table; names it.
            DamageFound, StorageError.
        """
        ordered = sorted(tables, key=lambda table: table.size_bytes, reverse=True)
        try:
            with ThreadPoolExecutor(self._jobs, thread_name_prefix="load") as pool:
                futures = [pool.submit(self._load, table) for table in ordered]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    self._stop.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        finally:
            for session in self._opened:
                session.close()

    def _load(self, table: Table) -> None:
        session = self._session()
        try:
            with session.transaction():
                options = [f"ENCODING '{self._encoding}'"]
                if not table.shared:
                    session.execute(f"TRUNCATE ONLY {table.sql}")
                    options.append("FREEZE")
                cursor = session.cursor()
                with cursor.copy(f"COPY {table.target} FROM STDIN ({', '.join(options)})") as copy:
                    for piece in self._files.stream(table.path):
                        if self._stop.is_set():
                            raise RestoreRefused("another table failed")
                        copy.write(piece)
                        self._progress(len(piece))
        except psycopg.Error as error:
            raise RestoreRefused(f"{self._address.shown} {table.label}: {_told(error)}") from None
        if cursor.rowcount != table.rows:
            raise RestoreRefused(
                f"{table.label} has {cursor.rowcount} rows now, and had {table.rows}"
            )

    def _session(self) -> psycopg.Connection[Any]:
        session: psycopg.Connection[Any] | None = getattr(self._sessions, "session", None)
        if session is None:
            session = self._address.connect()
            for statement in _SETTINGS:
                session.execute(statement)
            self._sessions.session = session
            self._opened.append(session)
        return session


def _told(error: psycopg.Error) -> str:
    """What the server said, without what it quotes from the rows."""
    said, state = error.diag, error.sqlstate or ""
    if said.message_primary is None:  # the connection broke
        return " ".join(str(error).split())
    if state.startswith(_DATA_EXCEPTION):
        line = re.search(r"\bline (\d+)\b", said.context or "")
        where = f" at line {line[1]}" if line else ""
        return f"it does not take the rows: {type(error).__name__} ({state}){where}"
    return f"{said.message_primary} ({state})"
