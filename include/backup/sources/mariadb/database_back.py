"""One database on its way back into a server: definitions, rows, and what watches them."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import DestinationRefused, RestoreRefused
from include.backup.evidence.wording import count
from include.backup.sources.mariadb.catalog import SCHEMA_ONLY, names_of_tables
from include.backup.sources.mariadb.foreign_keys import referring_to_nothing
from include.backup.sources.mariadb.loading import Loader, only, only_triggers, renamed
from include.backup.sources.mariadb.names import (
    ROUTINES,
    SCHEMA,
    TRIGGERS,
    VIEWS,
    file_name,
    path_of,
    quoted,
    text,
)
from include.backup.sources.mariadb.session import Session, SqlFailed
from include.backup.sources.noting import Note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from include.backup.sources.base import StoredFiles

_MOST_NAMED: Final = 10
_DEFINERS: Final = """\
SELECT definer, CONCAT('view ', table_name) FROM information_schema.views WHERE table_schema = {0}
UNION SELECT definer, CONCAT('trigger ', trigger_name) FROM information_schema.triggers
 WHERE trigger_schema = {0}
UNION SELECT definer, CONCAT(LOWER(routine_type), ' ', routine_name)
 FROM information_schema.routines WHERE routine_schema = {0}
UNION SELECT definer, CONCAT('event ', event_name) FROM information_schema.events
 WHERE event_schema = {0} ORDER BY 1, 2"""


class DatabaseBack:
    """One database on its way back.

    Args:
        about: what the manifest says of it.
        name: what it is to be called.
        wanted: which files are put back.
    """

    def __init__(
        self,
        loader: Loader,
        files: StoredFiles,
        about: dict[str, Any],
        *,
        name: str,
        wanted: Callable[[bytes], bool],
    ) -> None:
        self._loader = loader
        self._files = files
        self._about = about
        self._wanted = wanted
        self.target = name
        self._folder = file_name(str(about["name"]))
        relations = about["relations"]
        self.tables = [one for one in relations if one["kind"] != "view" and self._wants(one)]
        others = [name for name in (SCHEMA, ROUTINES, VIEWS, TRIGGERS) if self._has(name)]
        self._others = others
        self.whole = SCHEMA in others and len(self.tables) == sum(
            1 for one in relations if one["kind"] != "view"
        )
        self.files = 0
        self.bytes = 0
        self._lock = threading.Lock()

    @property
    def has_any(self) -> bool:
        """Whether anything of it is wanted."""
        return bool(self.tables or self._others)

    def require_room(self, session: Session) -> None:
        """Refuse to replace tables.

        Raises:
            DestinationRefused: they are there; or the whole of it is to go where others are.
        """
        there = {table for _, table in names_of_tables(session, [self.target])}
        if self.whole and there:
            raise DestinationRefused(
                f"database {self.target} is not empty: it has {count(len(there), 'table')}",
                hint="restore into a new database, or with --overwrite",
            )
        if known := sorted(there & {str(one["name"]) for one in self.tables}):
            raise DestinationRefused(
                f"database {self.target} has {known[0]} already",
                hint="restore into another database, or give --overwrite, which replaces it",
            )

    def standing(self, session: Session) -> list[str]:
        """What is replaced, for people."""
        there = {table for _, table in names_of_tables(session, [self.target])}
        known = sorted(there & {str(one["name"]) for one in self.tables})
        return [f"database {self.target}: table {name} is replaced" for name in known]

    def begin(self, session: Session) -> None:
        """Make the database and its tables, without rows."""
        session.query(
            f"CREATE DATABASE IF NOT EXISTS {quoted(self.target)} CHARACTER SET "
            f"{self._about['character_set']} COLLATE {self._about['collation']}"
        )
        schema = self._files.load(self._folder + b"/" + SCHEMA)
        names = {str(one["name"]) for one in self.tables}
        self._load("its tables", schema, [schema] if self.whole else only(schema, names))

    def fill(self, table: dict[str, Any]) -> None:
        """Put the rows of one table back, and count them.

        Raises:
            RestoreRefused.
        """
        path = str(table["file"]).encode()
        what = f"{self.target}.{table['name']}"
        self._loader.load(what, self.target, self._counted(path))
        if table["rows"] is None:
            return
        place = f"{quoted(self.target)}.{quoted(str(table['name']))}"
        every = " FOR SYSTEM_TIME ALL" if table["kind"] == "versioned table" else ""
        with closing(self._loader.session()) as session:
            rows = int(session.query(f"SELECT COUNT(*) FROM {place}{every}")[0][0])  # noqa: S608
        if rows != table["rows"]:
            raise RestoreRefused(
                f"{what} has {rows} rows after the restore, and had {table['rows']}",
                hint="does somebody write into it?",
            )

    def finish(self, session: Session) -> list[Note]:
        """Define what reads and watches the tables, and compare all with the manifest.

        Raises:
            RestoreRefused.
        """
        for name in (ROUTINES, VIEWS, TRIGGERS):
            if name in self._others:
                data = self._renamed(self._files.load(self._folder + b"/" + name))
                self._load(f"its {name.decode().removesuffix('.sql')}", data, [data])
        if TRIGGERS not in self._others:
            self._watch_again()
        there = {table for _, table in names_of_tables(session, [self.target])}
        expected = {str(one["name"]) for one in self.tables}
        if VIEWS in self._others:
            expected |= {str(one["name"]) for one in self._about["relations"]}
        if missing := sorted(expected - there):
            raise RestoreRefused(f"{self.target}: not restored: {', '.join(missing[:_MOST_NAMED])}")
        notes = []
        if self.whole and (more := sorted(there - expected)):
            named = ", ".join(more[:_MOST_NAMED])
            notes.append(Note(path=self.target, what=f"left as they were: {named}"))
        empty = [
            str(one["name"])
            for one in self.tables
            if str(one.get("rows_left_out", "")).startswith(SCHEMA_ONLY)
        ]
        if empty:
            named = ", ".join(empty[:_MOST_NAMED])
            what = (
                f"{count(len(empty), 'table')} without rows, as the backup left them out: {named}"
            )
            notes.append(Note(path=self.target, what=what))
        if not self.whole:
            names = [str(one["name"]) for one in self.tables]
            notes += [
                Note(path=self.target, what=what)
                for what in referring_to_nothing(session, self.target, names)
            ]
        return notes + self._without_definers(session)

    def _watch_again(self) -> None:
        """Put back the triggers of tables that came back without the rest of their database."""
        path = self._folder + b"/" + TRIGGERS
        if self._files.find(path) is None:
            return
        names = {str(one["name"]) for one in self.tables}
        if data := self._renamed(only_triggers(self._files.load(path), names)):
            self._load("their triggers", data, [data])

    def _renamed(self, sql: bytes) -> bytes:
        return renamed(sql, old=str(self._about["name"]), new=self.target)

    def _without_definers(self, session: Session) -> list[Note]:
        """Views and the like whose definer does not exist here: they fail when they are used."""
        try:
            users = {
                f"{_plain(name)}@{_plain(host)}"
                for name, host in session.query("SELECT user, host FROM mysql.user")
            }
        except SqlFailed:
            if not self._others or self._others == [SCHEMA]:
                return []
            what = "whether the definers of views and routines exist was not looked at"
            return [Note(path=self.target, what=f"{what}: no SELECT on mysql.user")]
        orphans: dict[str, list[str]] = {}
        for definer, what in session.query(_DEFINERS.format(text(self.target))):
            if definer not in users and not str(definer).endswith("@"):  # that is a role
                orphans.setdefault(str(definer), []).append(str(what))
        return [
            Note(
                path=self.target,
                what=f"their definer {definer} does not exist here, so they fail until it does: "
                f"{', '.join(names[:_MOST_NAMED])}",
            )
            for definer, names in orphans.items()
        ]

    def _load(self, what: str, data: bytes, pieces: Iterable[bytes]) -> None:
        self._loader.load(f"{self.target}: {what}", self.target, pieces)
        self._count(len(data))

    def _counted(self, path: bytes) -> Iterator[bytes]:
        size = 0
        for piece in self._files.stream(path):
            size += len(piece)
            yield piece
        self._count(size)

    def _count(self, size: int) -> None:
        with self._lock:
            self.files += 1
            self.bytes += size

    def _wants(self, relation: dict[str, Any]) -> bool:
        """Whether a table is put back: by its file; one without rows goes with its database."""
        return self._wanted(path_of(self._folder, relation))

    def _has(self, name: bytes) -> bool:
        path = self._folder + b"/" + name
        return self._wanted(path) and self._files.find(path) is not None


def _plain(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
