"""What a recovery point of PostgreSQL says of itself, below `/.holdfast/`.

    manifest.json                      every database, every relation, and what became of its rows
    state.json                         what the next incremental compares with; changes each time
    ranges/<database>/<file>.json      rows and blobs of the page ranges of a table

All is JSON with sorted keys, so that what has not changed is stored once.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from include.backup.sources.postgresql.ranges import DatabaseState, TableState
from include.backup.sources.postgresql.snapshot import Token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.sources.postgresql.catalog import Relation

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
STATE: Final = "state.json"
_LONGEST_NAME: Final = 240  # bytes of a file's name that every file system takes


def file_name(relation: Relation) -> str:
    """The file of a table's rows: ``schema.table.copy``, what cannot stand there escaped.

    A name longer than file systems take is replaced by the table's oid; the manifest has both.
    """
    name = f"{escaped(relation.schema)}.{escaped(relation.name)}.copy"
    return name if len(name.encode()) <= _LONGEST_NAME else f"oid-{relation.oid}.copy"


def escaped(name: str) -> str:
    """A name as one part of a file's name, with ``%`` and two digits for what cannot be there."""
    return re.sub(r"[\x00-\x1f\x7f/%.]", lambda found: f"%{ord(found[0]):02X}", name)


def ranges_name(database: str, file: str) -> str:
    """The name of the file that holds the ranges of a table."""
    return f"ranges/{escaped(database)}/{file}.json"


def encode(document: Mapping[str, Any]) -> bytes:
    """A document as it is stored: one line for each value, so that people can compare two."""
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def decode(data: bytes | None) -> dict[str, Any]:
    """A document that `encode` wrote; empty if there is none, or none of ours."""
    try:
        document = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def state_of(document: Mapping[str, Any], database: str) -> DatabaseState | None:
    """What an earlier recovery point remembers of a database."""
    databases = document.get("databases")
    found = databases.get(database) if isinstance(databases, dict) else None
    if document.get("format") != FORMAT or not isinstance(found, dict):
        return None
    token = found.get("token")
    try:
        return DatabaseState(
            token=None if token is None else Token(**token),
            xmin=int(found["xmin"]),
            types=str(found["types"]),
            durable=bool(found["durable"]),
            runs=int(found["runs"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # whatever is not understood is read


def state_document(state: DatabaseState) -> dict[str, Any]:
    """The same as plain values."""
    token = state.token
    return {
        "token": None
        if token is None
        else {
            "system_identifier": token.system_identifier,
            "timeline": token.timeline,
            "started_at": token.started_at,
            "database_oid": token.database_oid,
        },
        "xmin": state.xmin,
        "types": state.types,
        "durable": state.durable,
        "runs": state.runs,
    }


def table_state(data: bytes | None) -> TableState | None:
    """What an earlier recovery point remembers of a table."""
    found = decode(data)
    try:
        state = TableState(
            filenode=int(found["filenode"]),
            fingerprint=str(found["fingerprint"]),
            pages=int(found["pages"]),
            rows=tuple(map(int, found["rows"])),
            blobs=tuple(map(int, found["blobs"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return state if state.pages > 0 and len(state.rows) == len(state.blobs) else None


def table_document(state: TableState) -> bytes:
    """The same as a file: lists on one line each."""
    return (
        json.dumps(
            {
                "filenode": state.filenode,
                "fingerprint": state.fingerprint,
                "pages": state.pages,
                "rows": list(state.rows),
                "blobs": list(state.blobs),
            },
            sort_keys=True,
        ).encode()
        + b"\n"
    )
