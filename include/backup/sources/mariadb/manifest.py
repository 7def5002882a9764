"""What a recovery point says of itself: every relation, and where in the server's log it lies.

`manifest.json` is the same bytes as long as nothing changed, so it is stored once. What differs
in every run (the position, how long writers waited) stands in `position.json`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from include.backup.sources.mariadb.names import USERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.sources.mariadb.catalog import Catalog, Table
    from include.backup.sources.mariadb.dumping import Figures
    from include.backup.sources.mariadb.window import Window

MANIFEST: Final = "manifest.json"
POSITION: Final = "position.json"
FORMAT: Final = 1


def manifest(
    version: str,
    catalog: Catalog,
    read: Mapping[tuple[str, str], tuple[str, Figures]],
    *,
    users: bool,
) -> bytes:
    """Every relation with its engine, and its rows, or why they were not read.

    Args:
        read: file and figures, by database and table.
        users: whether the accounts were written down.
    """
    return _json({
        "format": FORMAT,
        "source": "mariadb",
        "server": version.removeprefix("5.5.5-"),
        "accounts": USERS.decode() if users else "left out: no SELECT on mysql.*",
        "databases": [
            {
                "name": name,
                "character_set": character_set,
                "collation": collation,
                "triggers": catalog.others_of(name, "trigger"),
                "routines": catalog.others_of(name, "routine"),
                "events": catalog.others_of(name, "event"),
                "relations": [
                    _relation(table, read.get((table.database, table.name)))
                    for table in catalog.of(name)
                ],
            }
            for name, (character_set, collation) in sorted(catalog.databases.items())
        ],
    })


def position(window: Window) -> bytes:
    """Where the recovery point lies in the server's binary log, and what it cost writers."""
    return _json({
        "format": FORMAT,
        "binary_log": window.position or "unknown: there is none, or no right to ask for it",
        "lock": window.how,
        "lock_held_seconds": round(window.held_seconds or 0.0, 4),
    })


def _relation(table: Table, read: tuple[str, Figures] | None) -> dict[str, Any]:
    about: dict[str, Any] = {"name": table.name, "kind": table.kind}
    if table.engine:
        about["engine"] = table.engine
    if read is None:
        return about | {"rows_left_out": table.left_out}
    file, figures = read
    rows = None if "\n" in table.name else figures.rows
    return about | {
        "file": file, "rows": rows, "bytes": figures.bytes, "sha256": figures.sha256,
    }  # fmt: skip


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
