"""Accounts and their rights as SQL, without what proves who they are.

A hash of a password is a secret that outlives the backup, so none is written: accounts are made
locked, and whoever restores them gives each a new password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from include.backup.sources.mariadb.names import quoted
from include.backup.sources.mariadb.session import SqlFailed

if TYPE_CHECKING:
    from include.backup.sources.mariadb.session import Session

_OWN: Final = frozenset({"mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", ""})
_REQUIRE: Final = re.compile(r" REQUIRE (SSL|X509|NONE)\b")
_HEADER: Final = """\
-- Accounts and what they may do, without passwords: each is made locked.
--   ALTER USER … IDENTIFIED BY '…' ACCOUNT UNLOCK;
"""


def users_sql(session: Session) -> bytes | None:
    """The accounts of a server; None when they cannot be listed.

    Raises:
        SqlFailed: only what is no question of rights.
    """
    try:
        users = session.query("SELECT user, host FROM mysql.user ORDER BY user, host")
    except SqlFailed:
        return None
    roles = _roles(session)
    made, granted = [], []
    for user, host in ((_text(one), _text(other)) for one, other in users):
        is_role = user in roles and not host
        if user in _OWN or (not host and not is_role):
            continue
        account = quoted(user) if is_role else f"{quoted(user)}@{quoted(host)}"
        made.append(
            f"CREATE ROLE IF NOT EXISTS {account};"
            if is_role
            else f"CREATE USER IF NOT EXISTS {account}{_requirement(session, account)} "
            "ACCOUNT LOCK;"
        )
        try:
            lines = session.query(f"SHOW GRANTS FOR {account}")
        except SqlFailed:
            continue
        granted += [line for (text,) in lines if (line := _without_secrets(text, account))]
    return (_HEADER + "\n".join([*made, *granted]) + "\n").encode()


def _roles(session: Session) -> set[str]:
    try:
        rows = session.query("SELECT user FROM mysql.user WHERE is_role = 'Y'")
    except SqlFailed:  # MySQL has roles that are users
        return set()
    return {_text(name) for (name,) in rows}


def _requirement(session: Session, account: str) -> str:
    try:
        [(shown,)] = session.query(f"SHOW CREATE USER {account}")
    except (SqlFailed, ValueError):
        return ""
    found = _REQUIRE.search(str(shown))
    return f" REQUIRE {found[1]}" if found else ""


def _without_secrets(line: str, account: str) -> str:
    """One GRANT, cut off after the account: what proves who it is comes behind that."""
    head, there, tail = line.partition(f" TO {account}")
    if not there:
        return ""
    option = " WITH GRANT OPTION" if tail.rstrip().endswith("WITH GRANT OPTION") else ""
    option = option or (" WITH ADMIN OPTION" if tail.rstrip().endswith("WITH ADMIN OPTION") else "")
    return f"{head}{there}{option};"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
