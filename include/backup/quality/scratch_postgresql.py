"""Databases of a PostgreSQL server for restores that are tried, which nobody else uses.

Who restores holds an advisory lock of that name on the server, as long as it lives. So the server
itself tells, from whatever machine it is asked, whether anybody still needs what is there.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import psycopg

from include.backup.errors import BackupError, DestinationRefused
from include.backup.quality.comparing import Compared
from include.backup.quality.data import Database, Databases
from include.backup.quality.enforced import Enforced
from include.backup.quality.postgresql import RestoredDatabase
from include.backup.quality.scratch_databases import (
    database_of,
    left_behind,
    scratch_of,
    taken,
)
from include.backup.sources.postgresql import making, manifest, naming
from include.backup.sources.postgresql.address import refused
from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.steps import tables_in
from include.backup.sources.postgresql.target import PostgresTarget
from include.backup.sources.postgresql.wanted import Rules, wanted_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.backup.quality.comparing import Restored
    from include.backup.quality.scratch import Scratch
    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.wanted import Wanted
    from include.backup.vault.owners import Owner

_NAMES: Final = "SELECT datname::text FROM pg_catalog.pg_database ORDER BY 1"
_TRY_LOCK: Final = "SELECT pg_catalog.pg_try_advisory_lock(%s)"
_IDLE_TIMEOUT_SINCE: Final = 140_000
_JOBS: Final = 2


class PostgresScratch:
    """See scratch.Scratch."""

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._rules = Rules(renamed=lambda database: database_of(name, database), owner="")
        self.destination = PostgresTarget(address, self._rules)

    def compare(self, restored: Restored) -> Compared:
        """See Scratch.compare."""
        return compare_databases(restored, self._address, self._rules)

    def data(self, restored: Restored) -> Databases:
        """See Scratch.data."""
        wanted = wanted_of(manifest.decode(restored.files.about(manifest.MANIFEST)), self._rules)
        return Databases(by_name={one.name: self._database(one) for one in wanted})

    def _database(self, one: Wanted) -> Database:
        address = self._address.of_database(self._rules.name_of(one.name))
        return Database(
            dialect="postgresql+psycopg",
            connect=lambda: address.connect(autocommit=False),
            relations=making.relations_there(address),
            quote=quote,
            errors=psycopg.Error,
            enforced=Enforced.of(making.constraints_there(address)),
        )


def compare_databases(restored: Restored, address: Address, rules: Rules) -> Compared:
    """Compare databases with the recovery point that was restored there by these rules.

    Raises:
        DamageFound, StorageError: the recovery point cannot be read.
        RestoreRefused: the server cannot be asked.
    """
    wanted = wanted_of(manifest.decode(restored.files.about(manifest.MANIFEST)), rules)
    version = making.server_version(address)
    found = Compared()
    for one in wanted:
        here = address.of_database(rules.name_of(one.name))
        database = RestoredDatabase(
            restored=restored,
            one=one,
            address=here,
            version=version,
            jobs=_JOBS,
            shown=f"{one.name}/" if len(wanted) > 1 else "",
        )
        database.compare(found)
    found.contents = tables_in(sum(len(one.tables) for one in wanted), len(wanted))
    return found


class PostgresPlace:
    """See scratch.ScratchPlace."""

    def __init__(self, address: Address, connection: str) -> None:
        self._address = making.maintenance(replace(address, restoring=True))
        self.address = f"connection:{connection}"

    def sweep(self, now: datetime) -> list[str]:
        """See ScratchPlace.sweep."""
        del now  # the server knows who lives
        swept = []
        with self._address.connect() as session:
            for name in self._left(session):
                if _lock(session, scratch_of(name)):
                    naming.drop(self._address.of_database(name))
                    _unlock(session, scratch_of(name))
                    swept.append(name)
        return swept

    def blames_data(self, error: BackupError) -> bool:
        """See ScratchPlace.blames_data: a server that still answers did not like the data."""
        if isinstance(error, DestinationRefused):
            return False
        with suppress(BackupError), self._address.connect():
            return True
        return False

    @contextmanager
    def make(self, name: str, owner: Owner, size_bytes: int) -> Iterator[Scratch]:
        """See ScratchPlace.make."""
        del owner, size_bytes  # the lock tells who; how much room there is no server tells
        with self._address.connect() as session:
            if session.info.server_version >= _IDLE_TIMEOUT_SINCE:
                session.execute("SET idle_session_timeout = 0")  # it waits, and holds the lock
            if not _lock(session, name):
                raise taken(self._address.shown, name)
            try:
                yield PostgresScratch(self._address, name)
            finally:
                self._remove(name)

    def _remove(self, name: str) -> None:
        """Remove what was made.

        Raises:
            DestinationRefused: something is left; names it.
        """
        try:
            with self._address.connect() as session:
                left = [one for one in self._left(session) if scratch_of(one) == name]
            for one in left:
                naming.drop(self._address.of_database(one))
        except BackupError as error:
            raise left_behind(name, error) from error

    def _left(self, session: psycopg.Connection[tuple[str]]) -> list[str]:
        try:
            return [name for (name,) in session.execute(_NAMES) if scratch_of(name)]
        except psycopg.Error as error:
            raise refused(error, self._address) from None


def _lock(session: psycopg.Connection[tuple[str]], name: str) -> bool:
    """Whether this session has the lock of that name now."""
    [row] = session.execute(_TRY_LOCK, [_key(name)])
    return bool(row[0])


def _unlock(session: psycopg.Connection[tuple[str]], name: str) -> None:
    session.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", [_key(name)])


def _key(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)
