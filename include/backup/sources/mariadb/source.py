"""Reading databases of a MariaDB or MySQL server."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.evidence.wording import count
from include.backup.sources.mariadb.catalog import Catalog, choose, read_catalog, refuse_changes
from include.backup.sources.mariadb.grants import Grants, grants_of, require
from include.backup.sources.mariadb.programs import DUMP, find
from include.backup.sources.mariadb.reading import MariadbReading
from include.backup.sources.mariadb.session import Session
from include.backup.sources.mariadb.users import users_sql
from include.backup.sources.mariadb.window import Patience, TablesChanged, Window, open_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from include.backup.sources.base import Parent
    from include.backup.sources.mariadb.address import Address

_MOST_CATALOGS: Final = 5  # how often tables may be made or dropped just before the lock
_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MariadbSource:
    """Databases of one server.

    Args:
        address: of the server.
        databases: those to be read; none: that of the connection.
        every: all there are when the backup begins.
        schema_only: patterns of `database.table` whose rows are left out.
        lock: read tables of engines without transactions while writers wait; else refuse them.
        jobs: how many lanes are read at a time.
    """

    address: Address
    databases: tuple[str, ...] = ()
    every: bool = False
    schema_only: tuple[str, ...] = ()
    lock: bool = False
    jobs: int = 2
    patience: Patience = field(default_factory=Patience)

    @contextmanager
    def read(self, *, now: datetime, parent: Parent | None) -> Iterator[MariadbReading]:
        """See Source.read."""
        del parent  # no row tells when it was changed: everything is read, and stored once
        begun = time.monotonic()
        find(DUMP)
        with ExitStack() as stack:
            coordinator = stack.enter_context(closing(self._session()))
            lanes = [stack.enter_context(closing(self._session())) for _ in range(self.jobs)]
            users = users_sql(coordinator) if grants_of(coordinator).of_users() else None
            catalog, window = self._begin(coordinator, lanes)
            reading = MariadbReading(
                catalog=catalog,
                window=window,
                lanes=lanes,
                users=users,
                taken_at=now + timedelta(seconds=window.begun - begun),
                again=lambda: self._again(catalog),
                refuse_changes=refuse_changes,
            )
            stack.callback(reading.stop)
            yield reading

    def preflight(self) -> str:
        """Try everything short of the lock; say what was found.

        Raises:
            SourceError, ToolMissing, ConfigurationInvalid: with what to do about it.
        """
        find(DUMP)
        with closing(self._session()) as session:
            catalog, grants = self._look(session)
            tables = sum(1 for table in catalog.tables if table.kind.endswith("table"))
            how = (
                session.encrypted
                or f"not encrypted{', on this machine' if self.address.local else ''}"
            )
            users = "" if grants.of_users() else "; accounts are left out (no SELECT on mysql.*)"
            return (
                f"{session.version.removeprefix('5.5.5-')} at {session.address.shown} ({how}): "
                f"{', '.join(catalog.databases) or 'no database'}; {count(tables, 'table')}{users}"
            )

    def _session(self) -> Session:
        return Session(self.address)

    def _look(self, session: Session) -> tuple[Catalog, Grants]:
        """What is to be read, if the account may read it and the engines can be."""
        grants = grants_of(session)
        names = choose(session, self.databases, every=self.every)
        require(grants, names, every=self.every)
        catalog = read_catalog(session, names, schema_only=self.schema_only)
        if not self.lock:
            _refuse_unsafe(catalog)
        return catalog, grants

    def _begin(self, coordinator: Session, lanes: Sequence[Session]) -> tuple[Catalog, Window]:
        for _ in range(_MOST_CATALOGS):
            catalog, grants = self._look(coordinator)
            try:
                window = open_window(coordinator, lanes, catalog, grants, patience=self.patience)
            except TablesChanged:
                continue
            return catalog, window
        raise SourceError(
            "tables are made or dropped all the time: no moment holds still",
            hint="back up at a time without changes of definitions",
        )

    def _again(self, before: Catalog) -> Catalog:
        """The catalog as it is now, by a new session: the first may have waited too long."""
        with closing(self._session()) as session:
            return read_catalog(session, list(before.databases), schema_only=self.schema_only)


def _refuse_unsafe(catalog: Catalog) -> None:
    unsafe = [table for table in catalog.tables if table.has_rows and not table.transactional]
    if not unsafe:
        return
    named = ", ".join(f"{table} ({table.engine})" for table in unsafe[:_MOST_NAMED])
    more = f" and {len(unsafe) - _MOST_NAMED} more" if len(unsafe) > _MOST_NAMED else ""
    raise SourceError(
        f"tables of engines without transactions cannot be read at one moment: {named}{more}",
        hint="ALTER TABLE … ENGINE=InnoDB; or `non_transactional: lock`, and writers wait while "
        "they are read; or leave their rows out with schema_only",
    )
