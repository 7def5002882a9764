"""What the ledger of a dataset says it holds: generations, recovery points, open acts.

The whole state fits into each record, so that the newest record is enough to act; fold.py computes
it from the one before. As JSON, fields that hold their usual value are left out:

    state = {version, since, class?, generations?, acts?, failures?, failure?,
             greatest_age_seconds?, verification?, holds?, suspicions?, last_at?, resumed_at?,
             retained_at?, left?, replicas?, home?, erasures?}

Generations and points stand in the order of the ledger. What is "newest" is said by that order,
never by a clock; only the *age* of copies is a matter of times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.evidence.fields import Fields
from include.backup.format.times import text_of_datetime
from include.backup.policy.model import Method
from include.backup.vault.erasures import Erasure
from include.backup.vault.generations import Act, Generation, GenerationState, Point
from include.backup.vault.holds import Hold, Suspicion
from include.backup.vault.replicas import Replica
from include.backup.vault.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from include.backup.evidence.fields import JsonObject

VERSION: Final = 1
_OPTIONAL: Final = (
    "class",
    "generations",
    "acts",
    "failures",
    "failure",
    "greatest_age_seconds",
    "verification",
    "holds",
    "suspicions",
    "last_at",
    "resumed_at",
    "retained_at",
    "left",
    "replicas",
    "home",
    "erasures",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetState:
    """A dataset as its ledger knows it."""

    since: datetime | None = None  # the time of its first record; None: there is none
    data_class: str = ""  # the class by whose promises it was last backed up
    generations: tuple[Generation, ...] = ()
    acts: tuple[Act, ...] = ()
    failures: int = 0  # backups that failed or were interrupted since the last recovery point
    failure: str = ""  # why the newest of them did
    greatest_age_seen: timedelta | None = None  # see `greatest_age`; whole seconds
    verification: Verification | None = None  # the newest; None: there was never one
    holds: tuple[Hold, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()  # that nobody has resolved
    last_at: datetime | None = None  # the latest time of a record
    resumed_at: datetime | None = None  # the newest record after a silence: or a clock jumped
    retained_at: datetime | None = None  # when a verdict on everything was last carried out
    left: tuple[str, ...] = ()  # expired, not locked, and not removed by that run
    replicas: tuple[Replica, ...] = ()  # copies in other vaults
    home: str = ""  # the address of the vault that was promoted; empty: none ever was

    erasures: tuple[Erasure, ...] = ()  # what is erased again from whatever is restored

    def generation(self, name: str) -> Generation | None:
        """The generation of that id."""
        return next((found for found in self.generations if found.id == name), None)

    def act(self, act_id: str) -> Act | None:
        """The open act of that id."""
        return next((found for found in self.acts if found.id == act_id), None)

    def replica(self, url: str) -> Replica | None:
        """The copy at an address: a vault may be called otherwise tomorrow, or lie elsewhere."""
        return next((found for found in self.replicas if found.url == url), None)

    def as_in(self, replica: Replica) -> DatasetState:
        """The dataset as one of its copies holds it."""
        return replace(
            self,
            generations=replica.of(self.generations),
            greatest_age_seen=replica.greatest_age,
        )

    def without(self, snapshots: Collection[str]) -> DatasetState:
        """The dataset without some of its recovery points."""
        generations = (
            replace(one, points=tuple(p for p in one.points if p.snapshot not in snapshots))
            for one in self.generations
        )
        return replace(self, generations=tuple(generations))

    def is_held(self, snapshot: str) -> bool:
        """Whether a hold covers a recovery point."""
        return any(not one.snapshots or snapshot in one.snapshots for one in self.holds)

    @property
    def points(self) -> tuple[Point, ...]:
        """The recovery points that have not expired, those in damaged generations included."""
        return self._ordered(damaged_too=True)

    @property
    def sound_points(self) -> tuple[Point, ...]:
        """Those of `points` that are in no damaged generation."""
        return self._ordered()

    @property
    def newest_point(self) -> Point | None:
        """The last one recorded that is a sound copy."""
        return next(reversed(self._ordered()), None)

    @property
    def unfinished_generation(self) -> Generation | None:
        """The one that was opened and has no recovery point yet."""
        opened = GenerationState.OPENED
        return next((found for found in self.generations if found.state is opened), None)

    def newest_completed_generation(self, *, closing_after: datetime) -> Generation | None:
        """The newest sound one that an incremental can add to until `closing_after`."""
        return next(
            (
                found
                for found in reversed(self.generations)
                if found.sound and found.closes_at > closing_after
            ),
            None,
        )

    def last_slot(self, method: Method, *, now: datetime) -> datetime | None:
        """The newest slot that was completed for a method.

        Any recovery point completes the slot of an incremental, only those that opened a
        generation that of a full. A slot of the future is given only if there is no other: some
        clock was wrong then.
        """
        slots = [
            point.slot
            for point in self._ordered()
            if point.slot is not None and (method is not Method.FULL or point.method is method)
        ]
        return max((slot for slot in slots if slot <= now), default=max(slots, default=None))

    def age(self, moment: datetime) -> timedelta | None:
        """How old the newest copy is at `moment`: the time since its consistency point.

        It is the newest by time, for a long full may be recorded after a younger incremental.
        Points taken after `moment` are left out; None when there is no other.
        """
        taken = [point.taken_at for point in self._ordered() if point.taken_at <= moment]
        return moment - max(taken) if taken else None

    def greatest_age(self, now: datetime) -> timedelta | None:
        """How old the newest copy has ever been, from the first recovery point until `now`."""
        ages = [age for age in (self.greatest_age_seen, self.age(now)) if age is not None]
        return max(ages, default=None)

    def to_json(self) -> dict[str, object]:
        """The state as records hold it; empty when there is no record yet."""
        if self.since is None:
            return {}
        greatest = self.greatest_age_seen
        optional: dict[str, object] = {
            "class": self.data_class,
            "generations": [found.to_json() for found in self.generations],
            "acts": [found.to_json() for found in self.acts],
            "failures": self.failures,
            "failure": self.failure,
            "verification": self.verification and self.verification.to_json(),
            "holds": [hold.to_json() for hold in self.holds],
            "suspicions": [one.to_json() for one in self.suspicions],
            "last_at": self.last_at and text_of_datetime(self.last_at),
            "resumed_at": self.resumed_at and text_of_datetime(self.resumed_at),
            "retained_at": self.retained_at and text_of_datetime(self.retained_at),
            "left": list(self.left),
            "replicas": [one.to_json() for one in self.replicas],
            "home": self.home,
            "erasures": [one.to_json() for one in self.erasures],
        }
        document: dict[str, object] = {"version": VERSION, "since": text_of_datetime(self.since)}
        document |= {name: value for name, value in optional.items() if value}
        if greatest is not None:
            document["greatest_age_seconds"] = greatest // timedelta(seconds=1)
        return document

    @classmethod
    def of_json(cls, document: JsonObject, *, what: str = "the state") -> DatasetState:
        """Read the state of a record.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        if not document:
            return cls()
        fields = Fields(document, what=what)
        if fields.number("version") != VERSION:
            fields.refuse("version", fields.number("version"))
        fields.only(("version", "since"), _OPTIONAL)
        return cls(
            since=fields.moment("since"),
            data_class=fields.text("class", ""),
            generations=tuple(
                Generation.of_json(row, what=what) for row in fields.rows("generations")
            ),
            acts=tuple(Act.of_json(row, what=what) for row in fields.rows("acts")),
            failures=fields.number("failures", 0),
            failure=fields.text("failure", ""),
            greatest_age_seen=fields.seconds("greatest_age_seconds"),
            verification=(
                Verification.of_json(document["verification"], what=f"{what}: verification")
                if "verification" in document
                else None
            ),
            holds=tuple(Hold.of_json(row, what=f"{what}: a hold") for row in fields.rows("holds")),
            suspicions=tuple(
                Suspicion.of_json(row, what=f"{what}: a suspicion")
                for row in fields.rows("suspicions")
            ),
            last_at=fields.moment_or_none("last_at"),
            resumed_at=fields.moment_or_none("resumed_at"),
            retained_at=fields.moment_or_none("retained_at"),
            left=tuple(fields.texts("left")),
            replicas=tuple(
                Replica.of_json(row, what=f"{what}: a replica") for row in fields.rows("replicas")
            ),
            home=fields.text("home", ""),
            erasures=tuple(
                Erasure.of_json(row, what=f"{what}: an erasure") for row in fields.rows("erasures")
            ),
        )

    def _ordered(self, *, damaged_too: bool = False) -> tuple[Point, ...]:
        completed = GenerationState.COMPLETED
        return tuple(sorted(self._counted(completed, damaged_too=damaged_too), key=_sequence))

    def _counted(self, state: GenerationState, *, damaged_too: bool) -> Iterator[Point]:
        for found in self.generations:
            if found.state is state and (damaged_too or not found.damaged):
                yield from found.points


def _sequence(point: Point) -> int:
    return point.sequence
