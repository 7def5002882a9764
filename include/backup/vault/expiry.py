"""What of a dataset leaves now (3.2): the verdicts of policy/retention.py, applied to its state.

    recovery point    its snapshot is removed when it has expired, on the same day
    generation        dies whole, when its last point has left and nobody can add to it or read it

Pure: `now` is an argument. Who carries it out, and in which order, is actions/expire.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.evidence.wording import moment
from include.backup.policy.retention import Circumstances, RetentionVerdict, judge_points
from include.backup.policy.slots import EPOCH
from include.backup.vault.fold import BACK_UP
from include.backup.vault.fold_retention import LONGEST_READ, READING
from include.backup.vault.generations import GenerationState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from include.backup.vault.generations import Generation
    from include.backup.vault.state import DatasetState

# What is kept beyond its expiry is locked for one to two of these, again and again: a point whose
# hold is lifted, or that is the newest no more, can go soon after.
LOCK_STEP: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the policy, and datasets.yaml, say now."""

    now: datetime
    retention: timedelta
    complete_within: timedelta
    retired: bool = False
    locks: bool = False  # whether the vault has Object Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Of a generation that holds no recovery point which stays."""

    generation: str
    dies: bool  # now
    why: str  # or why not yet

    @property
    def told(self) -> str:
        """For people."""
        return "dies" if self.dies else "stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """Locks of a generation that have to last longer."""

    generation: str
    until: datetime | None  # all its files but the snapshots; None: they last long enough
    snapshots: Mapping[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryPlan:
    """What leaves, and what stays, with reasons."""

    verdicts: tuple[RetentionVerdict, ...]  # in the order of the ledger
    snapshots: Mapping[str, tuple[str, ...]]  # that leave alone, by generation
    fates: tuple[Fate, ...]
    extensions: tuple[Extension, ...] = ()  # of locks, where the vault has some

    @property
    def dying(self) -> tuple[Fate, ...]:
        """The generations that die now."""
        return tuple(fate for fate in self.fates if fate.dies)

    @property
    def expired(self) -> tuple[RetentionVerdict, ...]:
        """The recovery points that have expired."""
        return tuple(one for one in self.verdicts if one.expires)

    @property
    def kept(self) -> tuple[RetentionVerdict, ...]:
        """Those that stay."""
        return tuple(one for one in self.verdicts if not one.expires)

    @property
    def is_empty(self) -> bool:
        """Whether nothing leaves."""
        return not self.snapshots and not self.dying


def plan_expiry(state: DatasetState, terms: Terms) -> ExpiryPlan:
    """Decide what leaves now."""
    verdicts = judge_points(state.points, _circumstances(state, terms))
    staying = {one.generation for one in verdicts if not one.expires}
    leaving: dict[str, list[str]] = {}
    for one in verdicts:
        if one.expires:
            leaving.setdefault(one.generation, []).append(one.snapshot)
    fates = tuple(_fates(state, terms, staying))
    dying = {fate.generation for fate in fates if fate.dies}
    if _is_read(state, terms):
        leaving = {}  # they go with the next run; what was announced goes now
    alone = {
        generation.id: (*generation.leaving, *leaving.get(generation.id, ()))
        for generation in state.generations
        if generation.id not in dying and (generation.leaving or generation.id in leaving)
    }
    if any(not hold.snapshots for hold in state.holds):
        alone = {}
    return ExpiryPlan(
        verdicts=tuple(verdicts),
        snapshots=alone,
        fates=fates,
        extensions=tuple(_extensions(state, verdicts, terms)) if terms.locks else (),
    )


def _circumstances(state: DatasetState, terms: Terms) -> Circumstances:
    whole = [hold.reason for hold in state.holds if not hold.snapshots]
    return Circumstances(
        now=terms.now,
        retention=terms.retention,
        complete_within=terms.complete_within,
        damaged={one.id for one in state.generations if one.damaged},
        held="; ".join(whole),
        held_points={snapshot: hold.reason for hold in state.holds for snapshot in hold.snapshots},
        suspicion="; ".join(one.reason for one in state.suspicions),
        retired=terms.retired,
    )


def _is_read(state: DatasetState, terms: Terms) -> bool:
    """Whether somebody reads what is stored."""
    readers = [act for act in state.acts if act.action in READING]
    return any(terms.now - act.began_at < LONGEST_READ for act in readers)


def _fates(state: DatasetState, terms: Terms, staying: set[str]) -> Iterator[Fate]:
    for generation in state.generations:
        if generation.state is GenerationState.EXPIRED or generation.id in staying:
            continue
        if generation.state is GenerationState.OPENED and not _is_over(generation, terms):
            continue  # it grows towards its first recovery point
        waits = next(_waits(state, generation, terms), "")
        yield Fate(
            generation=generation.id,
            dies=not waits,
            why=waits or _WHY[generation.state],
        )


_WHY: Final = {
    GenerationState.OPENED: "it was never completed",
    GenerationState.ABANDONED: "it was abandoned unfinished",
    GenerationState.COMPLETED: "its last recovery point has expired",
    GenerationState.EXPIRING: "its removal had begun",
}


def _is_over(generation: Generation, terms: Terms) -> bool:
    """Whether no run that began in time can still add to it."""
    return terms.now > generation.closes_at + terms.complete_within


def _waits(state: DatasetState, generation: Generation, terms: Terms) -> Iterator[str]:
    """Why a generation does not die yet; nothing: it does."""
    for hold in state.holds:
        if not hold.snapshots:
            yield f"on hold: {hold.reason}"
    if generation.state is GenerationState.EXPIRING:
        return  # what was announced is gone on with
    for suspicion in state.suspicions:
        yield f"in doubt: {suspicion.reason}"
    if generation.state is GenerationState.COMPLETED and not _is_over(generation, terms):
        yield f"it may grow until {moment(generation.closes_at + terms.complete_within)}"
    writers = [act for act in state.acts if act.action == BACK_UP]
    if any(act.began_at <= generation.closes_at for act in writers):
        yield "a backup may still be writing to it"
    if generation.points and _is_read(state, terms):
        yield "somebody is reading"
    if terms.locks and terms.now < (until := _locked_until(generation, terms)):
        yield f"locked until {moment(until)}"


def _locked_until(generation: Generation, terms: Terms) -> datetime:
    first = generation.closes_at + terms.complete_within + terms.retention
    return generation.locked_until or first


def _extensions(
    state: DatasetState, verdicts: Sequence[RetentionVerdict], terms: Terms
) -> Iterator[Extension]:
    """What has to be locked for longer, because something in it is kept for longer."""
    for generation in state.generations:
        kept = [one for one in verdicts if one.generation == generation.id and not one.expires]
        if not kept:
            continue
        beyond = [one.snapshot for one in kept if one.until <= terms.now]
        ahead = [_ahead(terms.now)] if beyond else []
        until = max([one.until for one in kept] + ahead)
        lengthened = {one.snapshot: one.until for one in kept if one.until > one.recorded}
        snapshots = lengthened | dict.fromkeys(beyond, _ahead(terms.now))
        longer = until > _locked_until(generation, terms)
        if longer or snapshots:
            yield Extension(
                generation=generation.id, until=until if longer else None, snapshots=snapshots
            )


def _ahead(now: datetime) -> datetime:
    """Until when something is locked that is kept without a date: the same for a whole week."""
    return EPOCH + ((now - EPOCH) // LOCK_STEP + 2) * LOCK_STEP
