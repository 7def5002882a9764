"""What an account may do, and the SQL that grants what it may not.

A server shows an account what it may read, and nothing else: tables, triggers and routines that
it must not see are simply not there. A backup of what is left would be quietly incomplete, so
rights are asked for first, database by database, and a missing one is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.sources.mariadb.names import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.sources.mariadb.session import Session

TO_READ: Final = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
LOCK_ALL: Final = "RELOAD"  # FLUSH TABLES WITH READ LOCK
LOCK_EACH: Final = "LOCK TABLES"
_GRANT: Final = re.compile(
    r"GRANT (?P<rights>.+?) ON (?P<what>\*\.\*|`(?:[^`]|``)*`\.(?:\*|`(?:[^`]|``)*`)) TO ",
    re.DOTALL,
)
_RIGHT: Final = re.compile(r"([A-Z][A-Z _]*[A-Z])(?:\s*\([^)]*\))?")
_ALL: Final = "ALL PRIVILEGES"


@dataclass(slots=True)
class Grants:
    """The rights of the account that a session is of, those of its roles included."""

    account: str  # as SQL writes it
    globally: set[str] = field(default_factory=set)
    databases: dict[str, set[str]] = field(default_factory=dict)  # by pattern
    tables: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def everywhere(self, right: str) -> bool:
        """Whether a right holds for the whole server."""
        return right in self.globally or _ALL in self.globally

    def within(self, database: str, right: str) -> bool:
        """Whether a right holds for all of a database."""
        if self.everywhere(right):
            return True
        return any(
            _fits(pattern, database) and (right in rights or _ALL in rights)
            for pattern, rights in self.databases.items()
        )

    def of_table(self, database: str, table: str, right: str) -> bool:
        """Whether a right holds for a table."""
        rights = self.tables.get((database, table), set())
        return right in rights or _ALL in rights or self.within(database, right)

    def of_routines(self, database: str) -> bool:
        """Whether all stored routines can be seen with their bodies."""
        return (
            self.of_table("mysql", "proc", "SELECT")  # MariaDB
            or self.within(database, "SHOW CREATE ROUTINE")  # MariaDB 11.3
            or self.everywhere("SHOW_ROUTINE")  # MySQL 8
        )

    def of_users(self) -> bool:
        """Whether accounts can be listed."""
        return self.within("mysql", "SELECT")


def grants_of(session: Session) -> Grants:
    """The rights of a session's account.

    Raises:
        SqlFailed.
    """
    name, _, host = str(session.query("SELECT CURRENT_USER()")[0][0]).rpartition("@")
    found = Grants(f"{quoted(name)}@{quoted(host)}")
    for (line,) in session.query("SHOW GRANTS"):
        if not (match := _GRANT.match(line)):
            continue  # a role, or PROXY
        rights = {right[0].strip() for right in _RIGHT.finditer(_without_columns(match["rights"]))}
        if match["what"] == "*.*":
            found.globally |= rights
            continue
        database, table = _parts(match["what"])
        if table is None:
            found.databases.setdefault(database, set()).update(rights)
        else:
            found.tables.setdefault((database, table), set()).update(rights)
    return found


def require(grants: Grants, databases: Sequence[str], *, every: bool) -> None:
    """Refuse an account that would not see everything.

    Args:
        every: all databases of the server are to be read, also those that are made tomorrow.

    Raises:
        SourceError: the hint is the SQL that grants what is missing.
    """
    missing: list[str] = []
    hints: list[str] = []
    if every:
        lacking = [right for right in TO_READ if not grants.everywhere(right)]
        if lacking:
            missing.append(f"{', '.join(lacking)} on every database")
            hints.append(f"GRANT {', '.join(lacking)} ON *.* TO {grants.account}")
    for database in databases:
        lacking = [] if every else [one for one in TO_READ if not grants.within(database, one)]
        if not grants.everywhere(LOCK_ALL) and not grants.within(database, LOCK_EACH):
            lacking.append(LOCK_EACH)
        if lacking:
            missing.append(f"{', '.join(lacking)} on {database}")
            hints.append(f"GRANT {', '.join(lacking)} ON {quoted(database)}.* TO {grants.account}")
    blind = [database for database in databases if not grants.of_routines(database)]
    if blind:
        missing.append("SELECT on mysql.proc, without which routines of others are not seen")
        hints.append(f"GRANT SELECT ON mysql.proc TO {grants.account}")
    if missing:
        raise SourceError(
            f"{grants.account} may not read everything; it lacks {'; '.join(missing)}",
            hint="; ".join(hints),
        )


def _without_columns(rights: str) -> str:
    """Rights on single columns are no rights on tables."""
    return re.sub(r"[A-Z ]+\([^)]*\)", "", rights)


def _parts(what: str) -> tuple[str, str | None]:
    names = re.findall(r"`((?:[^`]|``)*)`", what)
    plain = [name.replace("``", "`") for name in names]
    return plain[0], plain[1] if len(plain) > 1 else None


def _fits(pattern: str, database: str) -> bool:
    """Whether a database is meant by the pattern of a grant; a backslash takes its meaning away."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    text = "".join(
        wild.get(part) or re.escape(part[-1] if part.startswith("\\") else part) for part in parts
    )
    return re.fullmatch(text, database, re.DOTALL) is not None
