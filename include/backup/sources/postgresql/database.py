"""One database of a reading: its snapshot, its files, and what became of them.

database.sql        CREATE DATABASE and its settings            schema.dump     all DDL, for
pre-data.sql        types, functions, tables                                    pg_restore
data/….copy         rows, as COPY writes text                   large_objects.sql
load.sql            the commands that load data/                sequences.sql   read at last
post-data.sql       indexes, constraints, triggers              refresh.sql     mat. views
"""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import SourceError
from include.backup.sources.postgresql import ranges
from include.backup.sources.postgresql.catalog import Relation, Rows, quote_text, rows_of
from include.backup.sources.postgresql.listing import OF_DATABASE, PRIVILEGES, chosen
from include.backup.sources.postgresql.manifest import escaped, file_name
from include.backup.sources.postgresql.preflight import require_rights
from include.backup.sources.postgresql.programs import Program
from include.backup.sources.postgresql.ranges import DatabaseState, Plan, Range
from include.backup.sources.postgresql.refreshing import refresh_order
from include.backup.sources.postgresql.tools import find_tool, takes_restrict_key

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from include.backup.policy.source_model import PostgresqlSettings
    from include.backup.sources.postgresql.ranges import TableState
    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot

_SEQUENCES_AT_ONCE: Final = 200
_LOCK_SECONDS: Final = 10  # pg_dump's: nobody but who waits for us can be in its way
# Blobs alone: with a table chosen pg_dump leaves out everything else, and this one is left out too.
_NOTHING_ELSE: Final = ("--blobs", "-t", "pg_catalog.pg_am", "-T", "pg_catalog.pg_am")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """What became of a file, for the manifest."""

    bytes: int
    rows: int | None = None
    sha256: str = ""  # empty: some of it was taken over from the parent
    blobs_sha256: str = ""  # of the ids of its blobs, which are SHA-256 themselves


class DefinitionsLocked(SourceError):
    """Somebody waits to change a table, and pg_dump waits for him."""


class Database:
    """One database while it is read.

    Args:
        before: what the parent recovery point remembers of it.
        restrict_key: of psql's restricted mode, the same for a whole generation; empty: a new one.
    """

    def __init__(
        self,
        snapshot: DatabaseSnapshot,
        settings: PostgresqlSettings,
        *,
        before: DatabaseState | None,
        restrict_key: str,
    ) -> None:
        self.snapshot = snapshot
        self.settings = settings
        self.before = before
        self.restrict_key = restrict_key or secrets.token_hex(16)
        self.name = snapshot.address.database
        self.rows: dict[int, Rows] = {
            one.oid: rows_of(
                one,
                schema_only=settings.schema_only,
                unlogged=settings.unlogged == "rows",
                in_recovery=snapshot.in_recovery,
            )
            for one in snapshot.relations
        }
        require_rights(snapshot, self.rows)
        major = snapshot.version // 10_000
        self.psql = find_tool("psql", at_least=min(major, 10))
        self._pg_dump = find_tool("pg_dump", at_least=major)
        self._pg_restore = find_tool("pg_restore", at_least=major)
        self.tables: dict[str, Relation] = {
            file_name(one): one for one in snapshot.relations if self.rows[one.oid] is Rows.READ
        }
        self.why_all = ranges.why_all(snapshot, before, full_read=settings.full_read)
        self.results: dict[str, FileResult] = {}
        self.states: dict[str, TableState] = {}
        self._lock = threading.Lock()
        self._archive: int | None = None
        self._texts: dict[str, bytes] = {}

    @property
    def folder(self) -> str:
        """Its directory in the dataset."""
        return escaped(self.name)

    @property
    def has_large_objects(self) -> bool:
        """Whether there is any large object."""
        return bool(self.snapshot.run("SELECT 1 FROM pg_catalog.pg_largeobject_metadata LIMIT 1"))

    @cached_property
    def tablespaces(self) -> list[str]:
        """Those that its tables and indexes lie in, but for the server's own."""
        return [name for (name,) in self.snapshot.run(_TABLESPACES)]

    def plan(
        self, relation: Relation, before: TableState | None, content: tuple[bytes, ...] | None
    ) -> Plan:
        """What to do about each range of a table.

        Args:
            content: the blobs of the table in the parent snapshot; None: they are not all there.
        """
        snapshot = self.snapshot
        if not ranges.is_ranged(relation, snapshot.version):
            return Plan(0, (Range(0, None, None),))
        why = self.why_all or ranges.why_table(relation, before, content)
        if why or before is None or self.before is None or content is None:
            pages = ranges.pages_of(relation)
            count = ranges.count_of(relation, pages)
            return Plan(pages, tuple(Range(number, None, None) for number in range(count)), why)
        pages = before.pages
        count = ranges.count_of(relation, pages)
        scanned = snapshot.run(ranges.scan_query(relation, count, pages, self.before.xmin))
        turn = self.before.runs + relation.oid
        return Plan(pages, tuple(ranges.decide(scanned, before, content, turn=turn)))

    def note_size(self, name: str) -> Callable[[int], None]:
        """Somebody to tell the size of a file whose content nobody holds."""

        def note(size_bytes: int) -> None:
            self.results[name] = FileResult(bytes=size_bytes)

        return note

    def text(self, name: str) -> bytes:
        """One of the files of SQL, made once."""
        with self._lock:
            if name not in self._texts:
                made = self._make(name)
                self._texts[name] = made
                self.results[name] = FileResult(bytes=len(made), sha256=sha256(made).hexdigest())
            return self._texts[name]

    def _make(self, name: str) -> bytes:
        makers = {
            "database.sql": lambda: self._from_archive("--create", wanted=OF_DATABASE),
            "pre-data.sql": lambda: self._from_archive("--section=pre-data", "--no-privileges"),
            "post-data.sql": self._post_data_sql,
            "load.sql": self._load_sql,
            "sequences.sql": self._sequences_sql,
            "refresh.sql": self._refresh_sql,
        }
        return makers[name]()

    @cached_property
    def schema_sha256(self) -> str:
        """Of everything that schema.dump restores, as text: the archive itself holds its time."""
        texts = [self.text(name) for name in ("database.sql", "pre-data.sql", "post-data.sql")]
        return sha256(b"\0".join(texts)).hexdigest()

    def archive(self) -> int:
        """The descriptor of schema.dump, in memory: made once, by pg_dump, in the snapshot."""
        with self._lock:
            return self._made_archive()

    def _made_archive(self) -> int:
        if self._archive is None:
            try:
                with self.dump("--schema-only", "--format=custom") as program:
                    data = program.read()
            except SourceError as error:
                if self.snapshot.is_waited_for():
                    raise DefinitionsLocked(error.message, hint=error.hint) from None
                raise
            self._archive = os.memfd_create("holdfast-schema", os.MFD_CLOEXEC)
            with os.fdopen(os.dup(self._archive), "wb") as file:
                file.write(data)
        return self._archive

    def dump(self, *arguments: str) -> Program:
        """pg_dump of this database, inside the snapshot."""
        return Program(
            [
                self._pg_dump,
                f"--snapshot={self.snapshot.id}",
                "--encoding=" + ("SQL_ASCII" if self.snapshot.encoding == "SQL_ASCII" else "UTF8"),
                f"--lock-wait-timeout={_LOCK_SECONDS}s",
                "--no-password",
                *self._restricted(self._pg_dump, *arguments),
                *arguments,
            ],
            what=f"{self.snapshot.address.shown}: pg_dump",
            environment=self.snapshot.address.environment(),
        )

    def dump_large_objects(self) -> Program:
        """Every large object as SQL: made, filled, given to its owner, commented and granted."""
        return self.dump(*_NOTHING_ELSE)

    def _restricted(self, program: str, *arguments: str) -> list[str]:
        if "--format=custom" in arguments or not takes_restrict_key(program):
            return []
        return [f"--restrict-key={self.restrict_key}"]

    def _from_archive(self, *arguments: str, wanted: re.Pattern[str] | None = None) -> bytes:
        archive = self._made_archive()
        environment = self.snapshot.address.environment()
        with ExitStack() as opened:
            files = [archive]
            if wanted is not None:
                files.append(
                    opened.enter_context(
                        chosen(self._pg_restore, archive, wanted, environment=environment)
                    )
                )
                arguments = (*arguments, "-L", f"/proc/self/fd/{files[-1]}")
            program = opened.enter_context(
                Program(
                    [self._pg_restore, *self._restricted(self._pg_restore), *arguments,
                     "-f", "-", f"/proc/self/fd/{archive}"],
                    what=f"{self.snapshot.address.shown}: pg_restore",
                    environment=environment,
                    open_files=files,
                )
            )  # fmt: skip
            return program.read()

    def _post_data_sql(self) -> bytes:
        rest = self._from_archive("--section=post-data", "--no-privileges")
        return rest + self._from_archive(wanted=PRIVILEGES)

    def _load_sql(self) -> bytes:
        lines = [
            "-- Loads what lies in data/; run it by psql from the directory that this file is in.",
            "\\set ON_ERROR_STOP on",
            "\\encoding UTF8",
            *(f"SET {name} = '{value}';" for name, value in _LOADING.items()),
        ]
        for file, relation in self.tables.items():
            if copied_by_shell(relation):
                lines.append(f"-- data/{file} has a line of its own in RESTORE.md")
                continue
            name = f"data/{file}".replace("'", "''")
            copied = self.copy_from(relation, f"'{name}'")
            lines.append(f"\\copy {copied}")
        return ("\n".join(lines) + "\n").encode()

    def copy_from(self, relation: Relation, where: str) -> str:
        """COPY FROM as load.sql has it, without its first word."""
        return f"{relation.target} FROM {where} (ENCODING '{self.snapshot.encoding}')"

    def _sequences_sql(self) -> bytes:
        """Values read after all rows: whatever a row has got from a sequence is behind it."""
        wanted = [
            one
            for one in self.snapshot.relations
            if one.kind == "S" and self.rows[one.oid] is Rows.SEQUENCE
        ]
        lines = []
        for start in range(0, len(wanted), _SEQUENCES_AT_ONCE):
            some = wanted[start : start + _SEQUENCES_AT_ONCE]
            query = " UNION ALL ".join(
                f"SELECT {number}, last_value, is_called FROM {one.sql}"
                for number, one in enumerate(some)
            )
            for number, value, called in sorted(self.snapshot.run(query)):
                name = quote_text(some[number].sql)
                lines.append(f"SELECT pg_catalog.setval({name}, {value}, {str(called).lower()});")
        return "".join(f"{line}\n" for line in lines).encode()

    def _refresh_sql(self) -> bytes:
        views = {one.oid: one for one in self.snapshot.relations if one.kind == "m"}
        filled = {oid for oid, one in views.items() if one.populated}
        return "".join(
            f"REFRESH MATERIALIZED VIEW {views[oid].sql};\n"
            for oid in refresh_order(self.snapshot, views, filled)
        ).encode()

    def state(self) -> DatabaseState:
        """What the next incremental compares with."""
        return DatabaseState(
            token=self.snapshot.token,
            xmin=self.snapshot.xmin,
            types=self.snapshot.types,
            durable=self.snapshot.is_durable(),
            runs=0 if self.before is None or self.why_all else self.before.runs + 1,
        )

    def describe(self) -> dict[str, Any]:
        """The database in the manifest."""
        snapshot = self.snapshot
        files = {relation.oid: file for file, relation in self.tables.items()}
        return {
            "server_version": snapshot.version,
            "encoding": snapshot.encoding,
            "standby": snapshot.in_recovery,
            "restrict_key": self.restrict_key,
            "schema_sha256": self.schema_sha256,
            "extensions": dict(snapshot.run(_EXTENSIONS)),
            "tablespaces": self.tablespaces,
            "files": {
                name: _described(result)
                for name, result in self.results.items()
                if name not in self.tables
            },
            "relations": {
                one.sql: {
                    "schema": one.schema,
                    "name": one.name,
                    "kind": one.kind,
                    "rows": str(self.rows[one.oid]),
                    **({"extension": one.extension} if one.extension else {}),
                    **self._described_rows(one, files.get(one.oid)),
                }
                for one in snapshot.relations
            },
        }

    def _described_rows(self, relation: Relation, file: str | None) -> dict[str, Any]:
        if file is None:
            return {}
        where = {
            "file": f"data/{file}",
            "columns": list(relation.columns),
            "indexes": list(relation.indexes),
            "sequences": list(relation.sequences),
        }
        return where | _described(self.results[file])

    def close(self) -> None:
        """Let go of the snapshot."""
        if self._archive is not None:
            os.close(self._archive)
            self._archive = None
        self.snapshot.close()


def copied_by_shell(relation: Relation) -> bool:
    r"""Whether psql's ``\copy``, which is one line, cannot name a table or its columns."""
    return any(char in relation.target for char in "\n\r")


def _described(result: FileResult) -> dict[str, Any]:
    found: dict[str, Any] = {"bytes": result.bytes}
    if result.rows is not None:
        found["count"] = result.rows
    if result.sha256:
        found["sha256"] = result.sha256
    if result.blobs_sha256:
        found["blobs_sha256"] = result.blobs_sha256
    return found


_EXTENSIONS: Final = "SELECT extname::text, extversion FROM pg_catalog.pg_extension ORDER BY 1"
_TABLESPACES: Final = """
SELECT spcname::text FROM pg_catalog.pg_tablespace
 WHERE spcname NOT LIKE 'pg\\_%'
   AND oid IN (SELECT reltablespace FROM pg_catalog.pg_class
         UNION SELECT dattablespace FROM pg_catalog.pg_database WHERE datname = current_database())
 ORDER BY spcname COLLATE "C"
"""
