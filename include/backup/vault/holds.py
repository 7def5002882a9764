"""Why nothing of a dataset may go: holds by people, and runs whose result is in doubt (3.2).

hold      = {id, reason, requested_by, approved_by, since, snapshots?}
suspicion = {sequence, at, reason, source}
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from include.backup.evidence.fields import Fields
from include.backup.format.times import text_of_datetime

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A legal hold: what it covers does not expire until it is lifted."""

    id: str
    reason: str
    requested_by: str
    approved_by: str
    since: datetime
    snapshots: tuple[str, ...] = ()  # empty: all recovery points, those to come included

    def to_json(self) -> dict[str, object]:
        """The hold as in the state."""
        document: dict[str, object] = {
            "id": self.id,
            "reason": self.reason,
            "requested_by": self.requested_by,
            "approved_by": self.approved_by,
            "since": text_of_datetime(self.since),
        }
        return document | ({"snapshots": list(self.snapshots)} if self.snapshots else {})

    @classmethod
    def of_json(cls, document: object, *, what: str) -> Hold:
        """Read a hold of a state.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        fields = Fields(document, what=what)
        return cls(
            id=fields.text("id"),
            reason=fields.text("reason"),
            requested_by=fields.text("requested_by"),
            approved_by=fields.text("approved_by"),
            since=fields.moment("since"),
            snapshots=tuple(fields.texts("snapshots")),
        )


class Doubter(StrEnum):
    """What has found something suspicious."""

    BACKUP = "backup"  # the data has shrunk, or cannot be compressed any more; people decide
    VERIFICATION = "verification"  # what was restored is not as it was; a later one may pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A run whose result is in doubt: nothing expires until that is resolved."""

    sequence: int  # of the record that says so
    at: datetime
    reason: str
    source: Doubter

    def to_json(self) -> dict[str, object]:
        """The suspicion as in the state."""
        return {
            "sequence": self.sequence,
            "at": text_of_datetime(self.at),
            "reason": self.reason,
            "source": str(self.source),
        }

    @classmethod
    def of_json(cls, document: object, *, what: str) -> Suspicion:
        """Read a suspicion of a state.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        fields = Fields(document, what=what)
        return cls(
            sequence=fields.number("sequence", least=1),
            at=fields.moment("at"),
            reason=fields.text("reason"),
            source=Doubter(fields.text("source", shape="|".join(Doubter))),
        )
