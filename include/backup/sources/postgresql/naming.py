"""A database that comes back gets its name when it is whole, and the one it replaces goes then.

Until then it is called ``NAME_incomplete_SUFFIX``. Both names change in one transaction: whoever
is killed before it leaves the old database as it was, and after it ``NAME_replaced_SUFFIX``.
"""

from __future__ import annotations

import re
import secrets
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
_END_SESSIONS: Final = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
 WHERE datname = ANY(%s) AND backend_type = 'client backend'
"""
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


def drop(address: Address) -> None:
    """Remove what was put back in part; whoever looks at it is sent away.

    Raises:
        RestoreRefused.
    """
    with maintenance(address).connect() as session:
        try:
            _drop(session, address.database)
        except psycopg.Error as error:
            raise refused(error, address) from None


def take_name(
    complete: Address, address: Address, *, replaces: bool, note: Callable[[str, str], None]
) -> None:
    """Give a database its name, and remove the one that had it, whoever is connected to it.

    Args:
        complete: what it is called now.
        replaces: there is one of that name; else one that was made meanwhile stays.
        note: told of an old database that could not be removed.

    Raises:
        RestoreRefused: it keeps the name it has; the old one is as it was.
    """
    name, old = address.database, _named(address.database, "replaced")
    with maintenance(address).connect() as session:
        try:
            _rename(session, [(name, old)] if replaces else [], (complete.database, name))
        except psycopg.Error as error:
            raise RestoreRefused(
                f"all was restored, but is called {complete.database}: {_told(error)}",
                hint="look at it, put away what has its name, then ALTER DATABASE "
                f"{quote(complete.database)} RENAME TO {quote(name)};",
            ) from None
        try:
            if replaces:
                _drop(session, old)
        except psycopg.Error as error:
            note(name, f"the database that it replaces is still there, as {old}: {_told(error)}")


def _rename(
    session: psycopg.Connection[Any], first: list[tuple[str, str]], last: tuple[str, str]
) -> None:
    """Rename databases, all or none. The server lets nobody in while it waits for who is there."""
    renamed = [*first, last]
    for left in reversed(range(_TRIES)):
        session.execute(_END_SESSIONS, [[name for name, _ in renamed]])
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
    """DROP DATABASE … WITH (FORCE), which servers before 13 do not know."""
    session.execute(_END_SESSIONS, [[name]])
    session.execute(f"DROP DATABASE IF EXISTS {quote(name)}")


def _told(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


def _named(name: str, what: str) -> str:
    suffix = f"_{what}_{secrets.token_hex(4)}"
    return name.encode()[: _LONGEST - len(suffix)].decode(errors="ignore") + suffix
