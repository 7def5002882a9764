"""Databases of a MariaDB or MySQL server for restores that are tried.

Who restores holds a user lock of that name on the server (GET_LOCK), as long as its session lives.
So the server itself tells, from whatever machine it is asked, whether anybody still needs what is
there.
"""

from __future__ import annotations

import re
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pymysql

from include.backup.errors import BackupError, DestinationRefused, RestoreRefused, SourceError
from include.backup.evidence.wording import count
from include.backup.quality.comparing import Compared
from include.backup.quality.data import Database, Databases
from include.backup.quality.enforced import Enforced
from include.backup.quality.mariadb import RestoredDatabase
from include.backup.quality.scratch_databases import (
    PREFIX,
    database_of,
    left_behind,
    scratch_of,
    taken,
)
from include.backup.sources.mariadb.manifest import MANIFEST, decoded
from include.backup.sources.mariadb.names import file_name, path_of, quoted, text
from include.backup.sources.mariadb.session import Session
from include.backup.sources.mariadb.target import MariadbTarget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.backup.quality.comparing import Restored
    from include.backup.quality.scratch import Scratch
    from include.backup.sources.mariadb.address import Address
    from include.backup.vault.owners import Owner

_RELEASE: Final = re.compile(r"\d+\.\d+")
_JOBS: Final = 2
# Keys but the primary one are not always checked while dumps are read. IS NULL finds dates of zero.
_ENFORCED: Final = """
SELECT c.table_name, 'filled', c.column_name, c.column_name
  FROM information_schema.columns c
       JOIN information_schema.tables t USING (table_schema, table_name)
 WHERE c.table_schema = DATABASE() AND c.is_nullable = 'NO' AND t.table_type = 'BASE TABLE'
   AND t.engine IN ('InnoDB', 'Aria', 'MyISAM')
   AND c.data_type NOT IN ('date', 'datetime', 'timestamp')
UNION ALL
SELECT i.table_name, 'unique', i.index_name, i.column_name
  FROM information_schema.statistics i
       JOIN information_schema.tables t USING (table_schema, table_name)
 WHERE i.table_schema = DATABASE() AND i.index_name = 'PRIMARY'
   AND t.engine IN ('InnoDB', 'Aria', 'MyISAM')
"""


class MariadbScratch:
    """See scratch.Scratch."""

    def __init__(self, address: Address, name: str, release: str) -> None:
        self._address = address
        self._name = name
        self._release = release
        self.destination = MariadbTarget(
            address, renamed=lambda database: database_of(name, database), jobs=_JOBS
        )

    def compare(self, restored: Restored) -> Compared:
        """See Scratch.compare."""
        return compare_databases(restored, self.destination, self._release)

    def data(self, restored: Restored) -> Databases:
        """See Scratch.data."""
        databases = decoded(restored.files.about(MANIFEST))["databases"]
        return Databases(by_name={str(one["name"]): self._database(one) for one in databases})

    def _database(self, about: dict[str, Any]) -> Database:
        name = database_of(self._name, str(about["name"]))
        relations = about["relations"]
        return Database(
            dialect="mysql+pymysql",
            connect=lambda: Session(self._address, database=name).driver,
            relations={str(one["name"]): quoted(str(one["name"])) for one in relations},
            quote=quoted,
            errors=pymysql.MySQLError,
            enforced=_enforced(self._address, name),
        )


def compare_target(restored: Restored, target: MariadbTarget) -> Compared:
    """Compare databases with the recovery point that was restored there.

    Raises:
        DamageFound, StorageError: the recovery point cannot be read.
        RestoreRefused: the server cannot be asked.
    """
    try:
        with closing(Session(target.address)) as session:
            release = _release(session.version)
    except SourceError as error:
        raise RestoreRefused(error.message, hint=error.hint) from None
    return compare_databases(restored, target, release)


def compare_databases(restored: Restored, target: MariadbTarget, release: str) -> Compared:
    """The same for a server whose release is known."""
    about = decoded(restored.files.about(MANIFEST))
    found = Compared()
    was = _release(str(about["server"]))
    if was != release:
        found.faults.add(
            "", f"definitions were not compared: the server is {release}, and was {was}"
        )
    tables = databases = 0
    for one in about["databases"]:
        folder = file_name(str(one["name"]))
        wanted = [each for each in one["relations"] if target.wants(path_of(folder, each))]
        if not wanted:
            continue
        database = RestoredDatabase(
            restored=restored,
            about={**one, "relations": wanted},
            name=target.name_of(str(one["name"])),
            address=target.address,
            jobs=_JOBS,
            shown=f"{one['name']}/" if len(about["databases"]) > 1 else "",
        )
        whole = len(wanted) == len(one["relations"])
        database.compare(found, definitions=whole and was == release)
        tables += sum(1 for relation in wanted if relation["kind"] != "view")
        databases += 1
    found.contents = f"{count(tables, 'table')} of {count(databases, 'database')}"
    return found


class MariadbPlace:
    """See scratch.ScratchPlace."""

    def __init__(self, address: Address, connection: str) -> None:
        self._address = address
        self.address = f"connection:{connection}"

    def sweep(self, now: datetime) -> list[str]:
        """See ScratchPlace.sweep."""
        del now  # the server knows who lives
        swept = []
        with self._session() as session:
            for name in _left(session):
                if _lock(session, scratch_of(name)):
                    _drop(session, name)
                    _unlock(session, scratch_of(name))
                    swept.append(name)
        return swept

    def blames_data(self, error: BackupError) -> bool:
        """See ScratchPlace.blames_data: a server that still answers did not like the data."""
        if isinstance(error, DestinationRefused):
            return False
        with suppress(BackupError), self._session():
            return True
        return False

    @contextmanager
    def make(self, name: str, owner: Owner, size_bytes: int) -> Iterator[Scratch]:
        """See ScratchPlace.make."""
        del owner, size_bytes  # the lock tells who; how much room there is no server tells
        with self._session() as session:
            if not _lock(session, name):
                raise taken(self._address.shown, name)
            try:
                yield MariadbScratch(self._address, name, _release(session.version))
            finally:
                self._remove(name)

    def _remove(self, name: str) -> None:
        """Remove what was made.

        Raises:
            DestinationRefused: something is left; names it.
        """
        try:
            with self._session() as session:
                for one in _left(session):
                    if scratch_of(one) == name:
                        _drop(session, one)
        except BackupError as error:
            raise left_behind(name, error) from error

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with closing(Session(self._address)) as session:
                yield session
        except SourceError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None


def _enforced(address: Address, database: str) -> Enforced:
    """What the constraints of a database say.

    Raises:
        RestoreRefused: the server cannot be asked.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    try:
        with closing(Session(address, database=database)) as session:
            for table, kind, name, column in session.query(_ENFORCED):
                found.setdefault((str(table), str(kind), str(name)), []).append(str(column))
    except SourceError as error:
        raise RestoreRefused(error.message, hint=error.hint) from None
    return Enforced.of((table, kind, columns) for (table, kind, _), columns in found.items())


def _release(version: str) -> str:
    """As in 10.11: in another one, definitions may read otherwise."""
    found = _RELEASE.search(version.removeprefix("5.5.5-"))
    return found[0] if found else version


def _left(session: Session) -> list[str]:
    return [name for (name,) in session.query("SHOW DATABASES") if scratch_of(str(name))]


def _drop(session: Session, name: str) -> None:
    session.query(f"DROP DATABASE IF EXISTS {quoted(name)}")


def _lock(session: Session, name: str) -> bool:
    """Whether this session has the lock of that name now."""
    return bool(session.query(f"SELECT GET_LOCK({text(PREFIX + name)}, 0)")[0][0])


def _unlock(session: Session, name: str) -> None:
    session.query(f"SELECT RELEASE_LOCK({text(PREFIX + name)})")
