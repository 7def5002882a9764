"""Replicas: what the ledger of a dataset knows of its copies in other vaults.

    replica = {vault, url, at, sequence, missing?, damaged?, left?, locked_until?, holds?,
               newest_at?, greatest_age_seconds?}

In JSON, fields that hold their usual value are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import LedgerBroken
from include.backup.evidence.fields import Fields, JsonObject
from include.backup.format.times import text_of_datetime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from include.backup.errors import BackupError
    from include.backup.vault.generations import Generation, Point

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """The copy of a dataset in another vault."""

    vault: str  # its name in datasets.yaml
    url: str
    at: datetime  # when it was last brought up to date
    sequence: int  # each point recorded up to there is in it, but for those that are missing
    missing: tuple[str, ...] = ()  # snapshots that could not be copied
    damaged: tuple[str, ...] = ()  # generations in which the copy was found damaged
    left: tuple[str, ...] = ()  # generation/snapshot, or generation/: expired, kept by a lock
    locked_until: Mapping[str, datetime] = field(default_factory=dict)  # by generation
    holds: tuple[str, ...] = ()  # that stand on its files
    newest_at: datetime | None = None  # consistency point of the newest in it, when that was looked
    greatest_age: timedelta | None = None  # that its newest point has ever had; whole seconds

    def has(self, point: Point) -> bool:
        """Whether it holds a sound copy of a recovery point."""
        return (
            point.sequence <= self.sequence
            and point.snapshot not in self.missing
            and point.generation not in self.damaged
        )

    def behind(self, points: Sequence[Point]) -> list[Point]:
        """The recovery points that it does not hold."""
        return [point for point in points if not self.has(point)]

    def of(self, generations: Sequence[Generation]) -> tuple[Generation, ...]:
        """The generations as this copy has them: its own points, and its own locks."""
        return tuple(
            replace(
                one,
                points=tuple(point for point in one.points if self.has(point)),
                damaged=one.damaged or one.id in self.damaged,
                locked_until=self.locked_until.get(one.id),
            )
            for one in generations
        )

    def to_json(self) -> dict[str, object]:
        """The replica as in the state."""
        document: dict[str, object] = {
            "vault": self.vault,
            "url": self.url,
            "at": text_of_datetime(self.at),
            "sequence": self.sequence,
        }
        optional: dict[str, object] = {
            "missing": list(self.missing),
            "damaged": list(self.damaged),
            "left": list(self.left),
            "holds": list(self.holds),
            "newest_at": self.newest_at and text_of_datetime(self.newest_at),
            "locked_until": {
                name: text_of_datetime(date) for name, date in self.locked_until.items()
            },
        }
        document |= {name: value for name, value in optional.items() if value}
        if self.greatest_age is not None:
            document["greatest_age_seconds"] = self.greatest_age // _SECOND
        return document

    @classmethod
    def of_json(cls, document: object, *, what: str) -> Replica:
        """Read a replica of a state.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        fields = Fields(document, what=what)
        return cls(
            vault=fields.text("vault"),
            url=fields.text("url"),
            at=fields.moment("at"),
            sequence=fields.number("sequence"),
            missing=tuple(fields.texts("missing")),
            damaged=tuple(fields.texts("damaged")),
            left=tuple(fields.texts("left")),
            holds=tuple(fields.texts("holds")),
            newest_at=fields.moment_or_none("newest_at"),
            locked_until=dates_of(fields.document("locked_until"), what=what),
            greatest_age=fields.seconds("greatest_age_seconds"),
        )


def dates_of(
    document: JsonObject, *, what: str, error: type[BackupError] = LedgerBroken
) -> dict[str, datetime]:
    """Lock dates by generation.

    Raises:
        BackupError: `error`; names `what` and the field.
    """
    fields = Fields(document, what=what, error=error)
    return {name: fields.moment(name) for name in document}
