"""The files of one database that define it, made by pg_dump and pg_restore inside the snapshot.

database.sql        CREATE DATABASE and its settings            schema.dump     all DDL, for
pre-data.sql        types, functions, tables                                    pg_restore
data/….copy         rows, as COPY writes text                   large_objects.sql
load.sql            the commands that load data/                sequences.sql   read at last
post-data.sql       indexes, constraints, triggers              refresh.sql     mat. views
"""

from __future__ import annotations

import threading
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.sources.postgresql.archive import OF_DATABASE, Archive
from include.backup.sources.postgresql.catalog import Relation, quote_text
from include.backup.sources.postgresql.programs import Program
from include.backup.sources.postgresql.tools import find_tool, takes_restrict_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot

_SEQUENCES_AT_ONCE: Final = 200
_LOCK_SECONDS: Final = 10  # pg_dump's: nobody but who waits for us can be in its way
# Blobs alone: with a table chosen pg_dump leaves out everything else, and this one is left out too.
ONLY_OBJECTS: Final = ("--blobs", "-t", "pg_catalog.pg_am", "-T", "pg_catalog.pg_am")
# What a role or a database may have set otherwise, and must not when rows are loaded.
_LOADING: Final = {
    "row_security": "off",
    "search_path": "",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "xmloption": "content",
    "lc_monetary": "C",
    "array_nulls": "on",
}


class DefinitionsLocked(SourceError):
    """Somebody waits to change a table, and pg_dump waits for him."""


class Definitions:
    """What defines one database. Each file is made once; any thread may ask for it.

    Args:
        tables: those whose rows are read, by the names of their files.
        sequences: those whose values are read.
        refreshed: the materialized views that are filled again, in order.
        restrict_key: of psql's restricted mode.
    """

    def __init__(
        self,
        snapshot: DatabaseSnapshot,
        *,
        tables: Mapping[str, Relation],
        sequences: Sequence[Relation],
        refreshed: Sequence[Relation],
        restrict_key: str,
    ) -> None:
        self._snapshot = snapshot
        self._tables = tables
        self._sequences = sequences
        self._refreshed = refreshed
        self._restrict_key = restrict_key
        major = snapshot.version // 10_000
        self._pg_dump = find_tool("pg_dump", at_least=major)
        self._pg_restore = find_tool("pg_restore", at_least=major)
        self._lock = threading.RLock()
        self._archive: Archive | None = None
        self._texts: dict[str, bytes] = {}
        self._makers = {
            "database.sql": self._database_sql,
            "pre-data.sql": self._pre_data_sql,
            "post-data.sql": self._post_data_sql,
            "load.sql": self._load_sql,
            "sequences.sql": self._sequences_sql,
            "refresh.sql": self._refresh_sql,
        }

    def close(self) -> None:
        """Let go of the memory that the archive takes."""
        archive, self._archive = self._archive, None
        if archive is not None:
            archive.close()

    def text(self, name: str) -> bytes:
        """One of the files of SQL.

        Raises:
            SourceError.
        """
        with self._lock:
            if name not in self._texts:
                self._texts[name] = self._makers[name]()
            return self._texts[name]

    @cached_property
    def sha256(self) -> str:
        """Of everything that schema.dump restores, as text: the archive itself holds its time."""
        texts = [self.text(name) for name in ("database.sql", "pre-data.sql", "post-data.sql")]
        return sha256(b"\0".join(texts)).hexdigest()

    def archive(self) -> Archive:
        """schema.dump.

        Raises:
            DefinitionsLocked.
            SourceError.
        """
        with self._lock:
            if self._archive is None:
                self._archive = Archive([self._dumped()], self._snapshot.address, self._pg_restore)
            return self._archive

    def _dumped(self) -> bytes:
        try:
            with self._dump("--schema-only", "--format=custom") as program:
                return program.read()
        except SourceError as error:
            if self._snapshot.is_waited_for():
                raise DefinitionsLocked(error.message, hint=error.hint) from None
            raise

    def dump_large_objects(self) -> Program:
        """Every large object as SQL: made, filled, given to its owner, commented and granted."""
        return self._dump(*ONLY_OBJECTS, *self._restricted(self._pg_dump))

    def _dump(self, *arguments: str) -> Program:
        snapshot = self._snapshot
        return Program(
            [
                self._pg_dump,
                f"--snapshot={snapshot.id}",
                "--encoding=" + ("SQL_ASCII" if snapshot.encoding == "SQL_ASCII" else "UTF8"),
                f"--lock-wait-timeout={_LOCK_SECONDS}s",
                "--no-password",
                *arguments,
            ],
            what=f"{snapshot.address.shown}: pg_dump",
            environment=snapshot.address.environment(),
        )

    def _restricted(self, program: str) -> list[str]:
        return [f"--restrict-key={self._restrict_key}"] if takes_restrict_key(program) else []

    def _database_sql(self) -> bytes:
        archive = self.archive()
        only = filter(OF_DATABASE.match, archive.entries)
        return archive.sql("--create", *self._restricted(self._pg_restore), only=only)

    def _pre_data_sql(self) -> bytes:
        return self._section("pre-data")

    def _post_data_sql(self) -> bytes:
        archive = self.archive()
        granted = archive.sql(*self._restricted(self._pg_restore), only=archive.privileges)
        return self._section("post-data") + granted

    def _section(self, name: str) -> bytes:
        return self.archive().sql(
            f"--section={name}", "--no-privileges", *self._restricted(self._pg_restore)
        )

    def _load_sql(self) -> bytes:
        lines = [
            "-- Loads what lies in data/; run it by psql from the directory that this file is in.",
            "\\set ON_ERROR_STOP on",
            "\\encoding UTF8",
            *(f"SET {name} = '{value}';" for name, value in _LOADING.items()),
        ]
        for file, relation in self._tables.items():
            if copied_by_shell(relation):
                lines.append(f"-- data/{file} has a line of its own in RESTORE.md")
                continue
            name = f"data/{file}".replace("'", "''")
            copied = self.copy_from(relation, f"'{name}'")
            lines.append(f"\\copy {copied}")
        return ("\n".join(lines) + "\n").encode()

    def copy_from(self, relation: Relation, where: str) -> str:
        """COPY FROM as load.sql has it, without its first word."""
        return f"{relation.target} FROM {where} (ENCODING '{self._snapshot.encoding}')"

    def _sequences_sql(self) -> bytes:
        """Values read after all rows: whatever a row has got from a sequence is behind it."""
        lines = []
        for start in range(0, len(self._sequences), _SEQUENCES_AT_ONCE):
            some = self._sequences[start : start + _SEQUENCES_AT_ONCE]
            query = " UNION ALL ".join(
                f"SELECT {number}, last_value, is_called FROM {one.sql}"
                for number, one in enumerate(some)
            )
            for number, value, called in sorted(self._snapshot.run(query)):
                name = quote_text(some[number].sql)
                lines.append(f"SELECT pg_catalog.setval({name}, {value}, {str(called).lower()});")
        return "".join(f"{line}\n" for line in lines).encode()

    def _refresh_sql(self) -> bytes:
        return "".join(
            f"REFRESH MATERIALIZED VIEW {one.sql};\n" for one in self._refreshed
        ).encode()


def copied_by_shell(relation: Relation) -> bool:
    r"""Whether psql's ``\copy``, which is one line, cannot name a table or its columns."""
    return any(char in relation.target for char in "\n\r")
