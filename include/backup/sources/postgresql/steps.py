"""How to restore databases with stock tools: the text of RESTORE.md."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.sources.postgresql.database import Database


def restore_steps(databases: Sequence[Database]) -> str:
    """The steps after `restic` can be used."""
    told = [_FETCH, _ROLES]
    for one in databases:
        objects = " -f large_objects.sql" if one.has_large_objects else ""
        told.append(
            _DATABASE.format(
                name=one.name,
                shown=shlex.quote(one.name),
                folder=shlex.quote(one.folder),
                major=one.snapshot.version // 10_000,
                tables=len(one.tables),
                objects=objects,
            )
        )
    return "\n".join(told)


def tables_in(tables: int, databases: int) -> str:
    """How much there is, for people."""
    some = "1 table" if tables == 1 else f"{tables:,} tables"
    return some if databases == 1 else f"{some} in {databases} databases"


_FETCH: Final = """\
Fetch the files, which are plain SQL and the text of COPY:

    restic restore "$SNAPSHOT" --target "$TARGET" --include "/$DATASET"
    cd "$TARGET/$DATASET"

Everything below is run by psql as a superuser, or as the owner of all; PGHOST and so on say where.
Stop at the first error: what is incomplete is no restore.
"""
_ROLES: Final = """\
The roles that do not exist yet; they have no passwords here, set them anew. Those that exist
already are told as errors, which are the only ones to be ignored:

    psql -X -d postgres -f roles.sql
"""
_DATABASE: Final = """\
The database {name}, on a server of version {major} or newer, with {tables} tables. The first line
makes it; to give it another name, change that in database.sql and in the lines below:

    cd "$TARGET/$DATASET"/{folder}
    psql -X -v ON_ERROR_STOP=1 -d postgres -f database.sql
    psql -X -v ON_ERROR_STOP=1 -d {shown} -f pre-data.sql -f load.sql{objects}
    psql -X -v ON_ERROR_STOP=1 -d {shown} -f sequences.sql -f post-data.sql -f refresh.sql
    psql -X -d {shown} -c ANALYZE

One table alone, without its definition: the line of load.sql that names it.
"""
