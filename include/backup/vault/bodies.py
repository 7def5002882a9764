"""The bodies of the records that change a dataset's state, as fold.py reads them.

Whoever records may add fields of its own with ``|``: they are evidence, and no part of the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.format.times import text_of_datetime
from include.backup.vault.verification import measured_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.wording import Several
    from include.backup.policy.model import Method
    from include.backup.policy.objectives import Verdict
    from include.backup.vault.coverage import Share
    from include.backup.vault.verification import Level, Measured


_MOST_NOTED: Final = 100  # written out in a record; the number of all is there as well


def noted(notes: Several) -> dict[str, object]:
    """What a record says of the notes of an act."""
    return {"notes": notes.total, "noted": list(notes.texts[:_MOST_NOTED])}


def begun(
    *,
    action: str,
    data_class: str = "",
    method: Method | None = None,
    slot: datetime | None = None,
    owner: JsonObject | None = None,
) -> dict[str, object]:
    """The body of `begun`: what is about to be done, and by whom (see owners.Owner)."""
    body: dict[str, object] = {"action": action}
    if data_class:
        body["class"] = data_class
    if method is not None:
        body["method"] = str(method)
    if slot is not None:
        body["slot"] = text_of_datetime(slot)
    if owner:
        body["owner"] = owner
    return body


def opened(
    *,
    generation: str,
    opened_at: datetime,
    closes_at: datetime,
    key: str,
    envelope_sha256: str,
    locked_until: datetime | None = None,
) -> dict[str, object]:
    """The body of `opened`; `key` is the id of the master key."""
    body: dict[str, object] = {
        "generation": generation,
        "opened_at": text_of_datetime(opened_at),
        "closes_at": text_of_datetime(closes_at),
        "key": key,
        "envelope_sha256": envelope_sha256,
    }
    if locked_until is not None:
        body["locked_until"] = text_of_datetime(locked_until)
    return body


def recovery_point(  # noqa: PLR0913 a record of so many facts, each named
    *,
    generation: str,
    snapshot: str,
    method: Method,
    taken_at: datetime,
    committed_at: datetime,
    expires_at: datetime,
    slot: datetime | None,
    entries: int,
    bytes_read: int,
    bytes_new: int,
    bytes_stored: int,
    bytes_found: int = 0,
) -> dict[str, object]:
    """The body of `recovery-point` and of `adopted`; see generations.Point."""
    body: dict[str, object] = {
        "generation": generation,
        "snapshot": snapshot,
        "method": str(method),
        "taken_at": text_of_datetime(taken_at),
        "committed_at": text_of_datetime(committed_at),
        "expires_at": text_of_datetime(expires_at),
        "entries": entries,
        "bytes_read": bytes_read,
        "bytes_new": bytes_new,
        "bytes_stored": bytes_stored,
    }
    if bytes_found:
        body["bytes_found"] = bytes_found
    if slot is not None:
        body["slot"] = text_of_datetime(slot)
    return body


def of_generation(generation: str) -> dict[str, object]:
    """The body of `abandoned`, `expiring` and `expired`."""
    return {"generation": generation}


def rekeyed(*, generation: str, key: str, envelope_sha256: str) -> dict[str, object]:
    """The body of `rekeyed`; `key` is the id of the new master key."""
    return {"generation": generation, "key": key, "envelope_sha256": envelope_sha256}


def damaged(generations: Sequence[str]) -> dict[str, object]:
    """The body of `damaged`: the generations found broken."""
    return {"damaged": list(generations)}


def checked(
    *, damaged: Sequence[str], read: Mapping[str, Sequence[Share]] | None = None
) -> dict[str, object]:
    """The body of `checked`: the generations found broken, and what was read and is whole."""
    body: dict[str, object] = {"damaged": list(damaged)}
    if read:
        body["read"] = [
            {"generation": name, "share": one.share, "packs": one.packs, "bytes": one.size_bytes}
            for name, shares in read.items()
            for one in shares
        ]
    return body


def verified(
    *,
    proved: Sequence[str],
    level: Level,
    verdict: Verdict,
    passed: bool,
    restores: Sequence[Measured],
    slot: datetime | None,
) -> dict[str, object]:
    """The body of `verified`: the snapshots that were proved, and how deep all were looked at."""
    body: dict[str, object] = {
        "proved": list(proved),
        "level": str(level),
        "verdict": str(verdict),
        "passed": passed,
        "restores": measured_json(restores),
    }
    if slot is not None:
        body["slot"] = text_of_datetime(slot)
    return body


def failed(reason: str) -> dict[str, object]:
    """The body of `failed` and `interrupted`: why, in words for people, without secrets."""
    return {"reason": reason}
