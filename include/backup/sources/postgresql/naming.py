"""A database that comes back gets its name when it is whole, and the one it replaces goes then.

Until then it is called ``NAME_incomplete_SUFFIX``. Both names change in one transaction: whoever
is killed before it leaves the old database as it was, and after it ``NAME_replaced_SUFFIX``.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import DestinationRefused, RestoreRefused
from include.backup.sources.postgresql.address import refused
from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.making import maintenance

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.sources.postgresql.address import Address

_LONGEST: Final = 63  # bytes of a name: NAMEDATALEN - 1
_LEFT: Final = re.compile(r"_(incomplete|replaced)_[0-9a-f]{8}\Z")
_NAMES: Final = "SELECT datname::text FROM pg_catalog.pg_database ORDER BY 1"
_OWNED: Final = """
SELECT pg_catalog.pg_has_role(datdba, 'USAGE') FROM pg_catalog.pg_database WHERE datname = %s
"""
# Of what kind a session is, only who may read statistics is told of those of others.
_SESSIONS: Final = """
SELECT pid FROM pg_catalog.pg_stat_activity
 WHERE datname = ANY(%s) AND pid <> pg_catalog.pg_backend_pid()
   AND backend_type IS DISTINCT FROM 'autovacuum worker'
   AND backend_type IS DISTINCT FROM 'parallel worker'
"""
_END: Final = "SELECT pg_catalog.pg_terminate_backend(%s)"
_OID: Final = "SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = %s"
_IN_THE_WAY: Final = """
SELECT 'prepared transaction ' || gid, 'COMMIT PREPARED or ROLLBACK PREPARED it'
  FROM pg_catalog.pg_prepared_xacts WHERE database = %(name)s
UNION ALL
SELECT 'subscription ' || subname, 'disable it, set its slot_name to NONE, and drop it'
  FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
 WHERE d.datname = %(name)s
UNION ALL
SELECT 'replication slot ' || slot_name || ', which somebody reads', 'stop who reads it'
  FROM pg_catalog.pg_replication_slots WHERE database = %(name)s AND active
UNION ALL
SELECT 'session of ' || usename || ', which this role may not end',
       'GRANT pg_signal_backend TO ' || pg_catalog.quote_ident(current_user) || '; or end it'
  FROM pg_catalog.pg_stat_activity
 WHERE datname = %(name)s AND usename <> current_user
   AND NOT pg_catalog.pg_has_role(current_user, 'pg_signal_backend', 'MEMBER')
   AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
LIMIT 1
"""
_SLOTS: Final = """
SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE database = %s ORDER BY 1
"""
_IS_TEMPLATE: Final = "SELECT datistemplate FROM pg_catalog.pg_database WHERE datname = %s"
_TRIES: Final = 5  # each waits 5 seconds for sessions that end: the server's own patience


def incomplete(address: Address) -> Address:
    """What a database is called while it is put back; another name each time."""
    return address.of_database(_named(address.database, "incomplete"))


def left_behind(address: Address) -> list[str]:
    """The databases of restores that were killed, or that still run.

    Raises:
        RestoreRefused.
    """
    with maintenance(address).connect() as session:
        return [name for (name,) in session.execute(_NAMES) if _LEFT.search(name)]


def require_owner(address: Address) -> None:
    """Only who owns a database may give it another name.

    Raises:
        DestinationRefused: it is not ours; RestoreRefused.
    """
    with maintenance(address).connect() as session:
        if session.execute(_OWNED, [address.database]).fetchone() != (True,):
            login = address.connection.login
            raise DestinationRefused(
                f"{address.shown} does not belong to {login}",
                hint=f"GRANT its owner TO {quote(login)}; or give --no-owner, or restore with a "
                "connection that may do so",
            )


def require_replaceable(address: Address) -> int:
    """See that nothing will keep a database from giving up its name hours later; return its oid.

    Raises:
        DestinationRefused: names what is in the way; RestoreRefused.
    """
    name = address.database
    with maintenance(address).connect() as session:
        found = session.execute(_IN_THE_WAY, {"name": name}).fetchone()
        if found is not None:
            raise DestinationRefused(f"{address.shown} has a {found[0]}", hint=found[1])
        [row] = session.execute(_OID, [name])
        return int(row[0])


def slots(address: Address) -> list[str]:
    """The replication slots of a database, which go with it.

    Raises:
        RestoreRefused.
    """
    with maintenance(address).connect() as session:
        return [name for (name,) in session.execute(_SLOTS, [address.database])]


def drop(address: Address) -> None:
    """Remove what was put back in part; whoever looks at it is sent away.

    Raises:
        RestoreRefused.
    """
    with maintenance(address).connect() as session:
        try:
            if session.execute(_IS_TEMPLATE, [address.database]).fetchone() == (True,):
                session.execute(f"ALTER DATABASE {quote(address.database)} IS_TEMPLATE false")
            _drop(session, address.database)
        except psycopg.Error as error:
            raise refused(error, address) from None


def take_name(
    complete: Address, address: Address, *, replaces: int | None, note: Callable[[str, str], None]
) -> None:
    """Give a database its name, and remove the one that had it, whoever is connected to it.

    Args:
        complete: what it is called now.
        replaces: the oid of the one that has that name; None: there is none, and one that was
            made meanwhile stays.
        note: told of an old database that could not be removed.

    Raises:
        RestoreRefused: it keeps the name it has; the old one is as it was.
    """
    name, old = address.database, _named(address.database, "replaced")
    with maintenance(address).connect() as session:
        try:
            if replaces is not None and _oid(session, name) != replaces:
                raise RestoreRefused(
                    f"all was restored, but is called {complete.database}: {name} is not the "
                    "database any more that it was when the restore began",
                    hint="was it restored twice at once? look at both, and keep one",
                )
            first = [] if replaces is None else [(name, old)]
            _rename(session, first, (complete.database, name))
        except psycopg.Error as error:
            raise RestoreRefused(
                f"all was restored, but is called {complete.database}: {_told(error)}",
                hint="look at it, put away what has its name, then ALTER DATABASE "
                f"{quote(complete.database)} RENAME TO {quote(name)};",
            ) from None
        try:
            if replaces is not None:
                _drop(session, old)
        except psycopg.Error as error:
            note(name, f"the database that it replaces is still there, as {old}: {_told(error)}")


def _rename(
    session: psycopg.Connection[Any], first: list[tuple[str, str]], last: tuple[str, str]
) -> None:
    """Rename databases, all or none. The server lets nobody in while it waits for who is there."""
    renamed = [*first, last]
    for left in reversed(range(_TRIES)):
        _end_sessions(session, [name for name, _ in renamed])
        try:
            with session.transaction():
                for name, new in renamed:
                    session.execute(f"ALTER DATABASE {quote(name)} RENAME TO {quote(new)}")
        except psycopg.errors.ObjectInUse:  # somebody was quicker than we
            if not left:
                raise
        else:
            return


def _drop(session: psycopg.Connection[Any], name: str) -> None:
    """Drop a database, if it is there, whoever is connected to it."""
    _end_sessions(session, [name])
    session.execute(f"DROP DATABASE IF EXISTS {quote(name)}")


def _end_sessions(session: psycopg.Connection[Any], names: list[str]) -> None:
    """End the sessions in some databases, but for those that this role may not end."""
    for (pid,) in session.execute(_SESSIONS, [names]).fetchall():
        with suppress(psycopg.errors.InsufficientPrivilege):
            session.execute(_END, [pid])


def _oid(session: psycopg.Connection[Any], name: str) -> int | None:
    row = session.execute(_OID, [name]).fetchone()
    return None if row is None else int(row[0])


def _told(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


def _named(name: str, what: str) -> str:
    suffix = f"_{what}_{secrets.token_hex(4)}"
    return name.encode()[: _LONGEST - len(suffix)].decode(errors="ignore") + suffix
