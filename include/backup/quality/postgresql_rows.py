"""The rows of restored tables, as COPY writes them.

small tables    in one session for each thread: there may be thousands of them
the others      by psql, which hands rows on three times as fast; it takes 20 ms to begin
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import psycopg

from include.backup.sources.pipes import count_lines, writing_much
from include.backup.sources.postgresql import memory_file
from include.backup.sources.postgresql.address import refused
from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.programs import Program
from include.backup.sources.postgresql.snapshot import settings_of
from include.backup.sources.postgresql.tools import find_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.loading import Table

_ARGUMENTS: Final = ("-XAtq", "--no-password", "-v", "ON_ERROR_STOP=1", "-f")
_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SMALL_BYTES: Final = 1 << 19  # larger ones would keep the interpreter busy for longer


class Rows(Protocol):
    """Rows that are counted as they come."""

    rows: int

    def readinto(self, target: memoryview) -> int:
        """Fill the beginning of a buffer; 0 at the end.

        Raises:
            RestoreRefused: the server does not give them.
        """


class RowReader:
    """Reads tables of one database, several threads at a time.

    Args:
        version: the major one of the server.
        encoding: of the rows.
    """

    def __init__(self, address: Address, *, version: int, encoding: str) -> None:
        self._address = address
        self._version = version
        self._encoding = encoding
        self._psql = find_tool("psql", at_least=min(version, 10))
        self._own = threading.local()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @contextmanager
    def rows(self, table: Table) -> Iterator[Rows]:
        """The rows of a table; what was not read when the block ends is given up.

        Raises:
            RestoreRefused: the server does not give them.
        """
        if table.size_bytes > _SMALL_BYTES:
            with self._program(table) as rows:
                yield rows
            return
        try:
            with self._session().cursor().copy(self._copy(table)) as stream:
                yield _HandedRows(stream)
        except psycopg.Error as error:
            raise refused(error, self._address) from None

    def _session(self) -> psycopg.Connection[Any]:
        """The session of this thread."""
        session: psycopg.Connection[Any] | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = self._open.enter_context(self._address.connect())
            for statement in self._beginning():
                session.execute(statement)
        return session

    @contextmanager
    def _program(self, table: Table) -> Iterator[Rows]:
        statements = [*self._beginning(), self._copy(table), "COMMIT"]
        script = [f"{statement};\n".encode() for statement in statements]
        with memory_file.made(script) as file:
            program = _WrittenRows(
                writing_much([self._psql, *_ARGUMENTS, memory_file.path_of(file)]),
                what=f"{self._address.shown} {table.label}",
                environment=self._address.environment() | {"PGCLIENTENCODING": "UTF8"},
                open_files=[file],
                error=self._address.error,
            )
            with program:
                yield program

    def _beginning(self) -> list[str]:
        return [_BEGIN, *settings_of(self._version * 10_000)]

    def _copy(self, table: Table) -> str:
        columns = ", ".join(map(quote, table.columns))
        of = f"{table.sql} ({columns})" if columns else table.sql
        return f"COPY {of} TO STDOUT (ENCODING '{self._encoding}')"


class _WrittenRows(Program):
    """Those that psql writes."""

    rows = 0

    def readinto(self, target: memoryview) -> int:
        """See Rows.readinto."""
        count = super().readinto(target)
        self.rows += count_lines(target[:count])
        return count


class _HandedRows:
    """Those of a session, which come one by one."""

    def __init__(self, stream: psycopg.Copy) -> None:
        self.rows = 0
        self._stream = stream
        self._left = memoryview(b"")

    def readinto(self, target: memoryview) -> int:
        """See Rows.readinto."""
        if not self._left:
            pieces, size = [], 0
            while size < len(target) and (piece := self._stream.read()):
                pieces.append(piece)
                size += len(piece)
            self.rows += len(pieces)
            self._left = memoryview(b"".join(pieces))
        count = min(len(self._left), len(target))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
