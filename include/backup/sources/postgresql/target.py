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
from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.loading import Loading, Table
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
        described = manifest.decode(files.about(manifest.MANIFEST))
        known: dict[str, Any] = described.get("databases", {})
        if described.get("kind") != "postgresql":
            raise DestinationRefused(
                "the recovery point holds no PostgreSQL databases", hint="restore it to a directory"
            )
        chosen = {
            name: one
            for name, one in known.items()
            if self._rules.wanted(manifest.escaped(name).encode())
        }
        if not chosen:
            raise DestinationRefused("no database of the recovery point was chosen")
        if self._rules.database and len(chosen) > 1:
            raise DestinationRefused(
                f"{len(chosen)} databases cannot all be called {self._rules.database}",
                hint=f"choose one by --path: {', '.join(chosen)}",
            )
        tables = size = 0
        self._refuse_newer(chosen)
        fresh = {name: self._is_to_be_made(files, name) for name in chosen}
        self._make_roles(files)
        for name, one in chosen.items():
            if fresh[name] and making.exists(self._address, self._target_name(name)):
                making.drop_database(self._address, self._target_name(name))
            loaded = self._put(files, name, one, progress, make=fresh[name])
            tables += len(loaded)
            size += sum(table.size_bytes for table in loaded)
        plural = "" if len(chosen) == 1 else "s"
        return PutBack(
            files=tables,
            bytes_written=size,
            contents=f"{tables:,} tables in {len(chosen)} database{plural}",
            notes=tuple(self._notes),
        )

    def _put(
        self,
        files: StoredFiles,
        name: str,
        described: dict[str, Any],
        progress: Callable[[int], None],
        *,
        make: bool,
    ) -> list[Table]:
        folder = manifest.escaped(name).encode()
        address = self._address.of_database(self._target_name(name))
        owner = self._rules.owner
        missing = set(described.get("tablespaces", ())) - making.tablespaces(self._address)
        if missing:
            named = ", ".join(sorted(missing))
            self._notes.append(
                Note(path=name, what=f"not in the tablespaces it was in: there is no {named}")
            )
        if make:
            making.make_database(
                self._address,
                address.database,
                named=name,
                definition=files.load(folder + b"/database.sql"),
                psql=self._psql,
                owner=owner,
                tablespaces=not missing,
            )
        tables = list(_tables(folder, described))
        with making.archive_of(files.stream(folder + b"/schema.dump")) as archive:

            def section(which: str, jobs: int = 1) -> None:
                making.restore_section(
                    address,
                    self._pg_restore,
                    archive,
                    which,
                    jobs=jobs,
                    owner=owner,
                    tablespaces=not missing,
                )

            section("pre-data")
            Loading(
                address,
                files,
                encoding=described["encoding"],
                jobs=self._rules.jobs,
                progress=progress,
            ).load(tables)
            if files.find(folder + b"/large_objects.sql") is not None:
                objects = files.stream(folder + b"/large_objects.sql")
                if owner is not None:
                    objects = making.without_owners(objects, owner)
                making.run_sql(address, self._psql, objects)
            making.run_sql(address, self._psql, files.stream(folder + b"/sequences.sql"))
            section("post-data", self._rules.jobs)
            if owner is None:
                making.restore_privileges(address, self._pg_restore, archive)
        making.run_sql(address, self._psql, files.stream(folder + b"/refresh.sql"))
        try:
            making.run_sql(address, self._psql, [b"ANALYZE;\n"])
        except RestoreRefused as error:  # all is there; the server gathers them in its own time
            self._notes.append(Note(path=name, what=f"no statistics: {error.message}"))
        return tables

    def _refuse_newer(self, chosen: dict[str, Any]) -> None:
        for name, one in chosen.items():
            taken_from, major = int(one["server_version"]) // 10_000, self._version // 10_000
            if taken_from > major:
                raise DestinationRefused(
                    f"{name} is from a server of version {taken_from}, and this one is {major}",
                    hint=f"restore to a server of version {taken_from} or newer",
                )

    def _target_name(self, name: str) -> str:
        return self._rules.database or name

    def _is_to_be_made(self, files: StoredFiles, name: str) -> bool:
        """Whether a database has to be made anew; refuse to write over what somebody may need.

        Raises:
            RestoreRefused.
        """
        target = self._target_name(name)
        if not making.exists(self._address, target):
            if not making.may_create(self._address):
                raise DestinationRefused(
                    f"{self._address.connection.login} may not make the database {target}",
                    hint=f"ALTER ROLE {quote(self._address.connection.login)} CREATEDB; or let "
                    "somebody make it, empty, and restore to that",
                )
            return True
        where = self._address.of_database(target).shown
        if not self._rules.into_source and self._is_source(files, name, target):
            raise DestinationRefused(
                f"{where} is the database that the recovery point was taken from",
                hint="restore it under another name, or name its connection twice: "
                "--into-source CONNECTION",
            )
        if making.is_empty(self._address, target):
            return False  # somebody made it for this: with the owner and the locale it shall have
        if not self._rules.overwrite:
            raise DestinationRefused(
                f"{where} is not empty",
                hint="restore under another name, or give --overwrite, which removes all that is "
                "in it",
            )
        return True

    def _is_source(self, files: StoredFiles, name: str, target: str) -> bool:
        state = manifest.decode(files.about(manifest.STATE))
        token = state.get("databases", {}).get(name, {}).get("token") or {}
        with self._session(self._address.of_database(target)) as session:
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
        self._notes += [
            Note(path=name, what="a role that the server lacked was made, without a password")
            for name in made
        ]
        self._notes += [Note(path=name, what="a role could not be made") for name in failed]

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
                path=folder + b"/" + one["file"].encode(),
                rows=int(one["count"]),
                size_bytes=int(one["bytes"]),
                shared=bool(one.get("extension")),
            )


_IDENTITY: Final = """
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),
       (SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = current_database())
"""
