"""Putting one database back into a server, or some tables of it into a database that has others.

    database → pre-data → rows and large objects, in parallel → sequences
             → post-data, in parallel → privileges → materialized views → statistics

The first error of the server ends it: what is incomplete is no restore.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from include.backup.errors import RestoreRefused
from include.backup.evidence.wording import count
from include.backup.sources.postgresql import making
from include.backup.sources.postgresql.analyzing import analyze
from include.backup.sources.postgresql.archive import PRIVILEGES, Archive
from include.backup.sources.postgresql.catalog import qualified, quote_text
from include.backup.sources.postgresql.loading import Loading
from include.backup.sources.postgresql.partial import (
    ATTACHING,
    NAMELESS,
    lines_of,
    table_named,
    without_attaching,
)
from include.backup.sources.postgresql.statements import SETVAL, statements, without_owners
from include.backup.sources.postgresql.tools import find_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from include.backup.sources.base import StoredFiles
    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.loading import Table
    from include.backup.sources.postgresql.wanted import Rules, Wanted


_MOST_NAMED: Final = 10


class Putting:
    """One database on its way back.

    Args:
        address: of the database as it will be called.
        version: the major version of the server.
        progress: told how many bytes were sent.
        note: told what is not as it was.
    """

    def __init__(
        self,
        files: StoredFiles,
        one: Wanted,
        address: Address,
        rules: Rules,
        *,
        version: int,
        progress: Callable[[int], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._files = files
        self._one = one
        self._address = address
        self._rules = rules
        self._progress = progress
        self._note = note
        self._psql = find_tool("psql", at_least=min(version, 10))
        self._pg_restore = find_tool("pg_restore", at_least=version)

    def make_database(self) -> None:
        """Make the database as it was.

        Raises:
            RestoreRefused.
        """
        making.make_database(
            self._address,
            named=self._one.name,
            definition=self._files.load(self._path("database.sql")),
            psql=self._psql,
            owner=self._rules.owner,
            tablespaces=self._has_tablespaces,
        )

    def put_database(self) -> None:
        """Put back all definitions, and the rows that are wanted, into an empty database.

        Raises:
            RestoreRefused, DamageFound, StorageError.
        """
        with self._archive() as archive:
            only = None if self._one.whole else archive.without_foreign_keys()
            if only is not None:
                self._say("foreign keys were left out: not every table has its rows")
            self._section(archive, "pre-data", only)
            self._load(self._put_large_objects)
            self._run(self._files.stream(self._path("sequences.sql")))
            self._section(archive, "post-data", only)
            self._grant(archive, archive.privileges)
        if self._one.whole:
            self._refresh()
            self._say_left_out()
        self._analyze(())

    def put_tables(self) -> None:
        """Put some tables back beside others that are there.

        A table that is there keeps its definition, and gets other rows; one that is not is made,
        with its indexes, constraints and triggers, in what is there of schemas and types.

        Raises:
            RestoreRefused, DamageFound, StorageError.
        """
        tables = self._one.tables
        there = making.tables_there(self._address)
        missing = [table for table in tables if table.sql not in there]
        with self._archive() as archive:
            relations = self._one.described["relations"].values()
            names = {(table.schema, table.name) for table in missing}
            all_of_them = list(lines_of(archive.entries, relations, names))
            only = without_attaching(all_of_them)
            self._section(archive, "pre-data", only)
            self._load(lambda _: None)
            self._run(self._sequences_of(missing))
            self._run(self._raised([table for table in tables if table not in missing]))
            self._section(archive, "post-data", only)
            self._try(archive, filter(ATTACHING.match, all_of_them), "it stays a table of its own")
            self._try(archive, self._nameless(archive, names), "left out")
            self._grant(archive, list(filter(PRIVILEGES.match, only)))
        self._analyze([table.sql for table in tables])

    def _try(self, archive: Archive, lines: Iterable[str], otherwise: str) -> None:
        """Put back what needs others, which may be gone: a parent table, a publication."""
        for line in lines:
            try:
                archive.restore(what=line.partition(" ")[2], only=[line])
            except RestoreRefused as error:
                self._say(f"{otherwise}: {error.message}")

    @staticmethod
    def _nameless(archive: Archive, names: Container[tuple[str, str]]) -> Iterator[str]:
        """What belongs to some tables by its SQL alone."""
        for line in filter(NAMELESS.match, archive.entries):
            if table_named(archive.sql(only=[line]).decode()) in names:
                yield line

    def _raised(self, tables: Iterable[Table]) -> Iterator[bytes]:
        """Statements that raise sequences of tables that are there: no value comes twice."""
        for line in self._sequences_of(tables):
            found = SETVAL.fullmatch(line.decode().rstrip("\n"))
            if found is None:
                continue
            name, value = found["name"], found["value"]
            unquoted = name.replace("''", "'")
            last = f"SELECT last_value FROM {unquoted}"
            yield (
                f"DO $holdfast$ BEGIN IF pg_catalog.to_regclass('{name}') IS NOT NULL "
                f"AND ({last}) < {value} THEN PERFORM pg_catalog.setval('{name}', {value}); "
                "END IF; END $holdfast$;\n"
            ).encode()

    @cached_property
    def _has_tablespaces(self) -> bool:
        """Whether the server has the tablespaces that the database was in."""
        wanted = set(self._one.described.get("tablespaces", ()))
        missing = sorted(wanted - making.tablespaces(self._address)) if wanted else []
        if missing:
            self._say(f"not in the tablespaces it was in: there is no {', '.join(missing)}")
        return not missing

    def _archive(self) -> Archive:
        pieces = self._files.stream(self._path("schema.dump"))
        return Archive(pieces, self._address, self._pg_restore)

    def _section(self, archive: Archive, section: str, only: Sequence[str] | None) -> None:
        if only is not None and not only:
            return
        owner, arguments = self._rules.owner, [f"--section={section}", "--no-privileges"]
        if section == "post-data" and self._rules.jobs > 1:
            arguments.append(f"--jobs={self._rules.jobs}")
        if not self._has_tablespaces:
            arguments.append("--no-tablespaces")
        if owner is not None:
            arguments.append("--no-owner")
        if owner:
            arguments.append(f"--role={owner}")
        archive.restore(*arguments, what=section, only=only)

    def _grant(self, archive: Archive, privileges: Sequence[str]) -> None:
        """Grant what was granted, last of all; see archive.PRIVILEGES."""
        if not privileges:
            return
        if self._rules.owner is None:
            archive.restore(what="privileges", only=privileges)
        else:
            self._say("privileges were not granted: everything has another owner")

    def _load(self, beside: Callable[[Loading], None]) -> None:
        loading = Loading(
            self._address,
            self._files,
            encoding=self._one.described["encoding"],
            jobs=self._rules.jobs,
            progress=self._progress,
        )
        loading.load(self._one.tables, beside=lambda: beside(loading))

    def _put_large_objects(self, loading: Loading) -> None:
        path, owner = self._path("large_objects.sql"), self._rules.owner
        if self._files.find(path) is not None:
            pieces = _asking(self._files.stream(path), loading.go_on)
            self._run(pieces if owner is None else without_owners(pieces, owner))

    def _sequences_of(self, tables: Iterable[Table]) -> list[bytes]:
        """The lines of sequences.sql for the sequences that were made with their tables."""
        wanted = [
            f"setval({quote_text(qualified(table.schema, name))},".encode()
            for table in tables
            for name in table.sequences
        ]
        lines = self._files.load(self._path("sequences.sql")).splitlines(keepends=True)
        return [line for line in lines if any(name in line for name in wanted)]

    def _say_left_out(self) -> None:
        relations = self._one.described["relations"].values()
        left = [one for one in relations if str(one["rows"]).startswith("left out")]
        if left:
            named = ", ".join(f"{one['schema']}.{one['name']}" for one in left[:_MOST_NAMED])
            told = count(len(left), "table")
            self._say(f"{told} without rows, as the backup left them out: {named}")

    def _refresh(self) -> None:
        """Fill materialized views. One may read what is not there now: another server's tables."""
        for statement in statements(self._files.load(self._path("refresh.sql")).decode()):
            try:
                self._run([statement.encode()])
            except RestoreRefused as error:
                self._say(f"left empty: {statement} {error.message}")

    def _analyze(self, only: Sequence[str]) -> None:
        if not self._rules.statistics:
            self._say("no statistics were gathered; vacuumdb --analyze-only does it")
            return
        for said in analyze(self._address, jobs=self._rules.jobs, only=only):
            self._say(f"no statistics: {said}")

    def _run(self, pieces: Iterable[bytes]) -> None:
        making.run_sql(self._address, self._psql, pieces)

    def _path(self, name: str) -> bytes:
        return self._one.folder + b"/" + name.encode()

    def _say(self, what: str) -> None:
        self._note(self._one.name, what)


def _asking(pieces: Iterable[bytes], go_on: Callable[[], None]) -> Iterator[bytes]:
    for piece in pieces:
        go_on()
        yield piece
