"""PostgreSQL as a source; see sources.base.Source."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.format.times import datetime_of_text
from include.backup.policy.source_model import EVERY, PostgresqlSettings
from include.backup.sources.postgresql import manifest
from include.backup.sources.postgresql.database import Database
from include.backup.sources.postgresql.definitions import DefinitionsLocked
from include.backup.sources.postgresql.programs import Program
from include.backup.sources.postgresql.reading import PostgresReading
from include.backup.sources.postgresql.snapshot import DatabaseSnapshot
from include.backup.sources.postgresql.steps import tables_in
from include.backup.sources.postgresql.tools import find_tool, takes_restrict_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from include.backup.sources.base import Parent
    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.ranges import DatabaseState

log = logging.getLogger(__name__)

_MOST_TRIES: Final = 3


class PostgresSource:
    """Some databases of one server.

    Args:
        slot: held while a stream is read; bounds how many there are on one server.
    """

    def __init__(
        self,
        address: Address,
        settings: PostgresqlSettings,
        *,
        slot: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._address = address
        self._settings = settings
        self._slot = slot

    @contextmanager
    def read(self, *, now: datetime, parent: Parent | None) -> Iterator[PostgresReading]:
        """See Source.read."""
        begun = monotonic()
        state = manifest.decode(parent.load(manifest.STATE)) if parent else {}
        known = manifest.decode(parent.load(manifest.MANIFEST)) if parent else {}
        with ExitStack() as opened:
            databases = []
            for name in self._names():
                described = known.get("databases", {}).get(name, {})
                one = self._begun(
                    name,
                    begun,
                    before=manifest.state_of(state, name),
                    restrict_key=str(described.get("restrict_key", "")),
                )
                opened.callback(one.close)
                databases.append(one)
            first = databases[0]
            yield PostgresReading(
                databases,
                self._settings,
                parent,
                taken_at=now + min(one.snapshot.taken_after for one in databases),
                dated=_dated(state) or now,
                roles=lambda: self._roles(first),
                slot=self._slot,
            )

    def _begun(
        self, name: str, begun: float, *, before: DatabaseState | None, restrict_key: str
    ) -> Database:
        """A database with its snapshot and its definitions.

        pg_dump locks the tables in a session of its own. Whoever came to change one after it was
        locked here waits for us, and pg_dump for him: then all is let go of, and begun anew.
        """
        tries = 0
        while True:
            tries += 1
            elapsed = timedelta(seconds=monotonic() - begun)
            snapshot = DatabaseSnapshot(self._address.of_database(name), elapsed=elapsed)
            try:
                one = Database(snapshot, self._settings, before=before, restrict_key=restrict_key)
                one.definitions.archive()
            except DefinitionsLocked as error:
                snapshot.close()
                if tries == _MOST_TRIES:
                    raise
                log.info("%s: begun anew: %s", name, error.message)
            except BaseException:
                snapshot.close()
                raise
            else:
                return one

    def preflight(self) -> str:
        """See that everything could be read; say what there is. Nothing is read.

        Raises:
            SourceError, ToolMissing.
        """
        told = []
        for name in self._names():
            snapshot = DatabaseSnapshot(self._address.of_database(name), elapsed=timedelta())
            try:
                one = Database(snapshot, self._settings, before=None, restrict_key="")
                find_tool("pg_dumpall", at_least=snapshot.version // 10_000)
                told.append(f"{name} with {tables_in(len(one.tables), 1)}")
            finally:
                snapshot.close()
        return f"{self._address.shown}: {', '.join(told)}"

    def _names(self) -> list[str]:
        """The databases, in order; those that the server has now, if all are wanted.

        Raises:
            SourceError: there is none.
        """
        wanted = self._settings.databases or (self._address.database,)
        if EVERY not in wanted:
            return list(dict.fromkeys(wanted))
        with self._address.connect() as session:
            names = [row[0] for row in session.execute(_DATABASES)]
        if not names:
            raise SourceError(f"{self._address.shown}: no database may be connected to")
        return names

    def _roles(self, one: Database) -> Program:
        """pg_dumpall's roles. Their password hashes stay where they are."""
        tool = find_tool("pg_dumpall", at_least=one.snapshot.version // 10_000)
        restricted = [f"--restrict-key={one.restrict_key}"] if takes_restrict_key(tool) else []
        return Program(
            [tool, "--roles-only", "--no-role-passwords", "--no-password", *restricted],
            what=f"{self._address.shown}: pg_dumpall",
            environment=one.snapshot.address.environment(),
        )


def _dated(state: dict[str, object]) -> datetime | None:
    text = state.get("dated")
    return datetime_of_text(text) if isinstance(text, str) else None


_DATABASES: Final = """
SELECT datname::text FROM pg_catalog.pg_database
 WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2
   AND pg_catalog.has_database_privilege(oid, 'CONNECT')
 ORDER BY datname COLLATE "C"
"""
