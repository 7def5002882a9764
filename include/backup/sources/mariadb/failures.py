"""What it means that `mariadb-dump` fails, and what to do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from include.backup.errors import EntryUnreadable

if TYPE_CHECKING:
    from include.backup.sources.mariadb.programs import ProgramFailed

_CHANGED: Final = "1412"
_EXECUTE: Final = "1370"
_HISTORY: Final = "--dump-history"
_GONE: Final = "Couldn't find table"
_DUMPING: Final = re.compile(r"dumping table `(.*?)` at row")


def unreadable(what: str, error: ProgramFailed) -> EntryUnreadable:
    """The error for what could not be dumped."""
    if _CHANGED in error.told:
        named = _DUMPING.search(error.told)
        return EntryUnreadable(
            f"{what}{f': {named[1]}' if named else ''} changed while it was read "
            "(ALTER, TRUNCATE, RENAME, DROP)",
            hint="back up again, at a time without changes of definitions",
        )
    if _HISTORY in error.told:
        return EntryUnreadable(
            f"{what}: {error.told}",
            hint="history by transaction numbers cannot be dumped: name the table in schema_only, "
            "or version it by time",
        )
    if _EXECUTE in error.told:
        return EntryUnreadable(
            f"{what}: {error.told}",
            hint="a view calls it: GRANT EXECUTE ON that database TO the account of the backup",
        )
    if _GONE in error.told:
        return EntryUnreadable(
            f"{what}: {error.told}",
            hint="it was dropped or renamed while it was read: back up again",
        )
    return EntryUnreadable(f"{what}: {error.told}")
