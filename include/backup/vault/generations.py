"""Generations, recovery points and acts, as the ledger of a dataset knows them.

    generation = {id, state, opened_at, closes_at, key, envelope_sha256, damaged?, points?, reads?,
                  leaving?, bytes_gone?, locked_until?}
    point      = {snapshot, method, taken_at, committed_at, expires_at, slot?, entries, bytes_read,
                  bytes_new, bytes_stored, bytes_found?, bytes_all?, sequence, adopted?,
                  verified_at?}
    act        = {id, action, method?, slot?, began_at, owner?, sequence}

In JSON, fields that hold their usual value are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from include.backup.errors import LedgerBroken
from include.backup.evidence.fields import Fields, JsonObject
from include.backup.format.times import text_of_datetime
from include.backup.policy.model import Method
from include.backup.vault.coverage import Read

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.errors import BackupError


class GenerationState(StrEnum):
    """Where a generation is between its first file and its last."""

    OPENED = "opened"  # grows towards its first recovery point
    COMPLETED = "completed"  # has one; incrementals may add to it until it closes
    ABANDONED = "abandoned"  # will never have one
    EXPIRING = "expiring"  # its files are being removed; nothing in it counts as a copy
    EXPIRED = "expired"  # nothing is left


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One recovery point."""

    snapshot: str  # 64 hex digits
    generation: str
    method: Method
    taken_at: datetime  # the consistency point of the data
    committed_at: datetime
    expires_at: datetime
    slot: datetime | None  # what it completes on the schedule; None when a person asked for it
    entries: int
    bytes_read: int
    bytes_new: int  # of those, not yet in the generation
    bytes_stored: int  # what was new took in the vault, with the trees
    bytes_found: int = 0  # what interrupted runs had stored before, in the vault
    bytes_all: int = 0  # of all entries; 0: nobody has counted
    sequence: int  # of its record
    adopted: bool = False  # its record was written after the snapshot had been found without one
    verified_at: datetime | None = None

    @property
    def bytes_in_vault(self) -> int:
        """What the vault grew by for it, in all attempts."""
        return self.bytes_stored + self.bytes_found

    def to_json(self) -> dict[str, object]:
        """The point as in the state."""
        document: dict[str, object] = {
            "snapshot": self.snapshot,
            "method": str(self.method),
            "taken_at": text_of_datetime(self.taken_at),
            "committed_at": text_of_datetime(self.committed_at),
            "expires_at": text_of_datetime(self.expires_at),
            "entries": self.entries,
            "bytes_read": self.bytes_read,
            "bytes_new": self.bytes_new,
            "bytes_stored": self.bytes_stored,
            "sequence": self.sequence,
        }
        if self.bytes_found:
            document["bytes_found"] = self.bytes_found
        if self.bytes_all:
            document["bytes_all"] = self.bytes_all
        if self.slot is not None:
            document["slot"] = text_of_datetime(self.slot)
        if self.adopted:
            document["adopted"] = True
        if self.verified_at is not None:
            document["verified_at"] = text_of_datetime(self.verified_at)
        return document

    @classmethod
    def of_json(
        cls,
        document: object,
        *,
        generation: str,
        what: str,
        error: type[BackupError] = LedgerBroken,
    ) -> Point:
        """Read a point of a state, or of the body of its record.

        Raises:
            BackupError: `error`; names `what` and the field.
        """
        fields = Fields(document, what=what, error=error)
        return cls(
            snapshot=fields.text("snapshot", shape="[0-9a-f]{64}"),
            generation=generation,
            method=Method(fields.text("method", shape="full|incremental")),
            taken_at=fields.moment("taken_at"),
            committed_at=fields.moment("committed_at"),
            expires_at=fields.moment("expires_at"),
            slot=fields.moment_or_none("slot"),
            entries=fields.number("entries"),
            bytes_read=fields.number("bytes_read"),
            bytes_new=fields.number("bytes_new"),
            bytes_stored=fields.number("bytes_stored"),
            bytes_found=fields.number("bytes_found", 0),
            bytes_all=fields.number("bytes_all", 0),
            sequence=fields.number("sequence", least=1),
            adopted=fields.flag("adopted", default=False),
            verified_at=fields.moment_or_none("verified_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One full backup and the incrementals that follow it."""

    id: str
    state: GenerationState
    opened_at: datetime
    closes_at: datetime  # it grows no more from then on
    key: str  # the id of the master key
    envelope_sha256: str
    damaged: bool = False  # nothing builds on it, and its points are no copies one can count on
    points: tuple[Point, ...] = ()
    reads: tuple[Read, ...] = ()  # which shares of it were read again, and when
    leaving: tuple[str, ...] = ()  # snapshots that have expired, and are being removed
    bytes_gone: int = 0  # what the vault grew by for points that have expired
    locked_until: datetime | None = None  # of its files but the snapshots; None: no Object Lock
    erased: bool = False  # it goes before its time, on two people's word: its key goes first

    @property
    def sound(self) -> bool:
        """Whether its points count as copies."""
        return self.state is GenerationState.COMPLETED and not self.damaged

    def to_json(self) -> dict[str, object]:
        """The generation as in the state."""
        document: dict[str, object] = {
            "id": self.id,
            "state": str(self.state),
            "opened_at": text_of_datetime(self.opened_at),
            "closes_at": text_of_datetime(self.closes_at),
            "key": self.key,
            "envelope_sha256": self.envelope_sha256,
        }
        if self.damaged:
            document["damaged"] = True
        if self.points:
            document["points"] = [point.to_json() for point in self.points]
        if self.reads:
            document["reads"] = [read.to_json() for read in self.reads]
        if self.leaving:
            document["leaving"] = list(self.leaving)
        if self.bytes_gone:
            document["bytes_gone"] = self.bytes_gone
        if self.locked_until is not None:
            document["locked_until"] = text_of_datetime(self.locked_until)
        if self.erased:
            document["erased"] = True
        return document

    @classmethod
    def of_json(cls, document: object, *, what: str) -> Generation:
        """Read a generation of a state.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        fields = Fields(document, what=what)
        name = fields.text("id")
        return cls(
            id=name,
            state=GenerationState(fields.text("state", shape="|".join(GenerationState))),
            opened_at=fields.moment("opened_at"),
            closes_at=fields.moment("closes_at"),
            key=fields.text("key"),
            envelope_sha256=fields.text("envelope_sha256"),
            damaged=fields.flag("damaged", default=False),
            points=tuple(
                Point.of_json(row, generation=name, what=f"{what}: a point of generation {name}")
                for row in fields.rows("points")
            ),
            reads=tuple(
                Read.of_json(row, what=f"{what}: a read of generation {name}")
                for row in fields.rows("reads")
            ),
            leaving=tuple(fields.texts("leaving")),
            bytes_gone=fields.number("bytes_gone", 0),
            locked_until=fields.moment_or_none("locked_until"),
            erased=fields.flag("erased", default=False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An act that has begun, and whose end nobody has recorded yet."""

    id: str
    action: str  # "back_up", "restore", …
    method: Method | None
    slot: datetime | None
    began_at: datetime
    owner: JsonObject = field(default_factory=dict)  # who runs it; see owners.Owner
    sequence: int  # of its `begun` record

    def to_json(self) -> dict[str, object]:
        """The act as in the state."""
        document: dict[str, object] = {
            "id": self.id,
            "action": self.action,
            "began_at": text_of_datetime(self.began_at),
            "sequence": self.sequence,
        }
        if self.method is not None:
            document["method"] = str(self.method)
        if self.slot is not None:
            document["slot"] = text_of_datetime(self.slot)
        if self.owner:
            document["owner"] = self.owner
        return document

    @classmethod
    def of_json(cls, document: object, *, what: str) -> Act:
        """Read an act of a state.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        fields = Fields(document, what=what)
        method = fields.text("method", "", shape="(full|incremental)?")
        return cls(
            id=fields.text("id"),
            action=fields.text("action"),
            method=Method(method) if method else None,
            slot=fields.moment_or_none("slot"),
            began_at=fields.moment("began_at"),
            owner=fields.document("owner"),
            sequence=fields.number("sequence", least=1),
        )
