"""Putting databases back into a server.

    refuse ─ CREATE DATABASE ─ tables and sequences ─ rows, several tables at a time, each counted
    ─ routines and events ─ views ─ triggers ─ the same relations as in the manifest?

Triggers come last, so none fires for a row that is put back. Whatever the server says no to ends
the restore with an error that names the table: what is there then is no restored database.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import DamageFound, RestoreRefused, SourceError
from include.backup.evidence.wording import count
from include.backup.sources.base import Note, PutBack
from include.backup.sources.mariadb.address import address_of
from include.backup.sources.mariadb.catalog import SYSTEM, names_of_tables
from include.backup.sources.mariadb.loading import Loader, only
from include.backup.sources.mariadb.manifest import FORMAT, MANIFEST
from include.backup.sources.mariadb.names import (
    DATA,
    ROUTINES,
    SCHEMA,
    TRIGGERS,
    VIEWS,
    file_name,
    quoted,
    text,
)
from include.backup.sources.mariadb.programs import CLIENT, find
from include.backup.sources.mariadb.session import Session, SqlFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from include.backup.sources.base import StoredFiles
    from include.backup.sources.connection import Connection
    from include.backup.sources.mariadb.address import Address

_MOST_NAMED: Final = 10
_IDENTITY: Final = ("server_uuid", "server_uid", "hostname", "port", "datadir", "server_id")
_DEFINERS: Final = """\
SELECT definer, CONCAT('view ', table_name) FROM information_schema.views WHERE table_schema = {0}
UNION SELECT definer, CONCAT('trigger ', trigger_name) FROM information_schema.triggers
 WHERE trigger_schema = {0}
UNION SELECT definer, CONCAT(LOWER(routine_type), ' ', routine_name)
 FROM information_schema.routines WHERE routine_schema = {0}
UNION SELECT definer, CONCAT('event ', event_name) FROM information_schema.events
 WHERE event_schema = {0} ORDER BY 1, 2"""


class MariadbTarget:
    """A server, or one database of it, that a recovery point is put back into.

    Args:
        connection: of the server.
        database: another name for the one database that the recovery point holds.
        overwrite: replace tables of the same names; others stay.
        source: what the dataset is read from; into it only if `into_source`.
        wanted: which files are put back, by their paths below the dataset.
        jobs: how many tables are filled at a time.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        database: str = "",
        overwrite: bool = False,
        source: Connection | None = None,
        into_source: bool = False,
        wanted: Callable[[bytes], bool] = lambda _: True,
        jobs: int = 2,
    ) -> None:
        self._connection = connection
        self._database = database
        self._overwrite = overwrite
        self._source = source
        self._into_source = into_source
        self._wanted = wanted
        self._jobs = jobs

    def prepare(self) -> None:
        """See Server.prepare."""
        find(CLIENT)
        address = address_of("target", self._connection)
        if self._database in SYSTEM:
            raise RestoreRefused(f"{self._database} is the server's own database")
        try:
            with closing(Session(address)) as session:
                if self._source is not None and not self._into_source:
                    _refuse_source(session, address_of("source", self._source))
                if self._database:
                    self._require_empty(session, self._database)
        except SourceError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None

    def put(self, files: StoredFiles, progress: Callable[[int], None]) -> PutBack:
        """See Server.put."""
        loader = Loader(self._connection, progress)
        plan = [_Part(self, loader, files, one) for one in self._databases(files)]
        plan = [part for part in plan if part.has_any]
        if self._database and len(plan) > 1:
            raise RestoreRefused(
                f"the recovery point holds {len(plan)} databases, not one to be called "
                f"{self._database}",
                hint="restore them under their own names, or one of them by its path",
            )
        try:
            with closing(loader.session()) as session:
                for part in plan:
                    self._require_empty(session, part.target)
                for part in plan:
                    part.begin(session)
                self._fill(plan)
                notes = [note for part in plan for note in part.finish(session)]
        except SourceError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None
        tables = sum(len(part.tables) for part in plan)
        return PutBack(
            files=sum(part.files for part in plan),
            bytes_written=sum(part.bytes for part in plan),
            contents=f"{count(tables, 'table')} of {count(len(plan), 'database')}",
            notes=tuple(notes),
        )

    def _databases(self, files: StoredFiles) -> list[dict[str, Any]]:
        data = files.about(MANIFEST)
        if data is None:
            raise DamageFound(f"the recovery point has no {MANIFEST}")
        about = json.loads(data)
        if about.get("source") != "mariadb" or about.get("format") != FORMAT:
            raise RestoreRefused("the recovery point is not one of a MariaDB or MySQL server")
        found: list[dict[str, Any]] = about["databases"]
        return found

    def _require_empty(self, session: Session, database: str) -> None:
        if self._overwrite:
            return
        if there := names_of_tables(session, [database]):
            raise RestoreRefused(
                f"database {database} is not empty: it has {count(len(there), 'table')}",
                hint="restore into a new database, or with --overwrite",
            )

    def _fill(self, plan: list[_Part]) -> None:
        """Put the rows back, the largest tables first."""
        jobs = [(part, table) for part in plan for table in part.tables if table.get("file")]
        jobs.sort(key=lambda job: int(job[1]["bytes"]), reverse=True)
        failed: list[BaseException] = []

        def fill(job: tuple[_Part, dict[str, Any]]) -> None:
            if failed:
                return
            try:
                job[0].fill(job[1])
            except BaseException as error:
                failed.append(error)
                raise

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="mariadb") as pool:
            for done in [pool.submit(fill, job) for job in jobs]:
                done.result()

    def wants(self, path: bytes) -> bool:
        """Whether a file is to be put back."""
        return self._wanted(path)

    def name_of(self, database: str) -> str:
        """What a database is called in the server."""
        return self._database or database

    @property
    def overwrites(self) -> bool:
        """Whether what is there may be replaced."""
        return self._overwrite


def _refuse_source(session: Session, source: Address) -> None:
    """Refuse a server that is the one the dataset is read from, by whatever name it is reached.

    A source that does not answer is not this server, which does.
    """
    target = session.address
    same = (source.host, source.port, source.unix_socket) == (
        target.host, target.port, target.unix_socket,
    )  # fmt: skip
    if not same:
        with suppress(SourceError), closing(Session(source)) as other:
            same = _identity(other) == _identity(session)
    if same:
        raise RestoreRefused(
            f"{target.shown} is the server that the dataset is read from",
            hint="restore into another server; into this one only if it is named twice",
        )


def _identity(session: Session) -> list[str]:
    return [session.variable(name) for name in _IDENTITY]


class _Part:
    """One database on its way back."""

    def __init__(
        self, target: MariadbTarget, loader: Loader, files: StoredFiles, about: dict[str, Any]
    ) -> None:
        self._loader = loader
        self._files = files
        self._about = about
        self._overwrites = target.overwrites
        self.name = str(about["name"])
        self.target = target.name_of(self.name)
        self._folder = file_name(self.name)
        relations = about["relations"]
        self.tables = [
            one for one in relations if one["kind"] != "view" and self._wants(target, one)
        ]
        others = [name for name in (SCHEMA, ROUTINES, VIEWS, TRIGGERS) if self._has(target, name)]
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

    def begin(self, session: Session) -> None:
        """Make the database and its tables, without rows."""
        session.query(
            f"CREATE DATABASE IF NOT EXISTS {quoted(self.target)} CHARACTER SET "
            f"{self._about['character_set']} COLLATE {self._about['collation']}"
        )
        schema = self._files.load(self._folder + b"/" + SCHEMA)
        names = {str(one["name"]) for one in self.tables}
        self._load("its tables", schema, only(schema, names))

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
                data = self._files.load(self._folder + b"/" + name)
                self._load(f"its {name.decode().removesuffix('.sql')}", data, [data])
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
        return notes + self._without_definers(session)

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

    def _wants(self, target: MariadbTarget, relation: dict[str, Any]) -> bool:
        """Whether a table is put back: by its file; one without rows goes with its database."""
        file = relation.get("file")
        own = self._folder + b"/" + DATA + b"/" + file_name(str(relation["name"])) + b".sql"
        return target.wants(str(file).encode() if file else own)

    def _has(self, target: MariadbTarget, name: bytes) -> bool:
        path = self._folder + b"/" + name
        return target.wants(path) and self._files.find(path) is not None


def _plain(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
