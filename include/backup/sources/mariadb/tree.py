"""The tree of a dataset: which files there are, how large they claim to be, in which order.

    users.sql                        accounts, without passwords
    <database>/schema.sql            tables and sequences, without rows
    <database>/data/<table>.sql      the rows of one table
    <database>/views.sql, triggers.sql, routines.sql      where there are any

The engine reads files in the order of their sizes, directory by directory. A node's size is what
the server guesses, and is put right when the file has been read; but tables that are read under
the lock come first, and small ones have a size at which the engine hands out many at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.format.tree import Node, NodeType
from include.backup.sources.base import SMALL_BYTES
from include.backup.sources.mariadb.names import (
    DATA,
    ROUTINES,
    ROWS_END,
    SCHEMA,
    TRIGGERS,
    USERS,
    VIEWS,
    file_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.backup.sources.mariadb.catalog import Catalog, Table

EPOCH: Final = "1970-01-01T00:00:00Z"  # directories have no time: the same ones are the same bytes
SMALL_GUESS: Final = 64 << 10  # of the server, for a table that is dumped together with others
_TOGETHER: Final = 64  # tables in one dump
_SMALL_SIZE: Final = 16 << 10  # what they claim: workers then take them, not the walk
_FIRST: Final = 1 << 50
_FOLDER_MODE: Final = 1 << 31 | 0o700
_FILE_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Definitions:
    """A file that holds definitions."""

    database: str
    file: bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """A file that holds the rows of a table."""

    table: Table
    group: int | None = None  # of small tables that are dumped together
    locked: bool = False  # read while the lock is held


class Tree:
    """Every file of a dataset by its path, and every directory."""

    def __init__(self, catalog: Catalog, *, users: bool) -> None:
        self.files: dict[bytes, Definitions | Rows | None] = {}  # None: the accounts
        self.groups: list[tuple[Table, ...]] = []
        self.folders: dict[bytes, list[Node]] = {}
        top = [node_of(USERS, size=1)] if users else []
        if users:
            self.files[USERS] = None
        for database in catalog.databases:
            held = self._database(database, catalog)
            top.append(folder_of(file_name(database), size=_FIRST if held else 0))
        self.folders[b""] = _sorted(top)

    @property
    def locked(self) -> int:
        """How many tables are read while the lock is held."""
        return sum(1 for file in self.files.values() if isinstance(file, Rows) and file.locked)

    def _database(self, database: str, catalog: Catalog) -> bool:
        """Lay out one database; return whether a table of it is read under the lock."""
        folder = file_name(database)
        tables = catalog.of(database)
        definitions = [SCHEMA]
        if any(table.kind == "view" for table in tables):
            definitions.append(VIEWS)
        if catalog.others_of(database, "trigger"):
            definitions.append(TRIGGERS)
        if catalog.others_of(database, "routine", "event"):
            definitions.append(ROUTINES)
        for name in definitions:
            self.files[folder + b"/" + name] = Definitions(database, name)
        inner = [node_of(name, size=SMALL_BYTES + 1) for name in definitions]
        nodes, held = self._rows(folder + b"/" + DATA, [one for one in tables if one.has_rows])
        if nodes:
            inner.append(folder_of(DATA))
            self.folders[folder + b"/" + DATA] = _sorted(nodes)
        self.folders[folder] = _sorted(inner)
        return held

    def _rows(self, folder: bytes, tables: list[Table]) -> tuple[list[Node], bool]:
        nodes = []
        held = False
        together: list[Table] = []
        for table in tables:
            name = file_name(table.name) + ROWS_END
            rows = Rows(table, locked=not table.transactional)
            size = max(table.size_bytes, SMALL_BYTES + 1)
            if rows.locked:
                held, size = True, size + _FIRST
            elif _is_small(table):
                rows, size = Rows(table, group=len(self.groups)), _SMALL_SIZE
                together.append(table)
                if len(together) == _TOGETHER:
                    self.groups.append(tuple(together))
                    together = []
            self.files[folder + b"/" + name] = rows
            nodes.append(node_of(name, size=size))
        if together:
            self.groups.append(tuple(together))
        return nodes, held


def node_of(name: bytes, *, size: int, mtime: str = EPOCH) -> Node:
    """A file."""
    return Node(
        name=name, type=str(NodeType.FILE), mode=_FILE_MODE, size=size,
        mtime=mtime, atime=mtime, ctime=mtime,
    )  # fmt: skip


def folder_of(name: bytes, *, size: int = 0) -> Node:
    """A directory; a size puts it before others, and is taken away by `complete`."""
    return Node(
        name=name, type=str(NodeType.DIR), mode=_FOLDER_MODE, size=size,
        mtime=EPOCH, atime=EPOCH, ctime=EPOCH,
    )  # fmt: skip


def _is_small(table: Table) -> bool:
    """Whether a table may be dumped together with others: little, and nothing odd about it."""
    return table.size_bytes <= SMALL_GUESS and not table.casts and table.kind == "table"


def _sorted(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: node.name)
