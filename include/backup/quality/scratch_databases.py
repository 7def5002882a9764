"""What databases for trials are called, on whatever server, and what is told when some are left.

holdfast_verify_<20 hex digits>_<8 hex digits>     run and recovery point; which database
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import DestinationRefused

if TYPE_CHECKING:
    from include.backup.errors import BackupError

PREFIX: Final = "holdfast_verify_"
_OURS: Final = re.compile(rf"{PREFIX}([0-9a-f]{{20}})_.*")


def database_of(name: str, database: str) -> str:
    """What a database is called while it is restored on trial, by the name of the scratch."""
    return f"{PREFIX}{name}_{sha256(database.encode()).hexdigest()[:8]}"


def scratch_of(database: str) -> str:
    """The name of the scratch that a database belongs to; empty: it is none of ours."""
    found = _OURS.fullmatch(database)
    return found[1] if found else ""


def taken(where: str, name: str) -> DestinationRefused:
    """The error for a scratch whose lock somebody else holds."""
    return DestinationRefused(f"{where}: somebody has {PREFIX}{name}")


def left_behind(name: str, error: BackupError) -> DestinationRefused:
    """The error for databases that could not be removed."""
    return DestinationRefused(
        f"customers' data is left in databases {PREFIX}{name}_…: {error.message}",
        hint="the next verification there removes them; or drop them by hand",
    )
