"""A PostgreSQL server that databases are put back into; see sources.base.Server.

What may not be done is refused for all databases before anything is done for one of them.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from include.backup.errors import BackupError, DestinationRefused, RestoreRefused
from include.backup.sources.base import PutBack
from include.backup.sources.erasing import database_of
from include.backup.sources.noting import Notes
from include.backup.sources.postgresql import making, manifest, naming
from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.putting import Putting
from include.backup.sources.postgresql.steps import tables_in
from include.backup.sources.postgresql.tools import find_tool
from include.backup.sources.postgresql.wanted import wanted_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.sources.base import StoredFiles
    from include.backup.sources.erasing import ToErase
    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.wanted import Rules, Wanted

log = logging.getLogger(__name__)


class _Into(Enum):
    """What is done about the database of that name."""

    MAKE = auto()  # there is none
    REPLACE = auto()  # it goes, with all that is in it, once the other is complete
    FILL = auto()  # it is empty: with the owner and the locale that somebody wants for it
    ADD = auto()  # tables are put beside others, or in their place


class PostgresTarget:
    """A server to restore to."""

    def __init__(self, address: Address, rules: Rules) -> None:
        application = f"holdfast-{secrets.token_hex(4)}"  # so that its sessions can be ended
        self._address = replace(address, restoring=True, application=application)
        self.address = address
        self.rules = self._rules = rules
        self._version = 0  # the major one; known when it was prepared
        self._replaced: dict[str, int] = {}  # databases that go, and their oids
        self._notes = Notes()

    def prepare(self) -> None:
        """See Server.prepare: the server answers, is one, and can be restored to from here."""
        self._version = making.server_version(self._address)
        find_tool("psql", at_least=min(self._version, 10))
        find_tool("pg_restore", at_least=self._version)

    def standing(self, files: StoredFiles) -> list[str]:
        """See Server.standing."""
        self.prepare()
        wanted = wanted_of(manifest.decode(files.about(manifest.MANIFEST)), self._rules)
        self._refuse_newer(wanted)
        found = []
        for one in wanted:
            into, shown = self._into(files, one), self._address_of(one).shown
            if into is _Into.REPLACE:
                found.append(f"{shown} is replaced, with all that is in it")
            if into is _Into.ADD and self._rules.overwrite:
                there = making.tables_there(self._address_of(one))
                known = [table.label for table in one.tables if table.sql in there]
                found += [f"{shown}: the rows of {table} are replaced" for table in known]
        return found

    def put(self, files: StoredFiles, progress: Callable[[int], None]) -> PutBack:
        """See Server.put."""
        wanted = wanted_of(manifest.decode(files.about(manifest.MANIFEST)), self._rules)
        self._refuse_newer(wanted)
        places = [self._into(files, one) for one in wanted]
        self._make_roles(files)
        for name in naming.left_behind(self._address):
            self._notes.add(name, "what a restore that was killed has left, unless it still runs")
        done: list[str] = []
        for one, into in zip(wanted, places, strict=True):
            try:
                self._put(files, one, into, progress)
            except BackupError as error:
                if not done:
                    raise
                raise _with(error, f"restored before it: {', '.join(done)}") from error
            done.append(self._address_of(one).database)
        tables = [table for one in wanted for table in one.tables]
        return PutBack(
            files=len(tables),
            bytes_written=sum(table.size_bytes for table in tables),
            contents=tables_in(len(tables), len(wanted)),
            notes=self._notes,
        )

    def erase(self, files: StoredFiles, requests: Sequence[ToErase]) -> list[int]:
        """See Server.erase: the statements of a request are one transaction."""
        wanted = wanted_of(manifest.decode(files.about(manifest.MANIFEST)), self._rules)
        restored = [(one.name, self._address_of(one).database) for one in wanted]
        whole = all(one.whole for one in wanted)
        return [self._erase(one, database_of(one, restored), whole=whole) for one in requests]

    def _erase(self, request: ToErase, database: str, *, whole: bool) -> int:
        if not database:
            return 0
        try:
            return making.run_statements(self._address.of_database(database), request.statements)
        except making.StatementFailed as error:
            if error.is_absent and not whole:  # its table was not among those restored
                return 0
            raise RestoreRefused(
                f"a statement of erasure {request.id} failed in {database} ({error.code})",
                hint="see `erasures show`; nothing is handed over as long as it fails",
            ) from None

    def _put(
        self, files: StoredFiles, one: Wanted, into: _Into, progress: Callable[[int], None]
    ) -> None:
        address = self._address_of(one)
        is_new = into in {_Into.MAKE, _Into.REPLACE}
        place = naming.incomplete(address) if is_new else address
        putting = Putting(
            files,
            one,
            place,
            self._rules,
            version=self._version,
            progress=progress,
            note=self._notes.add,
        )
        if is_new:
            _make(putting, place)
            self._take_name(place, address)
            return
        try:
            if into is _Into.ADD:
                putting.put_tables()
            else:
                putting.put_database()
        except BaseException as error:
            making.end_sessions(place)  # a killed program's statement would go on
            if isinstance(error, BackupError):
                raise _with(
                    error, f"what was put into {place.database} so far is still there"
                ) from error
            raise

    def _take_name(self, place: Address, address: Address) -> None:
        replaces = self._replaced.get(address.database)
        if replaces is not None:
            for slot in naming.slots(address):
                self._notes.add(address.database, f"its replication slot {slot} goes with it")
        try:
            naming.take_name(place, address, replaces=replaces, note=self._notes.add)
        except BaseException as error:
            if isinstance(error, BackupError) and place.database not in error.message:
                raise _with(
                    error, f"all was restored, and may be called {place.database}"
                ) from error
            log.warning("all was restored, and may be called %s", place.database)
            raise

    def _into(self, files: StoredFiles, one: Wanted) -> _Into:
        """Where a database goes; refuse to write over what somebody may need.

        Raises:
            DestinationRefused.
        """
        address = self._address_of(one)
        if not making.exists(address):
            self._require_right_to_make(address)
            return _Into.MAKE
        if not self._rules.into_source and self._is_source(files, one, address):
            raise DestinationRefused(
                f"{address.shown} is the database that the recovery point was taken from",
                hint="restore it under another name, or name its connection twice: "
                "--into-source CONNECTION",
            )
        if making.is_empty(address):
            return _Into.FILL
        if not one.whole:
            self._refuse_tables(one, address)
            return _Into.ADD
        if not self._rules.overwrite:
            raise DestinationRefused(
                f"{address.shown} is not empty",
                hint="restore under another name, or give --overwrite, which removes all that is "
                "in it",
            )
        if address.database == making.MAINTENANCE:
            raise DestinationRefused(
                f"{address.shown} is what one is connected to while others are replaced",
                hint="restore it under another name",
            )
        self._require_right_to_make(address)
        naming.require_owner(address)
        self._replaced[address.database] = naming.require_replaceable(address)
        return _Into.REPLACE

    def _require_right_to_make(self, address: Address) -> None:
        if not making.may_create(address):
            login = self._address.connection.login
            raise DestinationRefused(
                f"{login} may not make the database {address.database}",
                hint=f"ALTER ROLE {quote(login)} CREATEDB; or let somebody make it, empty, "
                "and restore to that",
            )

    def _refuse_tables(self, one: Wanted, address: Address) -> None:
        """Refuse to replace the rows of tables, unless that is wished."""
        there = making.tables_there(address)
        known = [table.label for table in one.tables if table.sql in there]
        if known and not self._rules.overwrite:
            raise DestinationRefused(
                f"{address.shown} has {known[0]} already",
                hint="restore to another database, or give --overwrite, which replaces its rows",
            )

    def _refuse_newer(self, wanted: list[Wanted]) -> None:
        for one in wanted:
            if one.version > self._version:
                raise DestinationRefused(
                    f"{one.name} is from a server of version {one.version}, and this one is "
                    f"{self._version}",
                    hint=f"restore to a server of version {one.version} or newer",
                )

    def _is_source(self, files: StoredFiles, one: Wanted, address: Address) -> bool:
        state = manifest.decode(files.about(manifest.STATE))
        token = state.get("databases", {}).get(one.name, {}).get("token") or {}
        known = (token.get("system_identifier"), token.get("database_oid"))
        return making.identity(address) == known

    def _make_roles(self, files: StoredFiles) -> None:
        if self._rules.owner is not None:
            return
        made, failed = making.make_roles(self._address, files.load(b"roles.sql"))
        for name in made:
            self._notes.add(name, "a role that the server lacked was made, without a password")
        for name in failed:
            self._notes.add(name, "a role could not be made")

    def _address_of(self, one: Wanted) -> Address:
        return self._address.of_database(self._rules.name_of(one.name))


def _make(putting: Putting, place: Address) -> None:
    """Make a database with all that was in it; one that is incomplete is no restore, and goes."""
    try:
        putting.make_database()
        naming.require_owner(place)
        putting.put_database()
    except BaseException as error:
        try:
            naming.drop(place)
        except BackupError as trouble:
            log.warning("%s is incomplete, and could not be removed: %s", place.shown, trouble)
            if isinstance(error, BackupError):
                raise _with(error, f"what is incomplete is left as {place.database}") from error
        raise


def _with(error: BackupError, more: str) -> BackupError:
    """The same error, with more in its message."""
    return type(error)(f"{error.message}; {more}", hint=error.hint)
