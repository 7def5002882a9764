"""One pass over the databases of a server, and the protocol that makes it one moment.

    catalog, rights ─ read lock ─ snapshots of all lanes ─ unlock ─ … entries … ─ catalog again
                                  └─ the consistency point ─┘                     the same, or fail

A *lane* is a session with a snapshot. Whoever reads an entry takes a lane that is free, lets
`mariadb-dump` work in it (relay.py), and gives it back; so it does not matter in which order
entries are read, by how many threads, or how many lanes there are: a thread that has a lane waits
for nothing but the server, hence nobody waits for ever.

Small tables are dumped 64 at a time, for a program takes as long to start as it takes to read
them. The first that is asked for has the others read as well; they wait in memory to be asked for.

Tables of engines without transactions are read first, and the lock is held until the last is done.
"""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from include.backup.errors import BackupError, EntryUnreadable
from include.backup.evidence.wording import count
from include.backup.format.times import text_of_datetime
from include.backup.sources.base import JOBS, SMALL_BYTES
from include.backup.sources.mariadb import dumping
from include.backup.sources.mariadb.dumping import DumpContent, Figures, Reader, Rewriter
from include.backup.sources.mariadb.failures import unreadable
from include.backup.sources.mariadb.manifest import MANIFEST, POSITION, manifest, position
from include.backup.sources.mariadb.names import ROUTINES, SCHEMA, TRIGGERS, USERS, VIEWS
from include.backup.sources.mariadb.programs import DUMP, Program, ProgramFailed
from include.backup.sources.mariadb.session import SqlFailed
from include.backup.sources.mariadb.steps import restore_steps
from include.backup.sources.mariadb.tree import Definitions, Rows, Tree, folder_of, node_of
from include.backup.sources.mariadb.window import return_to_snapshot
from include.backup.sources.noting import Notes

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from include.backup.format.tree import Node
    from include.backup.sources.mariadb.catalog import Catalog, Table
    from include.backup.sources.mariadb.session import Session
    from include.backup.sources.mariadb.window import Window

_MOST_TOGETHER_BYTES: Final = 16 << 20  # of a dump of small tables, should they not be small
_ROOT: Final = folder_of(b"root")


class MariadbReading:
    """One pass. Entries may be read once each, in any order, by any number of threads.

    Args:
        again: reads the catalog once more.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        window: Window,
        lanes: Sequence[Session],
        users: bytes | None,
        taken_at: datetime,
        again: Callable[[], Catalog],
        refuse_changes: Callable[[Catalog, Catalog], None],
    ) -> None:
        self.taken_at = taken_at
        self.root = _ROOT
        self.notes = Notes()
        self.late: frozenset[bytes] = frozenset()
        self.largest_first = True
        self.jobs = JOBS  # that cut and seal; lanes to the server are another thing
        self._catalog = catalog
        self._window = window
        self._users = users
        self._again = again
        self._refuse_changes = refuse_changes
        self._version = lanes[0].version
        self._is_mariadb = lanes[0].is_mariadb
        self._mtime = text_of_datetime(taken_at)
        self._tree = Tree(catalog, users=users is not None)
        self._free: queue.SimpleQueue[Session] = queue.SimpleQueue()
        for lane in lanes:
            self._free.put(lane)
        self._read: dict[tuple[str, str], tuple[str, Figures]] = {}
        self._together: dict[int, dict[str, bytes] | None] = {}
        self._group_locks = [threading.Lock() for _ in self._tree.groups]
        self._lock = threading.Lock()
        self._left_locked = self._tree.locked
        self._stopped = threading.Event()
        self._cause: BaseException | None = None  # what failed first
        if not self._left_locked:
            self._window.release()

    def stop(self) -> None:
        """See Stoppable."""
        self._stopped.set()

    def _given_up(self) -> EntryUnreadable | None:
        """The error for whoever waits; where another reader has failed, it is that one's."""
        if not self._stopped.is_set():
            return None
        if isinstance(self._cause, BackupError):
            return EntryUnreadable(self._cause.message, hint=self._cause.hint)
        return EntryUnreadable("the reading was given up")

    def list(self, path: bytes) -> builtins.list[Node]:
        """See Reading.list."""
        return [*self._tree.folders[path]]

    def unchanged(self, entry: Node, parent: Node) -> bool:
        """See Reading.unchanged: nothing short of reading it tells."""
        del entry, parent
        return False

    def complete(self, path: bytes, entry: Node) -> Node:
        """See Reading.complete."""
        del path
        return entry._replace(size=0)  # of a directory: see tree.py

    def read_small(self, path: bytes, entry: Node) -> tuple[Node, bytes | None] | None:
        """See Reading.read_small."""
        file = self._tree.files[path]
        if file is None:
            assert self._users is not None
            return node_of(USERS, size=len(self._users)), self._users
        assert isinstance(file, Rows)
        data = self._of_group(file)
        if data is None or len(data) > SMALL_BYTES:
            return entry, None
        figures = Figures()
        figures.add(data)
        self._done(path, file.table, figures)
        return node_of(entry.name, size=len(data)), data

    @contextmanager
    def open(self, path: bytes, entry: Node, was: Node | None) -> Iterator[DumpContent]:
        """See Reading.open."""
        file = self._tree.files[path]
        assert file is not None

        def done(figures: Figures, blobs: tuple[bytes, ...]) -> Node:
            if isinstance(file, Rows):
                self._done(path, file.table, figures)
            same = was is not None and was.content == blobs
            return node_of(
                entry.name, size=0, mtime=was.mtime if same and was is not None else self._mtime
            )

        with self._lane() as lane:
            begin, fail = self._reading_of(file, lane)
            content = DumpContent(begin, done, self._given_up, fail)
            try:
                yield content
            finally:
                content.close()
            self._give_up_locks(lane)
        if isinstance(file, Rows) and file.locked:
            self._count_locked()

    def about(self) -> Mapping[str, bytes]:
        """See Reading.about."""
        self._refuse_changes(self._catalog, self._again())
        return {
            MANIFEST: manifest(
                self._version, self._catalog, self._read, users=self._users is not None
            ),
            POSITION: position(self._window),
        }

    def contents(self, files: int) -> str:
        """See Reading.contents."""
        del files
        databases = count(len(self._catalog.databases), "database")
        return f"{count(len(self._read), 'table')} of {databases}"

    def restore_steps(self) -> str:
        """See Reading.restore_steps."""
        return restore_steps(self._version, self._catalog.databases, is_mariadb=self._is_mariadb)

    @contextmanager
    def _lane(self) -> Iterator[Session]:
        """A lane that is free. One in which something failed is not used again."""
        while True:
            if (why := self._given_up()) is not None:
                raise why
            try:
                lane = self._free.get(timeout=1.0)
            except queue.Empty:
                continue
            break
        try:
            yield lane
        except BaseException as error:
            self._cause = self._cause or error
            self.stop()
            raise
        self._free.put(lane)

    def _give_up_locks(self, lane: Session) -> None:
        try:
            return_to_snapshot(lane)
        except SqlFailed as error:
            raise EntryUnreadable(f"the snapshot was lost: {error.message}") from None

    def _reading_of(
        self, file: Definitions | Rows, lane: Session
    ) -> tuple[Callable[[], Program | None], Callable[[ProgramFailed], EntryUnreadable]]:
        """What begins the programs of a file, and what their failing means."""
        if isinstance(file, Definitions):
            left = iter(self._commands(file))

            def begin() -> Program | None:
                command = next(left, None)
                return None if command is None else Program(DUMP, lane, command)

            return begin, lambda error: unreadable(f"{file.database}: {file.file.decode()}", error)
        rows = iter((file.table,))
        rewriters: builtins.list[Rewriter | None] = []

        def begin_rows() -> Program | None:
            if (table := next(rows, None)) is None:
                self._check_casts(file.table, rewriters[0])
                return None
            program, rewriter = dumping.rows_program(lane, [table])
            rewriters.append(rewriter)
            return program

        return begin_rows, lambda error: unreadable(str(file.table), error)

    def _check_casts(self, table: Table, rewriter: Rewriter | None) -> None:
        if rewriter is not None and not rewriter.applied:
            named = ", ".join(name for name, _ in table.casts)
            self.notes.add(str(table), f"columns that the server does not print in full: {named}")

    def _commands(self, file: Definitions) -> builtins.list[builtins.list[str]]:
        if file.file == SCHEMA:
            tables = self._catalog.of(file.database)
            names = [table.name for table in tables if table.kind != "view"]
            return dumping.definitions(file.database, names)
        if file.file == VIEWS:
            return dumping.definitions(file.database, self._catalog.views_of(file.database))
        kinds = {TRIGGERS: dumping.triggers, ROUTINES: dumping.routines}
        return kinds[file.file](file.database)

    def _of_group(self, file: Rows) -> bytes | None:
        """The rows of a small table; None when its group turned out to be large."""
        assert file.group is not None
        with self._group_locks[file.group]:
            if file.group not in self._together:
                self._together[file.group] = self._dump_group(self._tree.groups[file.group])
            outputs = self._together[file.group]
        return None if outputs is None else outputs.pop(file.table.name)

    def _dump_group(self, tables: Sequence[Table]) -> dict[str, bytes] | None:
        pieces: builtins.list[bytes] = []
        size = 0
        with self._lane() as lane:
            program, _ = dumping.rows_program(lane, tables)
            try:
                for piece in Reader(program, self._given_up).all():
                    size += len(piece)
                    if size > _MOST_TOGETHER_BYTES:
                        pieces = []  # read on: what is half read would spoil the lane
                    else:
                        pieces.append(piece)
            except ProgramFailed as error:
                raise unreadable(tables[0].database, error) from None
            finally:
                program.close()
            self._give_up_locks(lane)
        if size > _MOST_TOGETHER_BYTES:
            return None
        return dumping.split(b"".join(pieces), tables)

    def _done(self, path: bytes, table: Table, figures: Figures) -> None:
        with self._lock:
            self._read[table.database, table.name] = (path.decode(), figures)

    def _count_locked(self) -> None:
        """Release the lock when the last table that needs it has been read."""
        with self._lock:
            self._left_locked -= 1
            if self._left_locked:
                return
            try:
                self._window.release()
            except SqlFailed as error:
                raise EntryUnreadable(f"the read lock was lost: {error.message}") from None
        held = self._window.held_seconds or 0.0
        self.notes.add(
            "", f"writers waited {held:.1f} seconds, for tables of engines without transactions"
        )
