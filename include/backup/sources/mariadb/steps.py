"""How to put a dataset back with stock tools."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from include.backup.sources.mariadb.names import file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS: Final = r"""
It holds databases of a {kind} server (version {version}), each as files of SQL, one for the rows of
each table. `mariadb` is MariaDB's client program, 10.11.8 or newer; an older one, or MySQL's, does
not know the first line of the files: leave it out with `tail -n +2`. Loaded, the data takes about
as much room on the server as the files do here, and its indexes some more.

    restic restore "$SNAPSHOT" --no-lock --target "$TARGET" --include "/$DATASET"

The databases, as their directories are called:

{names}

Only into new ones: `schema.sql` drops the tables whose names it has, all of them. A byte that a
file name cannot hold is written `%XX`, as in `a%2Eb` for `a.b`. For each of them, into a new
database of the same name or of another:

    FOLDER="$TARGET/$DATASET/"{first}
    DATABASE={first_quoted}
    mariadb --execute "CREATE DATABASE \`${{DATABASE//\`/\`\`}}\` {first_set}"
    load() {{ mariadb --binary-mode --comments --default-character-set=utf8mb4 "$DATABASE"; }}
    load < "$FOLDER/schema.sql"
    HEAD='SET unique_checks=0, system_versioning_insert_history=1;'
    find "$FOLDER/data" -name '*.sql' -exec cat {{}} + | (echo "$HEAD"; cat) | load || echo FAILED
    for FILE in routines views triggers; do cat "$FOLDER/$FILE.sql" | load || echo FAILED; done

Add the options of your server to `mariadb` (`--host`, `--user`, …). It stops at the first error;
then the restore has failed. One table alone: into a new database `schema.sql`, then its file below
`data`; from there move it where you need it. How many rows each table has stands in
`/.holdfast/manifest.json`, where the recovery point lies in the binary log in
`/.holdfast/position.json`. Accounts are in `users.sql`, if they were read, and without passwords:
look at it before you run it. Views, triggers and routines name the accounts that defined them
(DEFINER); they fail until such an account exists.
"""


def restore_steps(
    version: str, databases: Mapping[str, tuple[str, str]], *, is_mariadb: bool
) -> str:
    """The steps for these databases, each with its character set and collation."""
    first = min(databases, default="DATABASE")
    sets = "\n".join(
        f"* `{file_name(name).decode()}`: CHARACTER SET {charset} COLLATE {collation}"
        for name, (charset, collation) in sorted(databases.items())
    )
    charset, collation = databases.get(first, ("utf8mb4", "utf8mb4_general_ci"))
    return STEPS.format(
        kind="MariaDB" if is_mariadb else "MySQL",
        version=version.removeprefix("5.5.5-"),
        names=sets,
        first_set=f"CHARACTER SET {charset} COLLATE {collation}",
        first=_shell(file_name(first).decode()),
        first_quoted=_shell(first),
    )


def _shell(name: str) -> str:
    """A word of the shell."""
    return name if name.isidentifier() else shlex.quote(name)
