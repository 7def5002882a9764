"""How to put a dataset back with stock tools."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from include.backup.sources.mariadb.names import file_name

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS: Final = r"""
It holds databases of a {kind} server (version {version}), each as files of SQL, one for the rows of
each table. `mariadb` is MariaDB's client program, 10.11.8 or newer; an older one, or MySQL's, does
not know the first line of the files: leave it out with `tail -n +2`.

    restic restore "$SNAPSHOT" --target "$TARGET" --include "/$DATASET"

The databases, as their directories are called:

{names}

A byte that a file name cannot hold is written `%XX`, as in `a%2Eb` for `a.b`. For each of them,
into a new database of the same name or of another:

    FOLDER="$TARGET/$DATASET/"{first}
    DATABASE={first_quoted}
    mariadb --execute "CREATE DATABASE \`${{DATABASE//\`/\`\`}}\`"
    load() {{ mariadb --binary-mode --comments --default-character-set=utf8mb4 "$DATABASE"; }}
    load < "$FOLDER/schema.sql"
    HEAD='SET unique_checks=0, system_versioning_insert_history=1;'
    find "$FOLDER/data" -name '*.sql' -exec cat {{}} + | (echo "$HEAD"; cat) | load || echo FAILED
    for FILE in routines views triggers; do cat "$FOLDER/$FILE.sql" | load || echo FAILED; done

Add the options of your server to `mariadb` (`--host`, `--user`, …). It stops at the first error;
then the restore has failed. One table alone: `schema.sql`, then its file below `data`. How many
rows each table has stands in `/.holdfast/manifest.json`, where the recovery point lies in the
binary log in `/.holdfast/position.json`. Accounts are in `users.sql`, without passwords: read it
before you run it. Views, triggers and routines name the accounts that defined them (DEFINER); they
fail until such an account exists.
"""


def restore_steps(version: str, databases: Sequence[str], *, is_mariadb: bool) -> str:
    """The steps for these databases."""
    first = databases[0] if databases else "DATABASE"
    return STEPS.format(
        kind="MariaDB" if is_mariadb else "MySQL",
        version=version.removeprefix("5.5.5-"),
        names="\n".join(f"* `{file_name(name).decode()}`" for name in databases),
        first=_shell(file_name(first).decode()),
        first_quoted=_shell(first),
    )


def _shell(name: str) -> str:
    """A word of the shell."""
    return name if name.isidentifier() else shlex.quote(name)
