"""What pg_dump and pg_dumpall write, statement by statement: told apart, renamed, made shorter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from include.backup.sources.postgresql.catalog import quote, quote_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME: Final = r"(?:\"(?:[^\"]|\"\")*\"|[^\s\";]+)"
_ABOUT_DATABASE: Final = (
    r"((?:CREATE DATABASE|ALTER DATABASE|COMMENT ON DATABASE|SECURITY LABEL .*? ON DATABASE|"
    rf"(?:GRANT|REVOKE) [A-Z, ]+ ON DATABASE|ALTER ROLE {_NAME} IN DATABASE) )"
)
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
# A line of sequences.sql.
SETVAL: Final = re.compile(
    r"SELECT pg_catalog\.setval\('(?P<name>(?:[^']|'')*)', (?P<value>-?\d+), (?P<called>\w+)\);"
)
_TABLESPACE: Final = re.compile(rf"^(CREATE DATABASE .*) TABLESPACE = {_NAME}(?=;$| )")
_OF_OWNERS: Final = re.compile(r"ALTER DATABASE .* OWNER TO |GRANT |REVOKE |ALTER ROLE ")


def statements(text: str) -> list[str]:
    r"""The statements of SQL that pg_dump wrote, without comments and psql's own commands.

    All of them can be said from another database: ``\connect`` is left out as well.
    """
    return [found["sql"].strip() for found in _STATEMENT.finditer(text) if found["sql"]]


class OfRole(NamedTuple):
    """A statement of roles.sql that is about one role."""

    role: str
    makes_it: bool
    sql: str  # as whoever restores may say it


def of_roles(text: str) -> Iterator[OfRole]:
    """The statements of roles.sql, each with its role; of a membership it is who gets it."""
    for statement in statements(text):
        if (about := _ABOUT_ROLE.match(statement)) is not None:
            makes_it = about["verb"] == "CREATE"
            yield OfRole(_unquoted(about["name"]), makes_it, _without_defaults(statement))


def of_database(
    text: str, *, old: str, new: str, owner: str | None, tablespaces: bool
) -> Iterator[str]:
    """The statements of database.sql.

    Args:
        old: what the database is called there.
        new: what it is to be called.
        owner: of the database; "": whoever restores; None: as it was, and so are privileges.
        tablespaces: whether it lies where it lay.
    """
    for statement in statements(text):
        if owner is not None and _OF_OWNERS.match(statement):
            continue
        placed = statement if tablespaces else _TABLESPACE.sub(r"\1", statement)
        yield renamed(placed, old, new)
    if owner:
        yield f"ALTER DATABASE {quote(new)} OWNER TO {quote(owner)};"


def renamed(statement: str, old: str, new: str) -> str:
    """A statement about a database, about the one of the new name."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_$]*", old)
    spelled = "|".join(re.escape(form) for form in (quote(old), *([old] if plain else ())))
    about = re.match(rf"{_ABOUT_DATABASE}(?:{spelled})(?=[ ;])", statement)
    if about is not None:
        return f"{about[1]}{quote(new)}{statement[about.end() :]}"
    of_old = f" WHERE datname = {quote_text(old)};"
    if statement.startswith("UPDATE pg_catalog.pg_database ") and statement.endswith(of_old):
        return f"{statement.removesuffix(of_old)} WHERE datname = {quote_text(new)};"
    return statement


def _without_defaults(statement: str) -> str:
    """Without what only a superuser may say, and is so of a new role anyway.

    And without who granted a membership: it is whoever restores.
    """
    short = re.sub(r" GRANTED BY (\"(?:[^\"]|\"\")*\"|[^\s\"]+);$", ";", statement)
    if re.match(rf"ALTER ROLE {_NAME} WITH ", short):
        return re.sub(r" (NOSUPERUSER|NOREPLICATION|NOBYPASSRLS)\b", "", short)
    return short


def _unquoted(name: str) -> str:
    """An identifier as the catalog has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


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
