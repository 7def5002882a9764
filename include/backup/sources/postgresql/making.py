"""Making what rows are put back into: roles that are missing, the database, its definitions."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import RestoreRefused
from include.backup.sources.postgresql.address import refused
from include.backup.sources.postgresql.catalog import quote
from include.backup.sources.postgresql.programs import Feeding, Program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from include.backup.sources.postgresql.address import Address

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
_CREATE_ROLE: Final = re.compile(r"^CREATE ROLE (?P<name>.+);$")


def exists(address: Address, database: str) -> bool:
    """Whether a server has a database.

    Raises:
        RestoreRefused.
    """
    query = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s"
    return bool(_ask(maintenance(address), query, database))


def tables_there(address: Address) -> set[str]:
    """The tables of a database, in SQL.

    Raises:
        RestoreRefused.
    """
    return {f"{quote(schema)}.{quote(name)}" for schema, name in _ask(address, _TABLES)}


def is_empty(address: Address, database: str) -> bool:
    """Whether nobody has made anything in a database.

    Raises:
        RestoreRefused.
    """
    return bool(_ask(address.of_database(database), _OBJECTS) == [(0,)])


def drop_database(address: Address, database: str) -> None:
    """Remove a database with all that is in it, whoever is connected to it.

    Raises:
        RestoreRefused.
    """
    _ask(maintenance(address), f"DROP DATABASE {quote(database)} WITH (FORCE)")


def make_database(
    address: Address, database: str, *, named: str, definition: bytes, psql: str, owner: str | None
) -> None:
    """Make a database as it was, under another name if need be.

    Args:
        named: what it is called in the definition.
        definition: database.sql.
        owner: see PostgresTarget.

    Raises:
        RestoreRefused.
    """
    lines = []
    for line in definition.decode().splitlines():
        if line.startswith("\\connect "):
            continue  # all of it can be said from elsewhere
        if owner is not None and re.match(r"ALTER DATABASE .* OWNER TO |GRANT |REVOKE ", line):
            continue
        lines.append(_renamed(line, named, database))
    if owner:
        lines.append(f"ALTER DATABASE {quote(database)} OWNER TO {quote(owner)};")
    run_sql(maintenance(address), psql, ["\n".join(lines).encode() + b"\n"])


def _renamed(line: str, old: str, new: str) -> str:
    """A statement about a database, about the one of the new name."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", old)
    spelled = "|".join(re.escape(form) for form in (quote(old), *([old] if plain else ())))
    pattern = (
        rf"^((?:CREATE|ALTER|COMMENT ON|GRANT .* ON|REVOKE .* ON) DATABASE )(?:{spelled})(?=[ ;])"
    )
    return re.sub(pattern, lambda found: found[1] + quote(new), line)


def make_roles(address: Address, definition: bytes) -> tuple[list[str], list[str]]:
    """Make the roles of roles.sql that the server lacks, without passwords.

    Returns:
        Those that were made, and those that could not be.
    """
    lines = definition.decode().splitlines()
    made: list[str] = []
    failed: list[str] = []
    try:
        session = maintenance(address).connect()
    except Exception as error:
        raise RestoreRefused(str(error)) from error
    with session:
        known = {row[0] for row in session.execute("SELECT rolname::text FROM pg_catalog.pg_roles")}
        for line in lines:
            found = _CREATE_ROLE.match(line)
            if found is None or unquoted(found["name"]) in known:
                continue
            name = unquoted(found["name"])
            about = re.compile(rf"^ALTER ROLE {re.escape(found['name'])} (WITH|SET) ")
            try:
                session.execute(line)
                for other in filter(about.match, lines):
                    session.execute(other)
                made.append(name)
            except psycopg.Error:
                failed.append(name)
        for line in lines:  # memberships, of those that are new
            granted = re.match(r"^GRANT (.+) TO (\S+)", line)
            if granted and unquoted(granted[2].rstrip(";")) in made:
                try:
                    session.execute(re.sub(r" GRANTED BY .*;$", ";", line))
                except psycopg.Error:
                    failed.append(line)
    return made, failed


def unquoted(name: str) -> str:
    """An identifier as the catalog has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


@contextmanager
def archive_of(pieces: Iterable[bytes]) -> Iterator[int]:
    """schema.dump in memory, as a file that pg_restore can seek in."""
    descriptor = os.memfd_create("holdfast-schema", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.writelines(pieces)
        yield descriptor
    finally:
        os.close(descriptor)


def listed(pg_restore: str, archive: int) -> list[str]:
    """The lines of pg_restore's list.

    Raises:
        RestoreRefused.
    """
    with Program(
        [pg_restore, "--list", f"/proc/self/fd/{archive}"],
        what="pg_restore --list",
        environment={},
        open_files=[archive],
        error=RestoreRefused,
    ) as program:
        return program.read().decode(errors="replace").splitlines()


def restore_section(
    address: Address,
    pg_restore: str,
    archive: int,
    section: str,
    *,
    jobs: int,
    owner: str | None,
    only: Sequence[str] | None = None,
) -> None:
    """Restore the definitions of one section; the first error ends it.

    Args:
        only: lines of the list; None: all.

    Raises:
        RestoreRefused.
    """
    with ExitStack() as opened:
        descriptors = [archive]
        arguments = []
        if only is not None:
            chosen = opened.enter_context(archive_of([f"{line}\n".encode() for line in only]))
            descriptors.append(chosen)
            arguments.append(f"--use-list=/proc/self/fd/{chosen}")
        _restore_section(
            address, pg_restore, descriptors, section, arguments, jobs=jobs, owner=owner
        )


def _restore_section(
    address: Address,
    pg_restore: str,
    descriptors: Sequence[int],
    section: str,
    more: Sequence[str],
    *,
    jobs: int,
    owner: str | None,
) -> None:
    arguments = [f"--section={section}", "--exit-on-error", f"--dbname={address.database}", *more]
    if jobs > 1:
        arguments.append(f"--jobs={jobs}")
    if owner is not None:
        arguments += ["--no-owner", "--no-privileges"]
    if owner:
        arguments.append(f"--role={owner}")
    environment = address.environment()
    options = environment.get("PGOPTIONS", "")
    environment["PGOPTIONS"] = f"{options} -c maintenance_work_mem=256MB".strip()
    with Program(
        [pg_restore, "--no-password", *arguments, f"/proc/self/fd/{descriptors[0]}"],
        what=f"{address.shown}: {section}",
        environment=environment,
        open_files=descriptors,
        error=RestoreRefused,
    ) as program:
        program.read()


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


def maintenance(address: Address) -> Address:
    """The database that one is connected to while others are made and removed."""
    return address.of_database("postgres")


def _ask(address: Address, query: str, *values: str) -> list[Any]:
    try:
        with address.connect() as session:
            cursor = session.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        told = refused(error, address)
        raise RestoreRefused(told.message, hint=told.hint) from None
