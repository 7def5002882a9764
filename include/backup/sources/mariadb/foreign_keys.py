"""Foreign keys after some tables came back beside others: rows that refer to nothing.

Tables are loaded without looking at foreign keys, as they come in any order. A database that comes
back whole is as it was; a table of one day beside others of another day may not fit, and MariaDB
never looks again.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from include.backup.evidence.wording import count
from include.backup.sources.mariadb.names import quoted, text
from include.backup.sources.mariadb.session import SqlFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.backup.sources.mariadb.session import Session

_KEYS: Final = """\
SELECT table_schema, table_name, constraint_name, referenced_table_schema, referenced_table_name,
       column_name, referenced_column_name
  FROM information_schema.key_column_usage
 WHERE referenced_table_name IS NOT NULL
   AND ((table_schema = {database} AND table_name IN ({tables}))
     OR (referenced_table_schema = {database} AND referenced_table_name IN ({tables})))
 ORDER BY table_schema, table_name, constraint_name, ordinal_position"""


class _Key(NamedTuple):
    """A foreign key, without its columns."""

    database: str
    table: str
    name: str
    other_database: str
    other_table: str

    @property
    def shown(self) -> str:
        return f"{self.table} ({self.name})"


def referring_to_nothing(session: Session, database: str, tables: Iterable[str]) -> Iterator[str]:
    """What does not fit, for people: one sentence for each foreign key of these tables, or to them.

    Raises:
        SourceError: the connection broke.
    """
    named = ", ".join(map(text, tables))
    if not named:
        return
    rows = session.query(_KEYS.format(database=text(database), tables=named))
    for key, columns in groupby(rows, lambda row: _Key(*map(str, row[:5]))):
        try:
            orphans = _count(session, key, [(str(row[5]), str(row[6])) for row in columns])
        except SqlFailed as error:
            yield f"foreign key of {key.shown} was not looked at: {error.message}"
            continue
        if orphans:
            yield (
                f"{count(orphans, 'row')} of {key.shown} "
                f"{'refers' if orphans == 1 else 'refer'} to no row of {key.other_table}"
            )


def _count(session: Session, key: _Key, columns: list[tuple[str, str]]) -> int:
    """How many rows refer to nothing; one with a NULL refers to none by right."""
    refers = " AND ".join(f"c.{quoted(own)} IS NOT NULL" for own, _ in columns)
    same = " AND ".join(f"p.{quoted(other)} = c.{quoted(own)}" for own, other in columns)
    child = f"{quoted(key.database)}.{quoted(key.table)}"
    parent = f"{quoted(key.other_database)}.{quoted(key.other_table)}"
    found = session.query(
        f"SELECT COUNT(*) FROM {child} c WHERE {refers} "  # noqa: S608 quoted
        f"AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {same})"
    )
    return int(found[0][0])
