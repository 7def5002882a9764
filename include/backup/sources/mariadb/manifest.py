"""What a recovery point says of itself: every relation, and where in the server's log it lies.

`manifest.json` is the same bytes as long as nothing changed, so it is stored once. What differs
in every run (the position, how long writers waited) stands in `position.json`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import DamageFound, RestoreRefused
from include.backup.sources.mariadb.catalog import SYSTEM
from include.backup.sources.mariadb.names import USERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.sources.mariadb.catalog import Catalog, Table
    from include.backup.sources.mariadb.dumping import Figures
    from include.backup.sources.mariadb.window import Window

MANIFEST: Final = "manifest.json"
POSITION: Final = "position.json"
FORMAT: Final = 1
_SET: Final = re.compile("[A-Za-z0-9_]{1,64}")  # the name of a character set or collation


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


def decoded(data: bytes | None) -> dict[str, Any]:
    """A manifest, if it is one that `manifest` can have written.

    Raises:
        DamageFound: it is not, or there is none.
        RestoreRefused: the recovery point is not one of such a server.
    """
    if data is None:
        raise DamageFound(f"the recovery point has no {MANIFEST}")
    try:
        about: dict[str, Any] = json.loads(data)
        if about.get("source") != "mariadb" or about.get("format") != FORMAT:
            raise RestoreRefused("the recovery point is not one of a MariaDB or MySQL server")
        found = about["databases"]
        whole = (
            isinstance(about["server"], str)
            and isinstance(found, list)
            and all(map(_can_be, found))
        )
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        whole = False
    if not whole:
        raise DamageFound(f"{MANIFEST} of the recovery point cannot be read")
    return about


def _can_be(database: dict[str, Any]) -> bool:
    """Whether a database can be as it is described; KeyError, TypeError: it cannot.

    Names are quoted where they become SQL, but for those of character sets: no quotes fit there.
    """
    sets = database["character_set"], database["collation"]
    return (
        _is_name(database["name"])
        and database["name"].lower() not in SYSTEM
        and all(isinstance(one, str) and _SET.fullmatch(one) for one in sets)
        and isinstance(database["relations"], list)
        and all(map(_relation_can_be, database["relations"]))
    )


def _relation_can_be(one: dict[str, Any]) -> bool:
    file, rows, size = one.get("file"), one.get("rows"), one.get("bytes", 0)
    return (
        _is_name(one["name"])
        and isinstance(one["kind"], str)
        and isinstance(file, str | None)
        and isinstance(rows, int | None)
        and isinstance(size, int)
        and (file is None or {"rows", "bytes"} <= one.keys())
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and _is_text(value) and "\0" not in value


def _is_text(value: str) -> bool:
    """Whether it can be written in UTF-8: JSON may hold halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


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
