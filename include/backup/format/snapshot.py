"""Snapshot files: when, of what, by whom, and the root tree.

    snapshot = seal(0x02 zstd(JSON))

`time` is the consistency point of the data, never the end of the run: forget and the recovery
point objective both count from it.

Source: restic design document, "Snapshots"; restic's internal/data (Snapshot).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.backup.errors import DamageFound
from include.backup.format.ids import parse_id
from include.backup.format.times import datetime_of_text, text_of_datetime
from include.backup.format.unpacked import MALFORMED, seal_document, unseal_document

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.format.crypto import MasterKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSummary:
    """What the backup read and added. Counts, and sizes in bytes."""

    backup_start: datetime
    backup_end: datetime
    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    data_added: int = 0  # plaintext bytes of new blobs
    data_added_packed: int = 0  # the same as stored
    total_files_processed: int = 0
    total_bytes_processed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One recovery point as restic knows it."""

    time: datetime
    tree: bytes
    paths: tuple[str, ...]
    hostname: str = ""
    username: str = ""
    parent: bytes | None = None
    tags: tuple[str, ...] = ()
    program_version: str = ""
    summary: SnapshotSummary | None = field(default=None)


_MOST = (1 << 64) - 1
_COUNTS = (
    "files_new",
    "files_changed",
    "files_unmodified",
    "dirs_new",
    "dirs_changed",
    "dirs_unmodified",
    "data_blobs",
    "tree_blobs",
    "data_added",
    "data_added_packed",
    "total_files_processed",
    "total_bytes_processed",
)


def encode_snapshot(key: MasterKey, snapshot: Snapshot) -> bytes:
    """Make the snapshot file."""
    document: dict[str, Any] = {"time": text_of_datetime(snapshot.time)}
    if snapshot.parent is not None:
        document["parent"] = snapshot.parent.hex()
    document["tree"] = snapshot.tree.hex()
    document["paths"] = list(snapshot.paths)
    for name in ("hostname", "username"):
        if text := getattr(snapshot, name):
            document[name] = text
    if snapshot.tags:
        document["tags"] = list(snapshot.tags)
    if snapshot.program_version:
        document["program_version"] = snapshot.program_version
    if (summary := snapshot.summary) is not None:
        document["summary"] = {
            "backup_start": text_of_datetime(summary.backup_start),
            "backup_end": text_of_datetime(summary.backup_end),
            **{name: getattr(summary, name) for name in _COUNTS},
        }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return seal_document(key, text.encode())


def decode_snapshot(key: MasterKey, data: bytes, *, what: str) -> Snapshot:
    """Open a snapshot file.

    Raises:
        SealBroken, DamageFound: the message names `what`.
    """
    document = unseal_document(key, data, what=what)
    try:
        parent = document.get("parent")
        return Snapshot(
            time=datetime_of_text(document["time"]),
            tree=parse_id(document["tree"], where=what),
            paths=tuple(map(str, document["paths"])),
            hostname=str(document.get("hostname", "")),
            username=str(document.get("username", "")),
            parent=None if parent is None else parse_id(parent, where=what),
            tags=tuple(map(str, document.get("tags") or ())),
            program_version=str(document.get("program_version", "")),
            summary=_decode_summary(document.get("summary")),
        )
    except MALFORMED as error:
        raise DamageFound(f"{what} is not a snapshot: {error!r}") from error


def _decode_summary(fields: dict[str, Any] | None) -> SnapshotSummary | None:
    if not fields:
        return None
    return SnapshotSummary(
        backup_start=datetime_of_text(fields["backup_start"]),
        backup_end=datetime_of_text(fields["backup_end"]),
        **{name: _counted(fields.get(name, 0)) for name in _COUNTS},
    )


def _counted(value: object) -> int:
    """A count as restic knows it; ValueError, TypeError: it is none."""
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError(f"{str(value)[:80]} is no count")
    return value
