"""What a server holds: databases, tables with their engines, and what else is defined.

The catalog is read before the read lock and again when everything has been read. A definition
that differs was changed meanwhile: a dump of the rows may then hold the new shape of a table with
the old name of a column, and no error would tell (an instant ADD COLUMN does that).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from include.backup.errors import ConfigurationInvalid, EntryUnreadable, SourceGone
from include.backup.sources.mariadb.names import quoted, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.backup.sources.mariadb.session import Session

SYSTEM: Final = frozenset({"mysql", "information_schema", "performance_schema", "sys"})
TRANSACTIONAL: Final = frozenset({"InnoDB", "ROCKSDB", "TokuDB"})
# Their rows lie in other tables, or on other servers; mariadb-dump leaves them out as well.
ELSEWHERE: Final = frozenset({
    "MRG_MyISAM", "MRG_MYISAM", "FEDERATED", "CONNECT", "SPIDER", "OQGRAPH", "BLACKHOLE", "S3",
})  # fmt: skip
_NAMES: Final = (
    "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({among})"
)
_TABLES: Final = (
    "SELECT table_schema, table_name, table_type, engine, create_time, data_length, table_comment "
    "FROM information_schema.tables WHERE table_schema IN ({among})"
)
# What the server does not print in full. Of two codes for one character it keeps one.
_INEXACT: Final = (
    "SELECT table_schema, table_name, column_name, IF(data_type = 'float', 'DOUBLE', 'BINARY') "
    "FROM information_schema.columns WHERE table_schema IN ({among}) "
    "AND (data_type = 'float' OR character_set_name IN "
    "('sjis', 'cp932', 'ujis', 'eucjpms', 'big5', 'gbk', 'gb2312', 'euckr') "
    "AND data_type IN ('char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext')) "
    "ORDER BY ordinal_position"
)
_DATABASES: Final = (
    "SELECT schema_name, default_character_set_name, default_collation_name "
    "FROM information_schema.schemata WHERE schema_name IN ({among})"
)
_ENDLESS: Final = (
    "SELECT event_schema, event_name FROM information_schema.events "
    "WHERE event_schema IN ({among}) AND LOCATE(';;', event_definition) > 0"
)
SCHEMA_ONLY: Final = "schema_only"  # why rows were left out that somebody may miss
_COUNTER: Final = re.compile(r" AUTO_INCREMENT=\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A base table, a sequence or a view."""

    database: str
    name: str
    kind: str  # "table", "versioned table", "sequence", "view"
    engine: str = ""
    size_bytes: int = 0  # what the server guesses
    casts: tuple[tuple[str, str], ...] = ()  # columns that are asked for as another type
    left_out: str = ""  # why its rows are not read; empty if they are
    definition: str = ""  # as SHOW CREATE TABLE says it, without the counter; and when it was made

    @property
    def transactional(self) -> bool:
        """Whether a snapshot holds its rows still."""
        return self.engine in TRANSACTIONAL

    @property
    def has_rows(self) -> bool:
        """Whether its rows are to be read."""
        return not self.left_out

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What is defined in the databases of a dataset."""

    databases: dict[str, tuple[str, str]]  # character set and collation, by name
    tables: tuple[Table, ...]  # in the order of their names, database by database
    others: dict[tuple[str, str, str], tuple[object, ...]]  # kind, database, name

    def of(self, database: str) -> list[Table]:
        """What one database holds."""
        return [table for table in self.tables if table.database == database]

    def views_of(self, database: str) -> list[str]:
        """The views of a database, each after those that it reads.

        `mariadb-dump` takes them in this order. In that of their names a view WITH CHECK OPTION
        could come before the view that it updates, and would be refused.
        """
        views = {one.name: one.definition for one in self.of(database) if one.kind == "view"}
        reads = {name: _named(text, database) & views.keys() for name, text in views.items()}
        ordered: dict[str, None] = {}
        while len(ordered) < len(views):
            left = [name for name in views if name not in ordered]
            free = [name for name in left if reads[name] - {name} <= ordered.keys()]
            ordered |= dict.fromkeys(free or left)  # what looks like a circle is no worse off
        return list(ordered)

    def others_of(self, database: str, *kinds: str) -> int:
        """How many triggers, routines or events a database has."""
        return sum(1 for kind, where, _ in self.others if where == database and kind in kinds)


def _named(definition: str, database: str) -> set[str]:
    """What a view names of its own database."""
    body = definition.partition(" AS ")[2]
    found = re.finditer(re.escape(quoted(database)) + r"\.`((?:[^`]|``)*)`", body)
    return {match[1].replace("``", "`") for match in found}


def choose(session: Session, wanted: Sequence[str], *, every: bool) -> list[str]:
    """The databases to be read, in the order of their names.

    Raises:
        ConfigurationInvalid: none is named.
        SourceGone: one is not there.
    """
    there = {str(row[0]) for row in session.query("SHOW DATABASES")}
    if every:
        return sorted(there - SYSTEM)
    names = sorted(set(wanted or (session.address.database,)) - {""})
    if not names:
        raise ConfigurationInvalid(
            f"connection {session.address.name} names no database",
            hint='name one as its schema, or list `databases` of the source, or "*"',
        )
    for name in names:
        if name in SYSTEM:
            raise ConfigurationInvalid(
                f"{name} is the server's own", hint="it belongs to a backup of the server itself"
            )
        if name not in there:
            raise SourceGone(
                f"{session.address.shown} has no database {name} that {session.address.user} sees",
                hint="is the name right, and may the account read it?",
            )
    return names


def names_of_tables(session: Session, databases: Sequence[str]) -> set[tuple[str, str]]:
    """Every table, sequence and view there is; fast, for it is asked under the read lock."""
    rows = session.query(_NAMES.format(among=_list(databases)))
    return {(str(row[0]), str(row[1])) for row in rows if row[0] in databases}


def read_catalog(
    session: Session, databases: Sequence[str], *, schema_only: Iterable[str] = ()
) -> Catalog:
    """Read what is defined.

    Raises:
        EntryUnreadable: a table or view is broken.
        SqlFailed.
    """
    patterns = tuple(schema_only)
    among = _list(databases)
    for database, name in session.query(_ENDLESS.format(among=among)):
        raise EntryUnreadable(
            f"{database}: the event {name} holds ;; in its body, at which mariadb-dump hangs",
            hint="ALTER EVENT … DO the same with one semicolon",
        )
    casts: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for database, name, column, type_ in session.query(_INEXACT.format(among=among)):
        casts.setdefault((database, name), []).append((column, type_))
    tables = []
    for database, name, kind, engine, made, size, remark in session.query(
        _TABLES.format(among=among)
    ):
        if database not in databases:
            continue  # the same name in other letters: names are compared without regard to case
        kind_of = _KINDS.get(kind, "table")
        if kind_of != "view" and not engine:
            raise EntryUnreadable(
                f"{database}.{name} is broken: {remark}", hint="repair or drop the table"
            )
        [shown] = session.query(f"SHOW CREATE TABLE {quoted(database)}.{quoted(name)}")
        tables.append(
            Table(
                database=database,
                name=name,
                kind=kind_of,
                engine=engine or "",
                size_bytes=int(size or 0),
                casts=tuple(casts.get((database, name), ())),
                left_out=_left_out(database, name, kind_of, engine or "", patterns),
                definition=f"{_COUNTER.sub('', str(shown[1]))} {made if kind_of != 'view' else ''}",
            )
        )
    return Catalog(
        databases=_databases(session, databases),
        tables=tuple(sorted(tables, key=lambda table: (table.database, table.name))),
        others=_others(session, databases),
    )


def refuse_changes(before: Catalog, after: Catalog) -> None:
    """Compare what was defined before everything was read, and after.

    A table that was made meanwhile is no part of the recovery point, and does no harm.

    Raises:
        EntryUnreadable: names what was changed.
    """
    now = {(table.database, table.name): table for table in after.tables}
    changed = [
        f"{table} ({'gone' if found is None else 'defined anew'})"
        for table in before.tables
        if (found := now.get((table.database, table.name))) is None
        or found.definition != table.definition
    ]
    changed += [
        f"{kind} {database}.{name}"
        for kind, database, name in before.others.keys() | after.others.keys()
        if before.others.get((kind, database, name)) != after.others.get((kind, database, name))
    ]
    changed += [f"database {name}" for name in before.databases
                if before.databases[name] != after.databases.get(name)]  # fmt: skip
    if changed:
        named = ", ".join(sorted(changed)[:10])
        raise EntryUnreadable(
            f"what was read cannot be trusted: changed while it was read: {named}",
            hint="back up again, at a time without ALTER, TRUNCATE, RENAME or DROP",
        )


_KINDS: Final = {
    "BASE TABLE": "table",
    "SYSTEM VERSIONED": "versioned table",
    "SEQUENCE": "sequence",
    "VIEW": "view",
}


def _left_out(database: str, name: str, kind: str, engine: str, patterns: Sequence[str]) -> str:
    if kind == "view":
        return "a view has no rows of its own"
    if kind == "sequence":
        return "its value stands in the schema"
    if engine in ELSEWHERE:
        return f"the rows of a {engine} table lie elsewhere"
    for pattern in patterns:
        if fnmatchcase(f"{database}.{name}", pattern):
            return f"{SCHEMA_ONLY}: {pattern}"
    return ""


def _databases(session: Session, databases: Sequence[str]) -> dict[str, tuple[str, str]]:
    rows = session.query(_DATABASES.format(among=_list(databases)))
    return {row[0]: (row[1], row[2]) for row in rows if row[0] in databases}


_OTHERS: Final = {
    "trigger": "SELECT trigger_schema, trigger_name, event_object_table, action_order, created, "
    "definer, sql_mode, action_timing, event_manipulation, MD5(action_statement) "
    "FROM information_schema.triggers WHERE trigger_schema IN ({among})",
    "routine": "SELECT routine_schema, CONCAT(routine_type, ' ', routine_name), last_altered, "
    "definer, sql_mode, MD5(routine_definition) FROM information_schema.routines WHERE "
    "routine_schema IN ({among})",
    "event": "SELECT event_schema, event_name, last_altered, definer, status, sql_mode, "
    "MD5(event_definition) FROM information_schema.events WHERE event_schema IN ({among})",
}


def _others(
    session: Session, databases: Sequence[str]
) -> dict[tuple[str, str, str], tuple[object, ...]]:
    found: dict[tuple[str, str, str], tuple[object, ...]] = {}
    for kind, sql in _OTHERS.items():
        for database, name, *rest in session.query(sql.format(among=_list(databases))):
            if database in databases:
                found[kind, database, name] = tuple(map(str, rest))
    return found


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(text, names)) or "NULL"
