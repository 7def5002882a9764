"""What a database holds: its relations, and which of them have rows to be read.

The rules are pg_dump's. Rows are read of ordinary tables, the leaves of partitioned ones among
them; of extensions' tables only those that the extension has marked as configuration, by its
condition. Foreign tables, views and materialized views come back by their definition.

Source: pg_dump.c of PostgreSQL 15, getTables and makeTableDataInfo.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg


class Rows(StrEnum):
    """What becomes of the rows of a relation, for the manifest: none is left out in silence."""

    READ = "read"
    NONE = "none: its partitions have them"
    DEFINITION = "none: it comes back by its definition"
    FOREIGN = "left out: they are another server's"
    EXTENSION = "left out: the extension makes them"
    SCHEMA_ONLY = "left out: schema_only"
    UNLOGGED = "left out: it is unlogged"
    REFRESHED = "none: refreshed when it is restored"
    EMPTY = "none: it had none"
    NOT_REFRESHED = "left out: it reads an empty view, and cannot be refreshed"
    SEQUENCE = "its value is in sequences.sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table, view or sequence as pg_class has it inside the snapshot."""

    oid: int
    schema: str
    name: str
    kind: str  # of pg_class: r, p, v, m, f, S
    persistence: str  # p, u
    access_method: str  # "heap", or that of an extension; empty where there is none
    filenode: int  # changes whenever the table is rewritten
    bytes_main: int  # of the heap, without TOAST
    bytes_all: int  # with TOAST
    populated: bool
    extension: str  # that it belongs to; empty: none
    condition: str | None  # of its configuration rows; None: it is no configuration table
    fingerprint: str  # of the columns, as they are stored
    columns: tuple[str, ...]  # those that are stored, in their order
    indexes: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()  # that belong to its columns
    readable: bool
    row_security: bool  # whether policies would hide rows from this role

    @property
    def label(self) -> str:
        """``schema.name`` for people."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """The relation in SQL."""
        return qualified(self.schema, self.name)

    @property
    def target(self) -> str:
        """The table and its stored columns, as COPY FROM wants them."""
        return copy_target(self.sql, self.columns)

    @property
    def has_storage(self) -> bool:
        """Whether it is a table that can be locked and read."""
        return self.kind in {"r", "p"}

    def select(self, where: str = "") -> str:
        """The query for its stored columns; `where` restricts the rows."""
        conditions = [self.condition.strip()] if self.condition and self.condition.strip() else []
        if where:
            conditions.append(f"WHERE {where}")
        named = ", ".join(map(quote, self.columns))
        return " ".join(["SELECT", named, f"FROM ONLY {self.sql}", *conditions])


def quote(name: str) -> str:
    """An identifier in SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def qualified(schema: str, name: str) -> str:
    """A relation in SQL."""
    return f"{quote(schema)}.{quote(name)}"


def copy_target(table: str, columns: Sequence[str]) -> str:
    """A table, in SQL, and its stored columns, as COPY FROM wants them."""
    named = ", ".join(map(quote, columns))
    return f"{table} ({named})" if named else table


def quote_text(text: str) -> str:
    """A text constant in SQL, whatever standard_conforming_strings says."""
    escaped = text.replace("'", "''")
    if "\\" not in escaped:
        return f"'{escaped}'"
    doubled = escaped.replace("\\", "\\\\")
    return f"E'{doubled}'"


def rows_of(
    relation: Relation, *, schema_only: Sequence[str], unlogged: bool, in_recovery: bool
) -> Rows:
    """What becomes of the rows of a relation.

    Args:
        schema_only: patterns of schema.table whose rows are not wanted.
        unlogged: whether those of unlogged tables are wanted.
        in_recovery: a standby has no rows of unlogged tables.
    """
    by_kind = {
        "p": Rows.NONE,
        "v": Rows.DEFINITION,
        "m": Rows.REFRESHED,
        "f": Rows.FOREIGN,
        "S": Rows.SEQUENCE,
    }
    if relation.extension and relation.condition is None and relation.kind in {"r", "S"}:
        return Rows.EXTENSION
    if relation.kind == "S" and relation.persistence == "u" and in_recovery:
        return Rows.UNLOGGED
    if relation.kind in by_kind:
        return by_kind[relation.kind]
    if any(fnmatchcase(relation.label, pattern) for pattern in schema_only):
        return Rows.SCHEMA_ONLY
    if relation.persistence == "u" and (in_recovery or not unlogged):
        return Rows.UNLOGGED
    return Rows.READ


def relations(session: psycopg.Connection[Any]) -> list[Relation]:
    """Every relation of the user's, by schema and name.

    Raises:
        psycopg.Error.
    """
    found = []
    for row in session.execute(_RELATIONS):
        (oid, schema, name, kind, persistence, method, filenode, main, every, populated) = row[:10]
        extension, configures, condition, fingerprint, columns = row[10:15]
        indexes, sequences, readable, hidden = row[15:]
        found.append(
            Relation(
                oid=oid,
                schema=schema,
                name=name,
                kind=kind,
                persistence=persistence,
                access_method=method or "",
                filenode=filenode or 0,
                bytes_main=main or 0,
                bytes_all=every or 0,
                populated=populated,
                extension=extension or "",
                condition=(condition or "") if configures else None,
                fingerprint=fingerprint or "",
                columns=tuple(columns or ()),
                indexes=tuple(indexes or ()),
                sequences=tuple(sequences or ()),
                readable=readable,
                row_security=hidden,
            )
        )
    return found


def types_fingerprint(session: psycopg.Connection[Any]) -> str:
    """One digest of all that values may be written by: enums, composites, domains, collations.

    If it differs, an unchanged row may be written otherwise than before.
    """
    row = session.execute(_TYPES).fetchone()
    return str(row[0]) if row else ""


# Dropped columns and missing values count: they change rows that nobody touched. What belongs to
# no user (pg_toast, pg_temp_3, …) is not looked at.
_RELATIONS: Final = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, am.amname,
       pg_catalog.pg_relation_filenode(c.oid)::int8,
       CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_relation_size(c.oid) END,
       CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_table_size(c.oid) END,
       c.relispopulated, e.extname, cfg.oid IS NOT NULL, cfg.condition,
       att.fingerprint, att.columns,
       (SELECT array_agg(i.relname::text ORDER BY i.relname)
          FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
         WHERE x.indrelid = c.oid),
       (SELECT array_agg(s.relname::text ORDER BY s.relname)
          FROM pg_catalog.pg_depend o JOIN pg_catalog.pg_class s ON s.oid = o.objid
         WHERE o.refobjid = c.oid AND o.refclassid = 'pg_catalog.pg_class'::regclass
           AND o.classid = 'pg_catalog.pg_class'::regclass AND o.deptype IN ('a', 'i')
           AND s.relkind = 'S'),
       CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
            ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
       c.relkind IN ('r', 'p') AND pg_catalog.row_security_active(c.oid)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
  LEFT JOIN pg_catalog.pg_depend d
         ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::regclass
  LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  LEFT JOIN (SELECT u.oid, u.condition
               FROM pg_catalog.pg_extension x,
                    LATERAL unnest(x.extconfig, x.extcondition) AS u(oid, condition)) cfg
         ON cfg.oid = c.oid
  LEFT JOIN LATERAL (
       SELECT md5(string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod,
                                       a.attcollation, a.attisdropped, a.attgenerated,
                                       a.atthasmissing, a.attmissingval), ',' ORDER BY a.attnum))
                AS fingerprint,
              array_agg(a.attname::text ORDER BY a.attnum)
                FILTER (WHERE NOT a.attisdropped AND a.attgenerated = '') AS columns
         FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0) att ON true
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
   AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

_TYPES: Final = """
SELECT md5(concat_ws('|',
  (SELECT string_agg(concat_ws(' ', enumtypid, enumsortorder, enumlabel), ','
                     ORDER BY enumtypid, enumsortorder) FROM pg_catalog.pg_enum),
  (SELECT string_agg(concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod,
                               a.attisdropped), ',' ORDER BY a.attrelid, a.attnum)
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE c.relkind = 'c'),
  (SELECT string_agg(concat_ws(' ', t.oid, t.typname, t.typtype, t.typbasetype, t.typtypmod,
                               t.typoutput::oid, t.typrelid), ',' ORDER BY t.oid)
     FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND t.typtype <> 'c' AND t.typcategory <> 'A'),
  (SELECT string_agg(concat_ws(' ', oid, collversion), ',' ORDER BY oid)
     FROM pg_catalog.pg_collation WHERE collversion IS NOT NULL),
  (SELECT string_agg(concat_ws(' ', extname, extversion), ',' ORDER BY extname)
     FROM pg_catalog.pg_extension)))
"""
