"""Acts, generations and points in few words, for the tests of the vault."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from include.backup.evidence.kinds import Kind
from include.backup.evidence.records import Draft, new_id
from include.backup.policy.model import Method
from include.backup.vault import bodies
from include.backup.vault.fold import BACK_UP, fold
from include.backup.vault.layout import new_generation
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from include.backup.evidence.fields import JsonObject

NOW = datetime(2026, 11, 1, 1, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FULL, INCREMENTAL = Method.FULL, Method.INCREMENTAL


def snapshot_of(text: str) -> str:
    """An id of a snapshot."""
    return sha256(text.encode()).hexdigest()


def point_body(
    generation: str,
    method: Method,
    taken_at: datetime,
    *,
    took: timedelta = HOUR,
    slot: datetime | None = None,
    snapshot: str = "",
) -> dict[str, object]:
    """The body of a recovery point of no interest."""
    return bodies.recovery_point(
        generation=generation,
        snapshot=snapshot_of(snapshot or f"{generation}{taken_at}{method}"),
        method=method,
        taken_at=taken_at,
        committed_at=taken_at + took,
        expires_at=taken_at + 30 * DAY,
        slot=slot,
        entries=3,
        bytes_read=100,
        bytes_new=10,
        bytes_stored=5,
    )


@dataclass
class Life:
    """The life of one dataset: records follow one another, and the state with them."""

    state: DatasetState = field(default_factory=DatasetState)
    sequence: int = 0

    def record(self, kind: str, act: str, body: JsonObject, *, at: datetime = NOW) -> None:
        """Fold one record; nothing changes when it is refused."""
        draft = Draft(id=new_id(), at=at, subject="crm", kind=kind, act=act, body=body)
        self.state = fold(self.state, draft, self.sequence + 1)
        self.sequence += 1

    def begin(
        self,
        act: str,
        *,
        action: str = BACK_UP,
        method: Method | None = INCREMENTAL,
        slot: datetime | None = None,
        at: datetime = NOW,
    ) -> None:
        """Begin an act."""
        body = bodies.begun(action=action, method=method, slot=slot)
        self.record(Kind.BEGUN, act, body, at=at)

    def open(self, act: str, *, at: datetime = NOW, closes_at: datetime | None = None) -> str:
        """Open a generation and return its id."""
        name = new_generation(at, {known.id for known in self.state.generations})
        body = bodies.opened(
            generation=name,
            opened_at=at,
            closes_at=closes_at or at + 35 * DAY,
            key="ab" * 8,
            envelope_sha256="cd" * 32,
        )
        self.record(Kind.OPENED, act, body, at=at)
        return name

    def full(self, *, at: datetime = NOW, slot: datetime | None = None) -> str:
        """A whole full backup; return its generation."""
        act = new_id()
        self.begin(act, method=FULL, slot=slot, at=at)
        name = self.open(act, at=at)
        self.record(Kind.RECOVERY_POINT, act, point_body(name, FULL, at, slot=slot), at=at + HOUR)
        return name

    def incremental(self, generation: str, *, at: datetime, slot: datetime | None = None) -> None:
        """A whole incremental backup."""
        act = new_id()
        self.begin(act, slot=slot, at=at)
        body = point_body(generation, INCREMENTAL, at, slot=slot)
        self.record(Kind.RECOVERY_POINT, act, body, at=at + HOUR)
