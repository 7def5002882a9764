"""How to restore databases with stock tools: the text of RESTORE.md."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from include.backup.evidence.wording import count
from include.backup.sources.postgresql.address import as_argument
from include.backup.sources.postgresql.definitions import copied_by_shell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.backup.sources.postgresql.database import Database


def restore_steps(databases: Sequence[Database]) -> str:
    """The steps after `restic` can be used."""
    told = [_FETCH, _ROLES]
    for one in databases:
        objects = " -f large_objects.sql" if one.has_large_objects else ""
        told.append(
            _DATABASE.format(
                name=one.name,
                shown=_word(as_argument(one.name)),
                folder=_word(one.folder),
                major=one.snapshot.version // 10_000,
                tables=count(len(one.tables), "table"),
                objects=objects,
                others="".join(_by_shell(one)),
                needed=f" {_TABLESPACES.format(', '.join(one.tablespaces))}"
                if one.tablespaces
                else "",
            )
        )
    return "\n".join(told)


def tables_in(tables: int, databases: int) -> str:
    """How much there is, for people."""
    some = count(tables, "table")
    return some if databases == 1 else f"{some} in {count(databases, 'database')}"


def _by_shell(one: Database) -> Iterator[str]:
    """The lines for tables that load.sql cannot name."""
    for file, relation in one.tables.items():
        if copied_by_shell(relation):
            command = f"COPY {one.definitions.copy_from(relation, 'STDIN')}"
            yield (
                f"    psql -X -v ON_ERROR_STOP=1 -d {_word(as_argument(one.name))} "
                f"-c {_word(command)} <data/{_word(file)}\n"
            )


def _word(text: str) -> str:
    """A word of a command for bash, on one line."""
    if not re.search(r"[\x00-\x1f\x7f]", text):
        return shlex.quote(text)
    escaped = re.sub(r"[\x00-\x1f\x7f'\\]", lambda found: f"\\x{ord(found[0]):02x}", text)
    return f"$'{escaped}'"


_FETCH: Final = """\
Needed besides: `psql`, as new as the server that the data goes to; where a file begins with
`\\restrict`, one that was released after August 2025. Loaded, the data takes about as much room
there as the files do here, and its indexes some more. Fetch the files, which are plain SQL and the
text of COPY:

    restic restore "$SNAPSHOT" --no-lock --target "$TARGET" --include "/$DATASET"
    cd "$TARGET/$DATASET"

Everything below is run in bash, and by psql as a superuser, or as the owner of all; PGHOST and so
on say where. What a database has set for its sessions must not stop it:

    export PGOPTIONS="-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0"
    export PGCLIENTENCODING=UTF8

Stop at the first error: what is incomplete is no restore.
"""
_TABLESPACES: Final = """\
It lies in the tablespaces {}; make those first (CREATE TABLESPACE), or delete what names them from
database.sql, pre-data.sql and post-data.sql."""
_ROLES: Final = """\
The roles that do not exist yet; they have no passwords here, set them anew. Those that exist
already are told as errors, which are the only ones to be ignored:

    psql -X -d postgres -f roles.sql
"""
_DATABASE: Final = """\
The database {name}, on a server of version {major} or newer, with {tables}.{needed} The
first line makes it; to give it another name, change that in database.sql and in the lines below.
Where it exists and is empty, as `postgres` does on every server, leave CREATE DATABASE out of it:

    cd "$TARGET/$DATASET"/{folder}
    psql -X -v ON_ERROR_STOP=1 -d postgres -f database.sql
    psql -X -v ON_ERROR_STOP=1 -d {shown} -f pre-data.sql -f load.sql{objects}
{others}    psql -X -v ON_ERROR_STOP=1 -d {shown} -f sequences.sql -f post-data.sql -f refresh.sql
    psql -X -d {shown} -c ANALYZE || echo "without statistics; nothing else is missing"

One table alone, without its definition: the line of load.sql that names it. Its triggers fire, if
it has any: ALTER TABLE … DISABLE TRIGGER USER before, ENABLE TRIGGER USER after.
"""
