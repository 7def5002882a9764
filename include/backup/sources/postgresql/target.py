"""A PostgreSQL server that databases are put back into; see sources.base.Server.

    roles → database → pre-data → rows, in parallel → large objects → sequences
          → post-data, in parallel → materialized views → statistics

The first error of the server ends it: what is incomplete is no restore.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import DestinationRefused, RestoreRefused, SourceError
from include.backup.sources.base import Note, PutBack
from include.backup.sources.postgresql import making, manifest
from include.backup.sources.postgresql.address import refused
from include.backup.sources.postgresql.catalog import quote, quote_text
from include.backup.sources.postgresql.loading import Loading, Table
from include.backup.sources.postgresql.partial import lines_of
from include.backup.sources.postgresql.steps import tables_in
from include.backup.sources.postgresql.tools import find_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.backup.sources.base import StoredFiles
    from include.backup.sources.postgresql.address import Address


def _everything(path: bytes) -> bool:
    del path
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may be done to the server, and how."""

    database: str = ""  # another name for the database; empty: its own
    overwrite: bool = False  # a database that is there is removed first
    into_source: bool = False  # the very database that the data is from may be written to
    owner: str | None = None  # of everything; "": whoever restores; None: as it was
    jobs: int = 2
    wanted: Callable[[bytes], bool] = field(default=_everything)  # paths in the dataset


@dataclass(slots=True)
class Wanted:
    """A database, or some tables of it, on the way back."""

    name: str
    folder: bytes  # in the dataset
    described: dict[str, Any]  # in the manifest
    tables: list[Table]
    whole: bool
    make: bool = False  # whether the database has to be made
    drop: bool = False  # whether one of its name has to go before
    tablespaces: bool = True  # whether the server has those that it was in
    beside: bool = False  # whether tables are put beside others that are there


class PostgresTarget:
    """A server to restore to."""

    def __init__(self, address: Address, rules: Rules) -> None:
        self._address = replace(address, restoring=True)
        self._rules = rules
        self._notes: list[Note] = []

    def prepare(self) -> None:
        """See Server.prepare: the server answers, and is one."""
        with self._session(making.maintenance(self._address)) as session:
            row = session.execute("SELECT current_setting('server_version_num')::int").fetchone()
        assert row is not None
        self._version = int(row[0])
        major = self._version // 10_000
        self._psql = find_tool("psql", at_least=min(major, 10))
        self._pg_restore = find_tool("pg_restore", at_least=major)

    def put(self, files: StoredFiles, progress: Callable[[int], None]) -> PutBack:
        """See Server.put."""
        wanted = self._wanted(files)
        self._refuse_newer(wanted)
        for one in wanted:
            one.make = self._is_to_be_made(files, one)
            one.beside = not (one.whole or one.make or self._is_empty(one))
            if one.beside:
                self._refuse_tables(one)
        self._make_roles(files)
        for one in wanted:
            if one.drop:
                making.drop_database(self._address, self._address_of(one).database)
            put = self._put_tables if one.beside else self._put_database
            put(files, one, progress)
        tables = [table for one in wanted for table in one.tables]
        return PutBack(
            files=len(tables),
            bytes_written=sum(table.size_bytes for table in tables),
            contents=tables_in(len(tables), len(wanted)),
            notes=tuple(self._notes),
        )

    def _wanted(self, files: StoredFiles) -> list[Wanted]:
        """What of the recovery point is put back.

        Raises:
            DestinationRefused: nothing, or what cannot be put there.
        """
        document = manifest.decode(files.about(manifest.MANIFEST))
        if document.get("kind") != "postgresql":
            raise DestinationRefused(
                "the recovery point holds no PostgreSQL databases", hint="restore it to a directory"
            )
        wanted = []
        for name, described in document["databases"].items():
            folder = manifest.escaped(name).encode()
            whole = self._rules.wanted(folder)
            every = list(_tables(folder, described))
            tables = every if whole else [one for one in every if self._rules.wanted(one.path)]
            if whole or tables:
                wanted.append(Wanted(name, folder, described, tables, whole=whole))
        if not wanted:
            raise DestinationRefused(
                "nothing of the recovery point was chosen",
                hint="patterns are as in DATABASE, or DATABASE/data/SCHEMA.TABLE.copy",
            )
        if self._rules.database and len(wanted) > 1:
            raise DestinationRefused(
                f"{len(wanted)} databases cannot all be called {self._rules.database}",
                hint=f"choose one by --path: {', '.join(one.name for one in wanted)}",
            )
        return wanted

    def _put_database(
        self, files: StoredFiles, one: Wanted, progress: Callable[[int], None]
    ) -> None:
        """Put a database back: all of its definitions, and the rows that are wanted."""
        address, owner = self._address_of(one), self._rules.owner
        self._look_for_tablespaces(one)
        if one.make:
            making.make_database(
                self._address,
                address.database,
                named=one.name,
                definition=files.load(one.folder + b"/database.sql"),
                psql=self._psql,
                owner=owner,
                tablespaces=one.tablespaces,
            )
        with making.archive_of(files.stream(one.folder + b"/schema.dump")) as archive:
            only = None
            if not one.whole:
                every = making.entries(address, self._pg_restore, archive)
                only = [line for line in every if " FK CONSTRAINT " not in line]
                self._note(one.name, "foreign keys were left out: not every table has its rows")
            self._section(one, address, archive, "pre-data", only)
            self._load(files, one, address, progress)
            if files.find(one.folder + b"/large_objects.sql") is not None:
                objects = files.stream(one.folder + b"/large_objects.sql")
                if owner is not None:
                    objects = making.without_owners(objects, owner)
                making.run_sql(address, self._psql, objects)
            making.run_sql(address, self._psql, files.stream(one.folder + b"/sequences.sql"))
            self._section(one, address, archive, "post-data", only, jobs=self._rules.jobs)
            if owner is None:
                making.restore_privileges(address, self._pg_restore, archive)
        if one.whole:
            making.run_sql(address, self._psql, files.stream(one.folder + b"/refresh.sql"))
        self._analyze(address, one, "ANALYZE")

    def _look_for_tablespaces(self, one: Wanted) -> None:
        wanted = set(one.described.get("tablespaces", ()))
        if missing := sorted(wanted - making.tablespaces(self._address)):
            named = ", ".join(missing)
            self._note(one.name, f"not in the tablespaces it was in: there is no {named}")
            one.tablespaces = False

    def _put_tables(self, files: StoredFiles, one: Wanted, progress: Callable[[int], None]) -> None:
        """Put some tables back into a database that has others.

        A table that is there keeps its definition, and gets other rows; one that is not is made,
        with its indexes, constraints and triggers, in what is there of schemas and types.
        """
        address = self._address_of(one)
        self._look_for_tablespaces(one)
        there = making.tables_there(address)
        missing = [table for table in one.tables if table.sql not in there]
        with making.archive_of(files.stream(one.folder + b"/schema.dump")) as archive:
            every = making.entries(address, self._pg_restore, archive)
            only = list(lines_of(every, missing))
            self._section(one, address, archive, "pre-data", only)
            self._load(files, one, address, progress)
            making.run_sql(address, self._psql, self._sequences(files, one, missing))
            self._section(one, address, archive, "post-data", only, jobs=self._rules.jobs)
            if self._rules.owner is None:
                making.restore_privileges(address, self._pg_restore, archive, only=only)
        self._analyze(address, one, f"ANALYZE {', '.join(table.sql for table in one.tables)}")

    def _analyze(self, address: Address, one: Wanted, statement: str) -> None:
        try:
            making.run_sql(address, self._psql, [f"{statement};\n".encode()])
        except RestoreRefused as error:  # all is there; the server gathers them in its own time
            self._note(one.name, f"no statistics: {error.message}")

    def _refuse_tables(self, one: Wanted) -> None:
        """Refuse to replace the rows of tables, unless that is wished.

        Raises:
            DestinationRefused.
        """
        address = self._address_of(one)
        there = making.tables_there(address)
        known = [table.label for table in one.tables if table.sql in there]
        if known and not self._rules.overwrite:
            raise DestinationRefused(
                f"{address.shown} has {known[0]} already",
                hint="restore to another database, or give --overwrite, which replaces its rows",
            )

    def _sequences(self, files: StoredFiles, one: Wanted, tables: list[Table]) -> list[bytes]:
        """The lines of sequences.sql for the sequences that were made with their tables."""
        wanted = [
            f"setval({quote_text(f'{quote(table.schema)}.{quote(name)}')},"
            for table in tables
            for name in table.sequences
        ]
        lines = files.load(one.folder + b"/sequences.sql").splitlines(keepends=True)
        return [line for line in lines if any(name.encode() in line for name in wanted)]

    def _section(
        self,
        one: Wanted,
        address: Address,
        archive: int,
        which: str,
        only: list[str] | None,
        jobs: int = 1,
    ) -> None:
        if only != []:
            making.restore_section(
                address, self._pg_restore, archive, which, jobs=jobs, owner=self._rules.owner,
                only=only, tablespaces=one.tablespaces,
            )  # fmt: skip

    def _load(
        self, files: StoredFiles, one: Wanted, address: Address, progress: Callable[[int], None]
    ) -> None:
        loading = Loading(
            address,
            files,
            encoding=one.described["encoding"],
            jobs=self._rules.jobs,
            progress=progress,
        )
        loading.load(one.tables)

    def _refuse_newer(self, wanted: list[Wanted]) -> None:
        for one in wanted:
            taken_from = int(one.described["server_version"]) // 10_000
            if taken_from > (major := self._version // 10_000):
                raise DestinationRefused(
                    f"{one.name} is from a server of version {taken_from}, and this one is {major}",
                    hint=f"restore to a server of version {taken_from} or newer",
                )

    def _address_of(self, one: Wanted) -> Address:
        return self._address.of_database(self._rules.database or one.name)

    def _is_empty(self, one: Wanted) -> bool:
        return making.is_empty(self._address, self._address_of(one).database)

    def _is_to_be_made(self, files: StoredFiles, one: Wanted) -> bool:
        """Whether a database has to be made anew; refuse to write over what somebody may need.

        Raises:
            RestoreRefused.
        """
        address = self._address_of(one)
        if not making.exists(self._address, address.database):
            if not making.may_create(self._address):
                login = self._address.connection.login
                raise DestinationRefused(
                    f"{login} may not make the database {address.database}",
                    hint=f"ALTER ROLE {quote(login)} CREATEDB; or let somebody make it, empty, "
                    "and restore to that",
                )
            return True
        if not self._rules.into_source and self._is_source(files, one, address):
            raise DestinationRefused(
                f"{address.shown} is the database that the recovery point was taken from",
                hint="restore it under another name, or name its connection twice: "
                "--into-source CONNECTION",
            )
        # Somebody made an empty one for this: with the owner and the locale that it shall have.
        if not one.whole or self._is_empty(one):
            return False
        if not self._rules.overwrite:
            raise DestinationRefused(
                f"{address.shown} is not empty",
                hint="restore under another name, or give --overwrite, which removes all that is "
                "in it",
            )
        one.drop = True
        return True

    def _is_source(self, files: StoredFiles, one: Wanted, address: Address) -> bool:
        state = manifest.decode(files.about(manifest.STATE))
        token = state.get("databases", {}).get(one.name, {}).get("token") or {}
        with self._session(address) as session:
            try:
                row = session.execute(_IDENTITY).fetchone()
            except psycopg.Error:
                return False  # the server does not tell; the connections were compared before
        assert row is not None
        return (str(row[0]), row[1]) == (token.get("system_identifier"), token.get("database_oid"))

    def _make_roles(self, files: StoredFiles) -> None:
        if self._rules.owner is not None:
            return
        made, failed = making.make_roles(self._address, files.load(b"roles.sql"))
        for name in made:
            self._note(name, "a role that the server lacked was made, without a password")
        for name in failed:
            self._note(name, "a role could not be made")

    def _note(self, path: str, what: str) -> None:
        self._notes.append(Note(path=path, what=what))

    def _session(self, address: Address) -> psycopg.Connection[Any]:
        try:
            return address.connect()
        except (SourceError, psycopg.Error) as error:
            told = error if isinstance(error, SourceError) else refused(error, address)
            raise RestoreRefused(told.message, hint=told.hint) from None


def _tables(folder: bytes, described: dict[str, Any]) -> Iterator[Table]:
    for one in described["relations"].values():
        if "file" in one:
            yield Table(
                schema=one["schema"],
                name=one["name"],
                columns=tuple(one["columns"]),
                indexes=tuple(one["indexes"]),
                sequences=tuple(one["sequences"]),
                path=folder + b"/" + one["file"].encode(),
                rows=int(one["count"]),
                size_bytes=int(one["bytes"]),
                shared=bool(one.get("extension")),
            )


_IDENTITY: Final = """
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),
       (SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = current_database())
"""
