"""The read lock, and the snapshots that are opened under it.

    coordinator   FLUSH TABLES WITH READ LOCK        (or LOCK TABLES … READ, where that is refused)
    each lane     START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; SAVEPOINT
    coordinator   the position in the binary log; the names of all tables; UNLOCK TABLES

Nobody commits between the two, so every lane sees the same state, and it is that of the position.
The sessions of the lanes exist before the lock is asked for: it is held for a few milliseconds.

A long statement of others makes the lock wait, and the waiting lock makes every writer wait. So
the wait is short, ends with an error, and is tried again after a pause in which writers go on.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.sources.mariadb.catalog import ELSEWHERE, names_of_tables
from include.backup.sources.mariadb.grants import LOCK_ALL
from include.backup.sources.mariadb.names import quoted
from include.backup.sources.mariadb.session import ACCESS_DENIED, LOCK_TIMEOUT, SqlFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.sources.mariadb.catalog import Catalog
    from include.backup.sources.mariadb.grants import Grants
    from include.backup.sources.mariadb.session import Session

SAVEPOINT: Final = "holdfast"
_POSITIONS: Final = ("SHOW MASTER STATUS", "SHOW BINARY LOG STATUS")  # the latter: MySQL 8.4
_GTIDS: Final = ("gtid_binlog_pos", "gtid_current_pos", "gtid_executed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long writers may be made to wait for the lock, how often, and with which pauses."""

    seconds: int = 5
    tries: int = 5
    pause_seconds: float = 15.0


@dataclass(slots=True)
class Window:
    """The lock, held or released."""

    coordinator: Session
    how: str = ""  # the statement that locked
    begun: float = 0.0
    held_seconds: float | None = None  # None while it is held
    position: dict[str, object] = field(default_factory=dict)

    def release(self) -> None:
        """Let writers go on.

        Raises:
            SqlFailed: the connection was lost; then the server has released the lock already.
        """
        if self.held_seconds is None:
            self.coordinator.query("UNLOCK TABLES")
            self.held_seconds = time.monotonic() - self.begun


class TablesChanged(SourceError):
    """A table was made or dropped between the catalog and the lock."""


def open_window(
    coordinator: Session,
    lanes: Sequence[Session],
    catalog: Catalog,
    grants: Grants,
    *,
    patience: Patience,
) -> Window:
    """Lock, open the snapshots, and keep the lock: the caller releases it.

    Raises:
        TablesChanged: read the catalog again.
        SourceError: the lock was not to be had.
    """
    for lane in lanes:
        lane.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    window = Window(coordinator)
    window.how = _lock(coordinator, catalog, grants, patience)
    window.begun = time.monotonic()
    try:
        for lane in lanes:
            lane.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            lane.query(f"SAVEPOINT {SAVEPOINT}")
        window.position = _position(coordinator)
        _compare(coordinator, catalog)
    except BaseException:
        undo = [(coordinator, "UNLOCK TABLES"), *((lane, "ROLLBACK") for lane in lanes)]
        for session, statement in undo:
            with suppress(SqlFailed):  # the first error is the one to tell
                session.query(statement)
        raise
    return window


def _compare(coordinator: Session, catalog: Catalog) -> None:
    there = names_of_tables(coordinator, list(catalog.databases))
    if there != {(table.database, table.name) for table in catalog.tables}:
        raise TablesChanged("tables are being made or dropped just now")


def return_to_snapshot(lane: Session) -> None:
    """Give up the locks on definitions that a dump has left; the snapshot stays.

    Raises:
        SqlFailed: the transaction, and with it the snapshot, is gone.
    """
    lane.query(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
    lane.be_patient()  # mariadb-dump sets wait_timeout back to what the server has by default


def _lock(coordinator: Session, catalog: Catalog, grants: Grants, patience: Patience) -> str:
    coordinator.query(f"SET SESSION lock_wait_timeout={patience.seconds}")
    for attempt in range(1, patience.tries + 1):
        try:
            return _lock_once(coordinator, catalog, grants)
        except SqlFailed as error:
            if error.code != LOCK_TIMEOUT:
                raise
        if attempt < patience.tries:
            time.sleep(patience.pause_seconds)
    raise SourceError(
        f"no read lock within {patience.seconds} seconds, {patience.tries} times over: a statement "
        "or transaction of others runs too long",
        hint="SHOW PROCESSLIST tells which; back up at a quieter time, or from a replica",
    )


def _lock_once(coordinator: Session, catalog: Catalog, grants: Grants) -> str:
    if grants.everywhere(LOCK_ALL):
        try:
            coordinator.query("FLUSH TABLES WITH READ LOCK")
        except SqlFailed as error:  # managed services refuse it to everyone
            if error.code not in ACCESS_DENIED:
                raise
        else:
            return "FLUSH TABLES WITH READ LOCK"
    tables = [
        table
        for table in catalog.tables
        if table.kind in {"table", "versioned table"} and table.engine not in ELSEWHERE
    ]
    if tables:
        each = ", ".join(f"{quoted(table.database)}.{quoted(table.name)} READ" for table in tables)
        coordinator.query(f"LOCK TABLES {each}")
    return "LOCK TABLES … READ"


def _position(coordinator: Session) -> dict[str, object]:
    """Where the binary log stands; empty without a log, or without the right to ask."""
    found: dict[str, object] = {}
    for statement in _POSITIONS:
        try:
            rows = coordinator.query(statement)
        except SqlFailed:
            continue
        if rows:
            found |= {"file": rows[0][0], "position": int(rows[0][1])}
            break
    for name in _GTIDS:
        if value := coordinator.variable(f"global.{name}"):
            found[name] = value
    return found
