"""A MariaDB database that was restored, compared with its recovery point.

    every table    its rows, as mariadb-dump writes them, block by block with the ids of the
                   recovery point; where they differ, how many there are
    definitions    the statements that mariadb-dump writes of tables, sequences with their values,
                   views, triggers, routines and events: none is missing, changed or added

Both are what the programs and servers at work write. A server of another release writes the same
definitions in other words: then only rows are compared, and a note says so.
"""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import RestoreRefused, SourceError
from include.backup.quality.blocks import first_difference
from include.backup.quality.comparing import Counted, beginning_of
from include.backup.sources.mariadb import dumping
from include.backup.sources.mariadb.catalog import read_catalog
from include.backup.sources.mariadb.dumping import Figures, Reader
from include.backup.sources.mariadb.names import ROUTINES, SCHEMA, TRIGGERS, VIEWS, file_name
from include.backup.sources.mariadb.programs import DUMP, Program
from include.backup.sources.mariadb.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.quality.comparing import Compared, Restored
    from include.backup.sources.mariadb.address import Address
    from include.backup.sources.mariadb.catalog import Catalog, Table

_STATEMENT_ENDS: Final = re.compile(r";;?\s*\n")
_SETTINGS: Final = ("SET ", "/*!40", "/*!50003 SET", "/*M!999999", "/*!999999", "DELIMITER", "USE ")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredDatabase:
    """One database of a recovery point, and where it was restored to.

    Args:
        about: what the manifest says of it.
        name: what it is called there.
        jobs: how many tables are read at a time.
    """

    restored: Restored
    about: dict[str, Any]
    name: str
    address: Address
    jobs: int
    shown: str = ""  # what stands before the names of tables, for people

    def compare(self, found: Compared, *, definitions: bool) -> None:
        """Compare all of it.

        Raises:
            RestoreRefused: the server cannot be asked.
            DamageFound, StorageError: the recovery point cannot be read.
        """
        try:
            with closing(Session(self.address)) as session:
                catalog = read_catalog(session, [self.name])
                self._compare_tables(catalog, found)
                if definitions:
                    self._compare_definitions(session, catalog, found)
        except SourceError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None

    def _compare_tables(self, catalog: Catalog, found: Compared) -> None:
        there = {table.name: table for table in catalog.tables}
        wanted = []
        for one in self.about["relations"]:
            if str(one["name"]) not in there:
                self._fault(found, one["name"], f"the {one['kind']} is missing")
            elif one.get("file"):
                wanted.append((one, there[str(one["name"])]))
        wanted.sort(key=lambda pair: int(pair[0]["bytes"]), reverse=True)
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="compare") as pool:
            told = pool.map(lambda pair: self._compare_rows(*pair), wanted)
            for (one, _), (what, rows) in zip(wanted, told, strict=True):
                if what:
                    self._fault(found, one["name"], what)
                if rows is not None and one["rows"] is not None:
                    found.counted.append(Counted(f"{self.shown}{one['name']}", rows, one["rows"]))
        found.size_bytes += sum(int(one["bytes"]) for one, _ in wanted)

    def _compare_rows(self, one: dict[str, Any], table: Table) -> tuple[str, int | None]:
        """What is wrong with the rows of a table, empty: nothing; and how many there are."""
        node = self.restored.files.find(str(one["file"]).encode())
        if node is None:
            return "its rows are not in the recovery point", None
        with closing(Session(self.address)) as session:
            program, _ = dumping.rows_program(session, [table])
            counted = _Counted(program)
            try:
                differs = first_difference(
                    self.restored.repository,
                    node.content or (),
                    counted.readinto,
                    progress=lambda size: self.restored.progress.add(bytes_done=size),
                )
                if differs is None:
                    return "", counted.figures.rows
                counted.drain()
            finally:
                program.close()
        rows = counted.figures.rows
        if one["rows"] is not None and rows != one["rows"]:
            return f"has {rows:,} rows, and had {one['rows']:,}", rows
        return f"other rows: they differ from byte {differs:,} on", rows

    def _compare_definitions(self, session: Session, catalog: Catalog, found: Compared) -> None:
        """Compare what mariadb-dump says of both, statement by statement."""
        views = catalog.views_of(self.name)
        tables = [table.name for table in catalog.tables if table.kind != "view"]
        commands = {
            SCHEMA: dumping.definitions(self.name, tables),
            VIEWS: dumping.definitions(self.name, views),
            TRIGGERS: dumping.triggers(self.name),
            ROUTINES: dumping.routines(self.name),
        }
        folder = file_name(str(self.about["name"]))
        for file, arguments in commands.items():
            path = folder + b"/" + file
            known = self.restored.files.find(path) is not None
            was = self._statements(self.restored.files.load(path) if known else b"")
            here = self._statements(b"".join(_dumped(session, arguments)))
            for text in (was - here).elements():
                self._fault(found, "", f"missing or changed: {beginning_of(text)}")
            for text in (here - was).elements():
                self._fault(found, "", f"was not so: {beginning_of(text)}")

    def _statements(self, sql: bytes) -> Counter[str]:
        """What defines something; what only sets the scene differs from program to program."""
        old, new = str(self.about["name"]), self.name
        text = sql.decode("utf-8", "surrogateescape").replace(f"`{new}`", f"`{old}`")
        parts = (part.strip() for part in _STATEMENT_ENDS.split(text))
        return Counter(part for part in parts if part and not part.startswith(_SETTINGS))

    def _fault(self, found: Compared, where: str, what: str) -> None:
        found.fault(f"{self.about['name']} {where}".rstrip(), what)


class _Counted:
    """What a program writes, counted as it is read."""

    def __init__(self, program: Program) -> None:
        self._reader = Reader(program, lambda: None)
        self.figures = Figures()

    def readinto(self, target: memoryview) -> int:
        count = self._reader.readinto(target)
        self.figures.add(target[:count])
        return count

    def drain(self) -> None:
        """Read all that is left, to count it."""
        buffer = memoryview(bytearray(1 << 20))
        while self.readinto(buffer):
            pass


def _dumped(session: Session, commands: list[list[str]]) -> Iterator[bytes]:
    for arguments in commands:
        program = Program(DUMP, session, arguments)
        try:
            yield from Reader(program, lambda: None).all()
        finally:
            program.close()
