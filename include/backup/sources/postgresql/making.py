"""Making what rows are put back into: roles that are missing, the database, its definitions."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import RestoreRefused, SourceError
from include.backup.sources.postgresql.address import as_argument, refused
from include.backup.sources.postgresql.catalog import quote, quote_text
from include.backup.sources.postgresql.listing import PRIVILEGES, entries_file, listed
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
_TABLESPACES: Final = "SELECT spcname::text FROM pg_catalog.pg_tablespace"
_MAY_CREATE: Final = """
SELECT rolsuper OR rolcreatedb FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
_OF_OBJECT_OWNERS: Final = re.compile(
    rb"ALTER LARGE OBJECT \d+ OWNER TO |(GRANT|REVOKE) .* ON LARGE OBJECT "
)
_GIVE_OBJECTS: Final = """
DO $$ DECLARE one oid; BEGIN
  FOR one IN SELECT oid FROM pg_catalog.pg_largeobject_metadata LOOP
    EXECUTE pg_catalog.format('ALTER LARGE OBJECT %s OWNER TO %I', one, {owner}::text);
  END LOOP;
END $$;
"""
_NAME: Final = r"(?:\"(?:[^\"]|\"\")*\"|[^\s\";]+)"
_ABOUT_DATABASE: Final = (
    r"((?:CREATE DATABASE|ALTER DATABASE|COMMENT ON DATABASE|SECURITY LABEL .*? ON DATABASE|"
    rf"(?:GRANT|REVOKE) [A-Z, ]+ ON DATABASE|ALTER ROLE {_NAME} IN DATABASE) )"
)
# Which statement of roles.sql is about which role; of a membership it is the one who gets it.
_ABOUT_ROLE: Final = re.compile(
    rf"(?:(?P<verb>CREATE|ALTER) ROLE|COMMENT ON ROLE|GRANT {_NAME} TO) (?P<name>{_NAME})"
)
# A name, a text or something else; a semicolon outside of names and texts ends a statement.
_STATEMENT: Final = re.compile(
    r"""
    ^(?:--|\\)[^\n]*$ |
    (?P<sql>[A-Za-z](?:
        (?<=\b[eE])'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | [^'";]
    )*;)
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_TABLESPACE: Final = re.compile(rf" TABLESPACE = {_NAME}(?=;$| )")
_OF_OWNERS: Final = r"ALTER DATABASE .* OWNER TO |GRANT |REVOKE |ALTER ROLE "


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
    address: Address,
    database: str,
    *,
    named: str,
    definition: bytes,
    psql: str,
    owner: str | None,
    tablespaces: bool,
) -> None:
    """Make a database as it was, under another name if need be.

    Args:
        named: what it is called in the definition.
        definition: database.sql.
        owner: see PostgresTarget.
        tablespaces: whether it lies where it lay.

    Raises:
        RestoreRefused.
    """
    chosen = []
    for statement in statements(definition.decode()):
        if owner is not None and re.match(_OF_OWNERS, statement):
            continue
        if not tablespaces and statement.startswith("CREATE DATABASE "):
            statement = _TABLESPACE.sub("", statement)  # noqa: PLW2901
        chosen.append(_renamed(statement, named, database))
    if owner:
        chosen.append(f"ALTER DATABASE {quote(database)} OWNER TO {quote(owner)};")
    run_sql(maintenance(address), psql, ["\n".join(chosen).encode() + b"\n"])


def statements(text: str) -> list[str]:
    r"""The statements of SQL that pg_dump wrote, without comments and psql's own commands.

    All of them can be said from another database: ``\connect`` is left out as well.
    """
    return [found["sql"].strip() for found in _STATEMENT.finditer(text) if found["sql"]]


def _renamed(statement: str, old: str, new: str) -> str:
    """A statement about a database, about the one of the new name."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_$]*", old)
    spelled = "|".join(re.escape(form) for form in (quote(old), *([old] if plain else ())))
    about = re.match(rf"{_ABOUT_DATABASE}(?:{spelled})(?=[ ;])", statement)
    if about is not None:
        return f"{about[1]}{quote(new)}{statement[about.end() :]}"
    if statement.startswith("UPDATE pg_catalog.pg_database "):  # that it is a template
        return statement.replace(quote_text(old), quote_text(new))
    return statement


def make_roles(address: Address, definition: bytes) -> tuple[list[str], list[str]]:
    """Make the roles of roles.sql that the server lacks, without passwords.

    Returns:
        Those that were made, and those that could not be.
    """
    told = [(_ABOUT_ROLE.match(one), one) for one in statements(definition.decode())]
    made: list[str] = []
    failed: list[str] = []
    try:
        session = maintenance(address).connect()
    except SourceError as error:
        raise RestoreRefused(error.message, hint=error.hint) from None
    with session:
        known = {row[0] for row in session.execute("SELECT rolname::text FROM pg_catalog.pg_roles")}
        for about, statement in told:
            if about is None or unquoted(about["name"]) in known:
                continue
            name = unquoted(about["name"])
            try:
                session.execute(_without_defaults(statement))
            except psycopg.Error:
                failed.append(name)
            else:
                if about["verb"] == "CREATE":
                    made.append(name)
    failed = list(dict.fromkeys(failed))
    return [name for name in made if name not in failed], failed


def _without_defaults(statement: str) -> str:
    """Without what only a superuser may say, and is so of a new role anyway.

    And without who granted a membership: it is whoever restores.
    """
    short = re.sub(r" GRANTED BY (\"(?:[^\"]|\"\")*\"|[^\s\"]+);$", ";", statement)
    if re.match(rf"ALTER ROLE {_NAME} WITH ", short):
        return re.sub(r" (NOSUPERUSER|NOREPLICATION|NOBYPASSRLS)\b", "", short)
    return short


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


def entries(address: Address, pg_restore: str, archive: int) -> list[str]:
    """The entries of an archive; see listing.listed.

    Raises:
        RestoreRefused.
    """
    return listed(pg_restore, archive, environment=address.environment(), error=RestoreRefused)


def restore_section(  # noqa: PLR0913  keywords
    address: Address,
    pg_restore: str,
    archive: int,
    section: str,
    *,
    jobs: int,
    owner: str | None,
    tablespaces: bool,
    only: Sequence[str] | None = None,
) -> None:
    """Restore the definitions of one section; the first error ends it.

    Args:
        only: entries of the archive; None: all.

    Raises:
        RestoreRefused.
    """
    arguments = [f"--section={section}", "--no-privileges"]
    if jobs > 1:
        arguments.append(f"--jobs={jobs}")
    if not tablespaces:
        arguments.append("--no-tablespaces")
    if owner is not None:
        arguments.append("--no-owner")
    if owner:
        arguments.append(f"--role={owner}")
    _restore(address, pg_restore, archive, arguments, what=section, only=only)


def restore_privileges(
    address: Address, pg_restore: str, archive: int, *, only: Sequence[str] | None = None
) -> None:
    """Grant what was granted; see listing.PRIVILEGES.

    Args:
        only: entries of the archive; None: all.

    Raises:
        RestoreRefused.
    """
    lines = entries(address, pg_restore, archive) if only is None else only
    wanted = list(filter(PRIVILEGES.match, lines))
    _restore(address, pg_restore, archive, [], what="privileges", only=wanted)


def _restore(
    address: Address,
    pg_restore: str,
    archive: int,
    arguments: Sequence[str],
    *,
    what: str,
    only: Sequence[str] | None,
) -> None:
    environment = address.environment()
    options = environment.get("PGOPTIONS", "")
    environment["PGOPTIONS"] = f"{options} -c maintenance_work_mem=256MB".strip()
    with ExitStack() as opened:
        files, chosen = [archive], []
        if only is not None:
            files.append(opened.enter_context(entries_file(only)))
            chosen = ["-L", f"/proc/self/fd/{files[1]}"]
        program = Program(
            [pg_restore, "--no-password", "--exit-on-error",
             f"--dbname={as_argument(address.database)}", *arguments, *chosen,
             f"/proc/self/fd/{archive}"],
            what=f"{address.shown}: {what}",
            environment=environment,
            open_files=files,
            error=RestoreRefused,
        )  # fmt: skip
        opened.enter_context(program).read()


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


def without_owners(pieces: Iterable[bytes], owner: str) -> Iterator[bytes]:
    """large_objects.sql without what it says of owners and privileges.

    Args:
        owner: of all large objects instead; empty: whoever restores.
    """
    left, inside = b"", False  # whether a line begins inside of a text
    for piece in pieces:
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            if inside or not _OF_OBJECT_OWNERS.match(line):
                yield line + b"\n"
            inside ^= line.count(b"'") % 2 == 1
    yield left
    if owner:
        yield _GIVE_OBJECTS.format(owner=quote_text(owner)).encode()


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
    return address.of_database("postgres")


def _ask(address: Address, query: str, *values: str) -> list[Any]:
    try:
        with address.connect() as session:
            cursor = session.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        told = refused(error, address)
        raise RestoreRefused(told.message, hint=told.hint) from None
