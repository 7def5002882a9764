"""A database that was restored, compared with its recovery point.

    every table    its rows, as COPY writes them, block by block with the ids of the recovery point
    every sequence its value
    definitions    the statements that pg_dump writes of it: none is missing, changed or added
    indexes        none is invalid
    views          those that were filled are filled
    large objects  what fills each of them

Owners and privileges are not looked at: a trial gives everything to who restores.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.quality.blocks import first_difference
from include.backup.quality.comparing import Counted, beginning_of
from include.backup.quality.postgresql_rows import RowReader, batches
from include.backup.sources.postgresql import making
from include.backup.sources.postgresql.address import as_argument, refused
from include.backup.sources.postgresql.archive import Archive
from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.definitions import ONLY_OBJECTS
from include.backup.sources.postgresql.programs import Program
from include.backup.sources.postgresql.statements import SETVAL, statements
from include.backup.sources.postgresql.tools import find_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.quality.comparing import Compared, Restored
    from include.backup.quality.postgresql_rows import Rows
    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.loading import Table
    from include.backup.sources.postgresql.wanted import Wanted

_OBJECT: Final = re.compile(rb"SELECT pg_catalog\.lo_(?:create|open)\('(\d+)'")
_WRITTEN: Final = b"SELECT pg_catalog.lowrite("
_REFRESHED: Final = re.compile(r"REFRESH MATERIALIZED VIEW (.*);")
_INVALID: Final = """
SELECT i.indexrelid::pg_catalog.regclass::text FROM pg_catalog.pg_index i
 WHERE NOT i.indisvalid OR NOT i.indisready ORDER BY 1
"""
_FILLED: Final = """
SELECT pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(c.relname), n.nspname::text,
       c.relname::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm' AND c.relispopulated
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredDatabase:
    """One database of a recovery point, and where it was restored to."""

    restored: Restored
    one: Wanted
    address: Address
    version: int  # the major one of the server that it was restored to
    jobs: int
    shown: str = ""  # what stands before the names of tables, for people

    def compare(self, found: Compared) -> None:
        """Compare all of it.

        Raises:
            RestoreRefused: the server cannot be asked.
            DamageFound, StorageError: the recovery point cannot be read.
        """
        if not self.one.whole:
            self._compare_tables(found)
            return  # what else is there was there before
        with ThreadPoolExecutor(1, thread_name_prefix="definitions") as pool:
            beside = pool.submit(lambda: [*self._objects(), *self._definitions()])
            self._compare_tables(found)
            others = beside.result()
        try:
            with self.address.connect() as session:
                self._compare_sequences(session, found)
                self._compare_views(session, found)
                for (index,) in session.execute(_INVALID):
                    self._fault(found, index, "an index that is not valid")
        except psycopg.Error as error:  # it answers no more: that says nothing about the data
            raise refused(error, self.address) from None
        for where, what in others:
            self._fault(found, where, what)

    def _compare_tables(self, found: Compared) -> None:
        there = making.tables_there(self.address)
        tables = []
        for table in self.one.tables:
            if table.sql in there:
                tables.append(table)
            else:
                self._fault(found, table.label, "the table is missing")
        reader = RowReader(
            self.address, version=self.version, encoding=self.one.described["encoding"]
        )
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="compare") as pool:
            for told in pool.map(partial(self._compare_batch, reader), batches(tables)):
                for table, what, rows in told:
                    if what:
                        self._fault(found, table.label, what)
                    if rows is not None and not table.shared:
                        found.counted.append(
                            Counted(f"{self.shown}{table.label}", rows, table.rows)
                        )
        found.size_bytes += sum(table.size_bytes for table in tables)

    def _compare_batch(
        self, reader: RowReader, tables: list[Table]
    ) -> list[tuple[Table, str, int | None]]:
        """What is wrong with the rows of each table, empty: nothing; and how many there are."""
        with reader.read(tables) as read:
            return [
                (table, *self._compare_rows(table, here))
                for table, here in zip(tables, read, strict=True)
            ]

    def _compare_rows(self, table: Table, here: Rows) -> tuple[str, int | None]:
        node = self.restored.files.find(table.path)
        if node is None:
            here.drain()
            return "its rows are not in the recovery point", None
        differs = first_difference(
            self.restored.repository,
            node.content or (),
            here.readinto,
            progress=lambda count: self.restored.progress.add(bytes_done=count),
        )
        here.drain()
        if table.shared:  # with rows that its extension has made, in any order
            few = here.rows < table.rows
            return self._counted(here.rows, table) if few else "", here.rows
        if differs is None:
            return "", here.rows
        if here.rows != table.rows:
            return self._counted(here.rows, table), here.rows
        return f"other rows: they differ from byte {differs:,} on", here.rows

    @staticmethod
    def _counted(rows: int, table: Table) -> str:
        return f"has {rows:,} rows, and had {table.rows:,}"

    def _compare_sequences(
        self, session: psycopg.Connection[tuple[object, ...]], found: Compared
    ) -> None:
        for line in self._text("sequences.sql").splitlines():
            if (said := SETVAL.fullmatch(line)) is None:
                continue
            name = said["name"].replace("''", "'")
            try:
                query = f"SELECT last_value, is_called FROM {name}"  # noqa: S608  quoted there
                row = session.execute(query).fetchone()
            except psycopg.errors.UndefinedTable:
                self._fault(found, name, "the sequence is missing")
                continue
            except psycopg.Error as error:
                raise refused(error, self.address) from None
            if row != (int(said["value"]), said["called"] == "true"):
                self._fault(found, name, f"its value is {row and row[0]}, and was {said['value']}")

    def _compare_views(
        self, session: psycopg.Connection[tuple[object, ...]], found: Compared
    ) -> None:
        filled = {f"{quote(str(row[2]))}.{quote(str(row[3]))}" for row in session.execute(_FILLED)}
        for line in self._text("refresh.sql").splitlines():
            view = _REFRESHED.fullmatch(line)
            if view is not None and view[1] not in filled:
                self._fault(found, view[1], "the materialized view is missing, or not filled")

    def _objects(self) -> Iterator[tuple[str, str]]:
        """Compare large objects by what pg_dump writes of them."""
        path = self._path("large_objects.sql")
        if self.restored.files.find(path) is None:
            return
        was = _objects(self.restored.files.stream(path))
        with self._dump(*ONLY_OBJECTS) as program:
            here = _objects(program.pieces())
        for number in sorted(was.keys() | here.keys()):
            if number not in here:
                yield f"large object {number}", "missing"
            elif number not in was:
                yield f"large object {number}", "was not in the recovery point"
            elif here[number] != was[number]:
                yield f"large object {number}", "other content"

    def _definitions(self) -> Iterator[tuple[str, str]]:
        """Compare what pg_dump says of both, statement by statement."""
        was = self._statements(self.restored.files.stream(self._path("schema.dump")))
        with self._dump("--schema-only", "--format=custom") as program:
            here = self._statements(program.pieces())
        for text in sorted(was - here):
            yield "", f"missing or changed: {beginning_of(text)}"
        for text in sorted(here - was):
            yield "", f"was not so: {beginning_of(text)}"

    def _statements(self, pieces: Iterator[bytes]) -> set[str]:
        pg_restore = find_tool("pg_restore", at_least=self.version)
        with Archive(pieces, self.address, pg_restore) as archive:
            return set(statements(archive.sql("--no-owner", "--no-privileges").decode()))

    def _dump(self, *arguments: str) -> Program:
        encoding = "SQL_ASCII" if self.one.described["encoding"] == "SQL_ASCII" else "UTF8"
        return Program(
            [
                find_tool("pg_dump", at_least=self.version),
                f"--encoding={encoding}",
                "--no-password",
                f"--dbname={as_argument(self.address.database)}",
                *arguments,
            ],
            what=f"{self.address.shown}: pg_dump",
            environment=self.address.environment(),
            error=self.address.error,
        )

    def _text(self, name: str) -> str:
        return self.restored.files.load(self._path(name)).decode()

    def _path(self, name: str) -> bytes:
        return self.one.folder + b"/" + name.encode()

    def _fault(self, found: Compared, where: str, what: str) -> None:
        found.fault(f"{self.one.name} {where}".rstrip(), what)


def _objects(pieces: Iterator[bytes]) -> dict[int, bytes]:
    """A hash of each large object in SQL that pg_dump wrote: of the lines that fill it."""
    digests: dict[int, Any] = {}
    tail = b""
    now = sha256()
    for piece in pieces:
        *lines, tail = (tail + piece).split(b"\n")
        for line in lines:
            if line.startswith(_WRITTEN):
                now.update(line)
            elif (found := _OBJECT.match(line)) is not None:
                now = digests.setdefault(int(found[1]), sha256())
    return {number: digest.digest() for number, digest in digests.items()}
