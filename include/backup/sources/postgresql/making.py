"""What a server has, and making what rows are put back into: roles, the database."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import RestoreRefused
from include.backup.sources.postgresql.address import refused
from include.backup.sources.postgresql.catalog import qualified
from include.backup.sources.postgresql.programs import Feeding
from include.backup.sources.postgresql.statements import of_database, of_roles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.backup.sources.postgresql.address import Address

MAINTENANCE: Final = "postgres"

# What a new database holds, and a template may add: a database with more is not empty.
_OBJECTS: Final = """
SELECT pg_catalog.count(*) FROM (
  SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
  UNION ALL
  SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
  UNION ALL
  SELECT oid FROM pg_catalog.pg_namespace
   WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
  UNION ALL
  SELECT oid FROM pg_catalog.pg_largeobject_metadata) x
"""
_TABLES: Final = """
SELECT n.nspname::text, c.relname::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
# Of plain tables that nobody inherits from, whose constraints are valid and checked at once.
_ENFORCED: Final = """
WITH plain AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND NOT c.relhassubclass
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
)
SELECT name, 'filled', ARRAY[a.attname::text]
  FROM plain JOIN pg_catalog.pg_attribute a ON a.attrelid = plain.oid
 WHERE a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                    WHERE k.conrelid = plain.oid AND k.contype = 'n' AND NOT k.convalidated
                      AND a.attnum = ANY (k.conkey))
UNION ALL
SELECT name, 'unique', (SELECT pg_catalog.array_agg(a.attname::text)
                          FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = plain.oid AND a.attnum = ANY (k.conkey))
  FROM plain JOIN pg_catalog.pg_constraint k ON k.conrelid = plain.oid
       JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid
 WHERE k.contype IN ('p', 'u') AND NOT k.condeferrable AND i.indisvalid AND i.indisready
"""
_TABLESPACES: Final = "SELECT spcname::text FROM pg_catalog.pg_tablespace"
_VERSION: Final = "SELECT current_setting('server_version_num')::int"
_IDENTITY: Final = """
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),
       (SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = current_database())
"""
_END_OWN: Final = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
 WHERE datname = current_database() AND application_name = %s
   AND pid <> pg_catalog.pg_backend_pid()
"""
_MAY_CREATE: Final = """
SELECT rolsuper OR rolcreatedb FROM pg_catalog.pg_roles WHERE rolname = current_user
"""


def server_version(address: Address) -> int:
    """The major version of a server.

    Raises:
        RestoreRefused.
    """
    return int(_ask(maintenance(address), _VERSION)[0][0]) // 10_000


def identity(address: Address) -> tuple[str, int] | None:
    """Which database of which cluster it is; None if the server does not tell this role.

    Raises:
        RestoreRefused: it does not answer.
    """
    with address.connect() as session:
        try:
            row = session.execute(_IDENTITY).fetchone()
        except psycopg.Error:
            return None
    return None if row is None else (str(row[0]), row[1])


def exists(address: Address) -> bool:
    """Whether a server has the database.

    Raises:
        RestoreRefused.
    """
    query = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s"
    return bool(_ask(maintenance(address), query, address.database))


def tables_there(address: Address) -> set[str]:
    """The tables of a database, in SQL.

    Raises:
        RestoreRefused.
    """
    return set(relations_there(address).values())


def relations_there(address: Address) -> dict[str, str]:
    """Tables and views of a database, by schema and name: for people, and in SQL.

    Raises:
        RestoreRefused.
    """
    return {f"{schema}.{name}": qualified(schema, name) for schema, name in _ask(address, _TABLES)}


def constraints_there(address: Address) -> list[tuple[str, str, list[str]]]:
    """What constraints of a database enforce.

    Returns:
        The table (schema and name), ``filled`` or ``unique``, and the columns that it is about.

    Raises:
        RestoreRefused.
    """
    return [(str(table), str(kind), list(of)) for table, kind, of in _ask(address, _ENFORCED)]


def is_empty(address: Address) -> bool:
    """Whether nobody has made anything in the database.

    Raises:
        RestoreRefused.
    """
    return bool(_ask(address, _OBJECTS) == [(0,)])


def make_database(
    address: Address,
    *,
    named: str,
    definition: bytes,
    psql: str,
    owner: str | None,
    tablespaces: bool,
) -> None:
    """Make the database as it was, under another name if need be.

    Args:
        named: what it is called in the definition.
        definition: database.sql.
        owner, tablespaces: see statements.of_database.

    Raises:
        RestoreRefused.
    """
    wanted = of_database(
        definition.decode(), old=named, new=address.database, owner=owner, tablespaces=tablespaces
    )
    run_sql(maintenance(address), psql, [f"{statement}\n".encode() for statement in wanted])


def make_roles(address: Address, definition: bytes) -> tuple[list[str], list[str]]:
    """Make the roles of roles.sql that the server lacks, without passwords.

    Returns:
        Those that were made, and those that could not be.

    Raises:
        RestoreRefused.
    """
    made: list[str] = []
    failed: dict[str, None] = {}
    with maintenance(address).connect() as session:
        known = {row[0] for row in session.execute("SELECT rolname::text FROM pg_catalog.pg_roles")}
        for one in of_roles(definition.decode()):
            if one.role in known:
                continue
            try:
                session.execute(one.sql)
            except psycopg.Error:
                failed[one.role] = None
            else:
                made += [one.role] if one.makes_it else []
    return [name for name in made if name not in failed], list(failed)


def run_sql(address: Address, psql: str, pieces: Iterable[bytes]) -> None:
    """Run SQL by psql, as it comes; the first error ends it.

    Raises:
        RestoreRefused.
    """
    with Feeding(
        [psql, "-XAtq", "-v", "ON_ERROR_STOP=1", "--no-password", "-f", "-"],
        what=address.shown,
        environment=address.environment() | {"PGCLIENTENCODING": "UTF8"},
        error=RestoreRefused,
    ) as feeding:
        for piece in pieces:
            feeding.write(piece)
        feeding.finish()


class StatementFailed(Exception):
    """A statement of somebody else's failed. Only its code is known: its text may quote values."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    @property
    def is_absent(self) -> bool:
        """Whether it names a table, column or schema that is not there."""
        return self.code in {"42P01", "42703", "3F000"}


def run_statements(address: Address, statements: str) -> int:
    """Run statements in one transaction; return how many rows they changed.

    Raises:
        StatementFailed: nothing was changed.
        RestoreRefused: the server cannot be reached.
    """
    rows = 0
    with address.connect(autocommit=False) as session:
        try:
            with session.cursor() as cursor:
                cursor.execute(statements.encode())
                rows += max(cursor.rowcount, 0)
                while cursor.nextset():
                    rows += max(cursor.rowcount, 0)
            session.commit()
        except psycopg.Error as error:
            raise StatementFailed(error.sqlstate or "the connection was lost") from None
    return rows


def end_sessions(address: Address) -> None:
    """End what this restore still has at work in a database. Raises nothing."""
    with suppress(RestoreRefused, psycopg.Error), address.connect() as session:
        session.execute(_END_OWN, [address.application])


def may_create(address: Address) -> bool:
    """Whether the role that restores may make databases.

    Raises:
        RestoreRefused.
    """
    return bool(_ask(maintenance(address), _MAY_CREATE) == [(True,)])


def tablespaces(address: Address) -> set[str]:
    """The tablespaces of a server.

    Raises:
        RestoreRefused.
    """
    return {row[0] for row in _ask(maintenance(address), _TABLESPACES)}


def maintenance(address: Address) -> Address:
    """The database that one is connected to while others are made and removed."""
    return address.of_database(MAINTENANCE)


def _ask(address: Address, query: str, *values: str) -> list[Any]:
    try:
        with address.connect() as session:
            cursor = session.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        raise refused(error, address) from None
