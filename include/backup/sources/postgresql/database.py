"""One database of a reading: its snapshot, its tables, and what became of them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from include.backup.sources.postgresql import ranges
from include.backup.sources.postgresql.catalog import Relation, Rows, rows_of
from include.backup.sources.postgresql.definitions import Definitions
from include.backup.sources.postgresql.manifest import escaped, file_name
from include.backup.sources.postgresql.preflight import require_rights
from include.backup.sources.postgresql.ranges import DatabaseState, Plan, Range
from include.backup.sources.postgresql.refreshing import refresh_order
from include.backup.sources.postgresql.tools import find_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.policy.source_model import PostgresqlSettings
    from include.backup.sources.postgresql.ranges import TableState
    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """What became of a file, for the manifest."""

    bytes: int
    rows: int | None = None
    sha256: str = ""  # empty: some of it was taken over from the parent
    blobs_sha256: str = ""  # of the ids of its blobs, which are SHA-256 themselves


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
        refreshed = refresh_order(snapshot)
        kept = {one.oid for one in refreshed}
        for one in snapshot.relations:
            if self.rows[one.oid] is Rows.REFRESHED and one.oid not in kept:
                self.rows[one.oid] = Rows.NOT_REFRESHED if one.populated else Rows.EMPTY
        require_rights(snapshot, self.rows)
        major = snapshot.version // 10_000
        self.psql = find_tool("psql", at_least=min(major, 10))
        self.tables: dict[str, Relation] = {
            file_name(one): one for one in snapshot.relations if self.rows[one.oid] is Rows.READ
        }
        self.why_all = ranges.why_all(snapshot, before, full_read=settings.full_read)
        self.results: dict[str, FileResult] = {}
        self.states: dict[str, TableState] = {}
        self.definitions = Definitions(
            snapshot,
            tables=self.tables,
            sequences=[one for one in snapshot.relations if self.rows[one.oid] is Rows.SEQUENCE],
            refreshed=refreshed,
            restrict_key=self.restrict_key,
        )

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
        query = ranges.scan_query(relation, count, pages, self.before.xmin)
        scanned = snapshot.run_beside(relation, query)
        turn = self.before.runs + relation.oid
        return Plan(pages, tuple(ranges.decide(scanned, before, content, turn=turn)))

    def note_size(self, name: str) -> Callable[[int], None]:
        """Somebody to tell the size of a file whose content nobody holds."""

        def note(size_bytes: int) -> None:
            self.results[name] = FileResult(bytes=size_bytes)

        return note

    def text(self, name: str) -> bytes:
        """One of the files of SQL; its size and digest are remembered for the manifest.

        Raises:
            SourceError.
        """
        made = self.definitions.text(name)
        self.results[name] = FileResult(bytes=len(made), sha256=sha256(made).hexdigest())
        return made

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
            "schema_sha256": self.definitions.sha256,
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
        self.definitions.close()
        self.snapshot.close()


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
