"""One pass over the databases of a server; see sources.base.Reading.

    roles.sql, <database>/…          the files of definitions.py

All snapshots are taken when the pass begins, one for each database. Small tables are read by the
coordinating session itself, the others through psql, as many at a time as the dataset has jobs.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.format.times import text_of_datetime
from include.backup.format.tree import Node, NodeType
from include.backup.sources.base import SMALL_BYTES
from include.backup.sources.contents import Bytes, Kept
from include.backup.sources.noting import Notes
from include.backup.sources.postgresql import manifest
from include.backup.sources.postgresql.contents import Stream
from include.backup.sources.postgresql.database import FileResult
from include.backup.sources.postgresql.rows import TableRows
from include.backup.sources.postgresql.steps import restore_steps, tables_in

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from include.backup.policy.source_model import PostgresqlSettings
    from include.backup.sources.base import Content, Parent
    from include.backup.sources.postgresql.database import Database
    from include.backup.sources.postgresql.programs import Program

_FOLDER_MODE: Final = 1 << 31 | 0o755  # as Go's os.FileMode has it
_FILE_MODE: Final = 0o644
_TEXTS: Final = ("database.sql", "pre-data.sql", "load.sql", "post-data.sql", "refresh.sql")
_ARCHIVE, _OBJECTS, _SEQUENCES = "schema.dump", "large_objects.sql", "sequences.sql"
_ROLES: Final = "roles.sql"
# Whatever may be larger than it looks goes the way of large files.
_NOT_SMALL: Final = SMALL_BYTES + 1


class PostgresReading:
    """One pass over some databases.

    Args:
        dated: the times of all files: they say nothing, and must not differ within a generation.
        slot: held while a stream is read; bounds how many there are on one server.
    """

    def __init__(
        self,
        databases: Sequence[Database],
        settings: PostgresqlSettings,
        parent: Parent | None,
        *,
        taken_at: datetime,
        dated: datetime,
        roles: Callable[[], Program],
        slot: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.taken_at = taken_at
        self.largest_first = True
        self.jobs = settings.jobs
        self._databases = {one.folder: one for one in databases}
        self._settings = settings
        self._parent = parent
        self._dated = dated
        self._roles_program = roles
        self._slot = slot
        self._roles: bytes | None = None
        self._begun = time.monotonic()
        self.notes = Notes()
        self.late = frozenset(f"{one.folder}/{_SEQUENCES}".encode() for one in databases)
        for one in databases:
            if one.before is not None and one.why_all:
                self.notes.add(one.name, f"read in full: {one.why_all}")

    @property
    def root(self) -> Node:
        """See Reading.root."""
        return self._node("root", folder=True)

    def list(self, path: bytes) -> builtins.list[Node]:
        """See Reading.list."""
        if not path:
            inner = [self._node(name, folder=True) for name in self._databases]
            return sorted([*inner, self._node(_ROLES)], key=lambda node: node.name)
        folder, _, rest = path.decode().partition("/")
        one = self._databases[folder]
        if rest:
            nodes = [self._node(file, size=known.bytes_all) for file, known in one.tables.items()]
        else:
            nodes = [self._node("data", folder=True), *map(self._node, _TEXTS)]
            nodes.append(self._node(_SEQUENCES))
            nodes.append(self._node(_ARCHIVE, size=_NOT_SMALL))
            if one.has_large_objects:
                nodes.append(self._node(_OBJECTS, size=_NOT_SMALL))
        return sorted(nodes, key=lambda node: node.name)

    def unchanged(self, entry: Node, parent: Node) -> bool:
        """See Reading.unchanged: only directories are, in which nothing but names counts."""
        return entry.type == parent.type == NodeType.DIR

    def complete(self, path: bytes, entry: Node) -> Node:
        """See Reading.complete."""
        del path
        return entry

    def read_small(self, path: bytes, entry: Node) -> tuple[Node, bytes | None] | None:
        """See Reading.read_small."""
        self._guard()
        one, name = self._at(path)
        if one is None:
            data = self._roles_sql()
        elif name in one.tables:
            relation = one.tables[name]
            data = b"".join(one.snapshot.copied(relation.select()))
            one.results[name] = _result_of(data, rows=data.count(b"\n"))
        else:
            data = one.text(name)
        return entry, data if len(data) <= SMALL_BYTES else None

    @contextmanager
    def open(self, path: bytes, entry: Node, was: Node | None) -> Iterator[Content]:
        """See Reading.open."""
        self._guard()
        one, name = self._at(path)
        with self._slot():
            if one is None:
                yield Bytes(entry, self._roles_sql())
            elif name in one.tables:
                with self._table(one, name, entry, was) as rows:
                    yield rows
            elif name == _OBJECTS:
                with one.definitions.dump_large_objects() as program:
                    yield Stream(entry, program, one.note_size(name))
            elif name == _ARCHIVE:
                yield self._archive(one, entry, was)
            else:
                yield Bytes(entry, one.text(name))

    @contextmanager
    def _table(
        self, one: Database, name: str, entry: Node, was: Node | None
    ) -> Iterator[TableRows]:
        relation = one.tables[name]
        before = None
        if self._parent is not None and not one.why_all:
            known = self._parent.load(manifest.ranges_name(one.name, name))
            before = manifest.table_state(known)
        plan = one.plan(relation, before, None if was is None else was.content)
        if before is not None and plan.why_all:
            self.notes.add(f"{one.name} {relation.label}", f"read in full: {plan.why_all}")
        rows = TableRows(one.snapshot, one.psql, relation, entry, plan, guard=self._guard)
        try:
            yield rows
        finally:
            rows.close()
        one.results[name] = FileResult(
            bytes=rows.size_bytes,
            rows=sum(rows.rows),
            sha256=rows.sha256,
            blobs_sha256=rows.ids.hexdigest(),
        )
        if plan.pages:
            one.states[name] = rows.state()

    def _archive(self, one: Database, entry: Node, was: Node | None) -> Content:
        """schema.dump: the parent's, if it restores the same; each is written with its time."""
        known = manifest.decode(self._parent.load(manifest.MANIFEST)) if self._parent else {}
        before = known.get("databases", {}).get(one.name, {}).get("schema_sha256")
        if was is not None and was.content and before == one.definitions.sha256:
            one.results[_ARCHIVE] = FileResult(bytes=was.size)
            return Kept(was)
        data = one.definitions.archive().whole()
        one.results[_ARCHIVE] = _result_of(data)
        return Bytes(entry, data)

    def about(self) -> Mapping[str, bytes]:
        """See Reading.about."""
        databases = self._databases.values()
        files = {
            manifest.MANIFEST: manifest.encode({
                "format": manifest.FORMAT,
                "kind": "postgresql",
                "databases": {one.name: one.describe() for one in databases},
            }),
            manifest.STATE: manifest.encode({
                "format": manifest.FORMAT,
                "dated": text_of_datetime(self._dated),
                "databases": {
                    one.name: manifest.state_document(one.state())
                    | {"snapshot": one.snapshot.id, "insert_lsn": one.snapshot.insert_lsn}
                    for one in databases
                },
            }),
        }
        for one in databases:
            for name, state in one.states.items():
                files[manifest.ranges_name(one.name, name)] = manifest.table_document(state)
        return files

    def contents(self, files: int) -> str:
        """See Reading.contents."""
        del files
        tables = sum(len(one.tables) for one in self._databases.values())
        return tables_in(tables, len(self._databases))

    def restore_steps(self) -> str:
        """See Reading.restore_steps."""
        return restore_steps(list(self._databases.values()))

    def close(self) -> None:
        """Let go of all snapshots."""
        for one in self._databases.values():
            one.close()

    def _at(self, path: bytes) -> tuple[Database | None, str]:
        first, _, rest = path.decode().partition("/")
        return self._databases.get(first), rest.removeprefix("data/") or first

    def _roles_sql(self) -> bytes:
        if self._roles is None:
            with self._roles_program() as program:
                self._roles = program.read()
        return self._roles

    def _guard(self) -> None:
        """Let go of snapshots that are older than the dataset allows.

        Raises:
            SourceError.
        """
        limit = self._settings.max_snapshot_age
        if limit is not None and time.monotonic() - self._begun > limit.total_seconds():
            raise SourceError(
                f"the snapshot was held for {limit}: longer than max_snapshot_age allows",
                hint="vacuum waits for it; give the backup more jobs, a quieter time, or longer",
            )

    def _node(self, name: str, *, folder: bool = False, size: int = 0) -> Node:
        dated = text_of_datetime(self._dated)
        return Node(
            name=name.encode(),
            type=str(NodeType.DIR if folder else NodeType.FILE),
            mode=_FOLDER_MODE if folder else _FILE_MODE,
            mtime=dated,
            atime=dated,
            ctime=dated,
            size=size,
        )


def _result_of(data: bytes, *, rows: int | None = None) -> FileResult:
    return FileResult(bytes=len(data), rows=rows, sha256=sha256(data).hexdigest())
