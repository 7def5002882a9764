"""What a dataset's ledger knows of its verifications: the newest, and what is to be proved next.

    verification = {at, slot?, level, verdict, passed, restores: [{bytes, seconds}, …], sequence?}

A verification proves recovery points by restoring them (3.4). How deep it looked is its level:
`bytes` (every block read and compared with its id), `facts` (restored, and compared with what the
recovery point says of itself), `expectations` (what its users say of their data holds as well).

The newest restores are measured: from them it is forecast how long the next one takes (4.2).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from include.backup.evidence.fields import Fields
from include.backup.format.times import text_of_datetime
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from include.backup.vault.generations import Point
    from include.backup.vault.state import DatasetState


class Level(StrEnum):
    """How deep a verification looked, the least first."""

    BYTES = "bytes"
    FACTS = "facts"
    EXPECTATIONS = "expectations"

    @classmethod
    def lowest(cls, levels: Iterable[Level]) -> Level:
        """Of several, at least one."""
        return min(levels, key=list(cls).index)


MOST_MEASURED: Final = 4  # restores, the newest last


class Measured(NamedTuple):
    """How long one restore took: whole seconds, at least one."""

    size_bytes: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The newest verification of a dataset."""

    at: datetime  # of its end
    slot: datetime | None  # what it completes on the schedule; None when a person asked for it
    level: Level  # the lowest that any of its recovery points was looked at
    verdict: Verdict
    passed: bool  # nothing was wrong, and everything could be looked at
    restores: tuple[Measured, ...] = ()
    sequence: int = 0  # of its record; 0: it is from before that was kept

    def to_json(self) -> dict[str, object]:
        """As in the state."""
        document: dict[str, object] = {
            "at": text_of_datetime(self.at),
            "level": str(self.level),
            "verdict": str(self.verdict),
            "passed": self.passed,
            "restores": measured_json(self.restores),
        }
        if self.slot is not None:
            document["slot"] = text_of_datetime(self.slot)
        if self.sequence:
            document["sequence"] = self.sequence
        return document

    @classmethod
    def of_json(cls, document: object, *, what: str) -> Verification:
        """Read that of a state.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        fields = Fields(document, what=what)
        fields.only(("at", "level", "verdict", "passed", "restores"), ("slot", "sequence"))
        return cls(
            at=fields.moment("at"),
            slot=fields.moment_or_none("slot"),
            level=Level(fields.text("level", shape="|".join(Level))),
            verdict=Verdict(fields.text("verdict", shape="|".join(Verdict))),
            passed=fields.flag("passed"),
            restores=measured_of(fields),
            sequence=fields.number("sequence", 0),
        )


def measured_json(restores: Iterable[Measured]) -> list[dict[str, int]]:
    """Restores as records and states hold them."""
    return [{"bytes": one.size_bytes, "seconds": one.seconds} for one in restores]


def measured_of(fields: Fields) -> tuple[Measured, ...]:
    """Read what `measured_json` made, from the field `restores`.

    Raises:
        LedgerBroken.
    """
    found = []
    for row in fields.rows("restores"):
        one = Fields(row, what="a restore that was measured", error=fields.error)
        one.only(("bytes", "seconds"))
        found.append(Measured(one.number("bytes"), one.number("seconds", least=1)))
    return tuple(found)


class Chosen(NamedTuple):
    """A recovery point that is to be proved, and why this one."""

    point: Point
    why: str


def choose(state: DatasetState, *, outlives: datetime, seed: int) -> list[Chosen]:
    """Which recovery points a verification proves, each once.

    The newest; of each other generation the newest that was never proved; one at random.

    Args:
        outlives: when the verification ends at the latest; what expires before is left out.
        seed: of the draw: with the same state it gives the same point again.
    """
    lasting = [point for point in state.sound_points if point.expires_at > outlives]
    chosen: dict[str, Chosen] = {}
    for point, why in _wanted(lasting):
        chosen.setdefault(point.snapshot, Chosen(point, why))
    others = [point for point in lasting if point.snapshot not in chosen]
    if others:
        drawn = random.Random(seed).choice(others)  # noqa: S311  to be drawn again by an auditor
        chosen[drawn.snapshot] = Chosen(drawn, f"drawn at random (seed {seed})")
    return list(chosen.values())


def _wanted(lasting: list[Point]) -> Iterator[tuple[Point, str]]:
    if not lasting:
        return
    newest = lasting[-1]
    yield newest, "the newest"
    unproved: dict[str, Point] = {}
    for point in lasting:
        if point.generation != newest.generation and point.verified_at is None:
            unproved[point.generation] = point  # the last one stays
    for generation, point in unproved.items():
        yield point, f"the newest of generation {generation} that was never verified"
