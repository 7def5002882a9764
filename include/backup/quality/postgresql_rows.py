"""The rows of restored tables, as COPY writes them.

psql hands rows on three times as fast as a Python driver, and takes 30 ms to begin: so one of them
reads many small tables, or one large one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.pump import Pump
from include.backup.sources.postgresql.snapshot import settings_of
from include.backup.sources.postgresql.tools import find_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.loading import Table

_TOGETHER_BYTES: Final = 16 << 20
_TOGETHER: Final = 200
_CHUNK: Final = 1 << 20


class Rows:
    """The rows of one table; counted as they come."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._ended = False
        pump.rows = 0

    @property
    def rows(self) -> int:
        """How many have come."""
        return self._pump.rows

    def readinto(self, target: memoryview) -> int:
        """Fill the beginning of a buffer; 0 at the end.

        Raises:
            RestoreRefused: the server does not give them.
        """
        count = 0 if self._ended else self._pump.readinto(target)
        self._ended = not count
        return count

    def drain(self) -> None:
        """Read all that is left, to count it.

        Raises:
            as `readinto`.
        """
        buffer = memoryview(bytearray(0 if self._ended else _CHUNK))
        while self.readinto(buffer):
            pass


class RowReader:
    """Reads tables of one database.

    Args:
        version: the major one of the server.
        encoding: of the rows.
    """

    def __init__(self, address: Address, *, version: int, encoding: str) -> None:
        self._address = address
        self._version = version
        self._encoding = encoding
        self._psql = find_tool("psql", at_least=min(version, 10))

    @contextmanager
    def read(self, tables: Sequence[Table]) -> Iterator[Iterator[Rows]]:
        """The rows of tables, one table after the other; each has to be read to its end.

        Raises:
            RestoreRefused: the server does not give them.
        """
        settings = [f"{statement};" for statement in settings_of(self._version * 10_000)]
        more = f" and {len(tables) - 1:,} more" if len(tables) > 1 else ""
        with Pump(
            self._address,
            self._psql,
            settings,
            map(self._copy, tables),
            label=f"{tables[0].label}{more}",
            error=self._address.error,
        ) as pump:
            yield (Rows(pump) for _ in tables)
            pump.finish()

    def _copy(self, table: Table) -> str:
        columns = ", ".join(map(quote, table.columns))
        of = f"{table.sql} ({columns})" if columns else table.sql
        return f"COPY {of} TO STDOUT (ENCODING '{self._encoding}')"


def batches(tables: Sequence[Table]) -> Iterator[list[Table]]:
    """Tables that are read together: large ones alone, and first."""
    batch: list[Table] = []
    size = 0
    for table in sorted(tables, key=lambda one: one.size_bytes, reverse=True):
        if batch and (size + table.size_bytes > _TOGETHER_BYTES or len(batch) == _TOGETHER):
            yield batch
            batch, size = [], 0
        batch.append(table)
        size += table.size_bytes
    if batch:
        yield batch
