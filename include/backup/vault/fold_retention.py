"""How records of retention change the state of a dataset: what leaves, what is held, in doubt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import RecordRefused, StillNeeded
from include.backup.evidence.fields import Fields
from include.backup.evidence.wording import moment
from include.backup.policy.objectives import SKEW
from include.backup.policy.retention import last_ways_back
from include.backup.vault.fold_entry import known, moved, with_generation
from include.backup.vault.fold_erasures import fulfil
from include.backup.vault.generations import GenerationState
from include.backup.vault.holds import Doubter, Hold, Suspicion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.vault.fold_entry import Entry
    from include.backup.vault.state import DatasetState


READING: Final = frozenset({"restore", "verify", "check"})  # acts that read what is stored
LONGEST_READ: Final = timedelta(days=1)  # of who does not say that it has ended


def rekey(state: DatasetState, entry: Entry) -> DatasetState:
    """A generation opens with another master key."""
    generation = known(state, entry.fields.text("generation"))
    if generation.state is GenerationState.EXPIRED:
        raise RecordRefused(f"generation {generation.id} is expired, and has no key")
    changed = replace(
        generation,
        key=entry.fields.text("key", shape="[0-9a-f]{16}"),
        envelope_sha256=entry.fields.text("envelope_sha256", shape="[0-9a-f]{64}"),
    )
    return with_generation(state, changed)


def abandon(state: DatasetState, entry: Entry) -> DatasetState:
    """A generation will never have a recovery point."""
    generation = known(state, entry.fields.text("generation"))
    return with_generation(state, moved(generation, GenerationState.ABANDONED))


def begin_to_expire(state: DatasetState, entry: Entry) -> DatasetState:
    """A generation, or some of its points, count as copies no more: their files are removed."""
    generation = known(state, entry.fields.text("generation"))
    snapshots = entry.fields.texts("snapshots")
    _require_free(state, snapshots or [point.snapshot for point in generation.points], entry)
    if not snapshots:
        erased = entry.fields.flag("erased", default=False)
        leaving = replace(moved(generation, GenerationState.EXPIRING), erased=erased)
        return with_generation(state, leaving)
    points = {point.snapshot: point for point in generation.points}
    if unknown := sorted(set(snapshots) - points.keys()):
        raise RecordRefused(f"{unknown[0][:8]} is no recovery point of {generation.id}")
    gone = sum(points[snapshot].bytes_in_vault for snapshot in snapshots)
    wanted = set(snapshots)
    changed = replace(
        generation,
        points=tuple(point for point in generation.points if point.snapshot not in wanted),
        leaving=(*generation.leaving, *snapshots),
        bytes_gone=generation.bytes_gone + gone,
    )
    return with_generation(state, changed)


def expire(state: DatasetState, entry: Entry) -> DatasetState:
    """Nothing of a generation, or of some of its points, is left."""
    generation = known(state, entry.fields.text("generation"))
    if snapshots := set(entry.fields.texts("snapshots")):
        if unknown := sorted(snapshots - set(generation.leaving)):
            raise RecordRefused(f"{unknown[0][:8]} of {generation.id} was not about to leave")
        left = tuple(one for one in generation.leaving if one not in snapshots)
        return with_generation(state, replace(generation, leaving=left))
    gone = moved(generation, GenerationState.EXPIRED)
    return with_generation(state, replace(gone, points=(), reads=(), leaving=()))


def _require_free(state: DatasetState, leaving: Sequence[str], entry: Entry) -> None:
    """Whatever a run has planned: what was recorded meanwhile is stronger."""
    if not leaving:
        return
    _require_unread(state, entry)
    for one in state.holds:
        if not one.snapshots or set(leaving).intersection(one.snapshots):
            raise StillNeeded(f"they are on hold: {one.reason}")
    if not entry.fields.flag("erased", default=False):
        _require_expired(state, leaving, entry)
    elif entry.fields.text("requested_by") == entry.fields.text("approved_by"):
        raise RecordRefused("who wants an erasure does not approve it")


def _require_unread(state: DatasetState, entry: Entry) -> None:
    """Who has begun to read, and chose by a state in which it was there, finds it to the end."""
    for act in state.acts:
        if act.action in READING and entry.draft.at - act.began_at < LONGEST_READ:
            raise StillNeeded(f"somebody is reading since {moment(act.began_at)} ({act.action})")


def _require_expired(state: DatasetState, leaving: Sequence[str], entry: Entry) -> None:
    if state.suspicions:
        raise StillNeeded(f"they are in doubt: {state.suspicions[0].reason}")
    wanted = set(leaving)
    for point in state.points:
        if point.snapshot in wanted and point.expires_at > entry.draft.at + SKEW:
            raise RecordRefused(f"{point.snapshot[:8]} has not expired")
    if entry.fields.flag("retired", default=False):
        return
    damaged = {one.id for one in state.generations if one.damaged}
    ways = last_ways_back(state.points, damaged)
    for snapshot in leaving:
        if snapshot in ways:
            raise StillNeeded(f"{snapshot[:8]} is {ways[snapshot]}")


def lengthen(state: DatasetState, entry: Entry) -> DatasetState:
    """Points expire later than their records said, generations are locked for longer."""
    later = Fields(
        entry.fields.document("lengthened"), what="what is lengthened", error=RecordRefused
    )
    names = set(entry.fields.document("lengthened"))
    locks = Fields(
        entry.fields.document("locked_until"), what="what is locked", error=RecordRefused
    )
    for name in entry.fields.document("locked_until"):
        generation, until = known(state, name), locks.moment(name)
        until = max(generation.locked_until or until, until)
        state = with_generation(state, replace(generation, locked_until=until))
    for generation in state.generations:
        if not names.intersection(point.snapshot for point in generation.points):
            continue
        points = tuple(
            replace(point, expires_at=max(point.expires_at, later.moment(point.snapshot)))
            if point.snapshot in names
            else point
            for point in generation.points
        )
        state = with_generation(state, replace(generation, points=points))
    state = fulfil(state, entry)
    left = tuple(entry.fields.texts("left"))
    return replace(state, retained_at=entry.draft.at, left=left)


def shorten(state: DatasetState, entry: Entry) -> DatasetState:
    """Points expire earlier than was promised: two people want it so."""
    if entry.fields.text("requested_by") == entry.fields.text("approved_by"):
        raise RecordRefused("who wants a shorter retention does not approve it")
    document = entry.fields.document("expires_at")
    dates = Fields(document, what="what is shortened", error=RecordRefused)
    known_points = {point.snapshot for point in state.points}
    if unknown := sorted(document.keys() - known_points):
        raise RecordRefused(f"{unknown[0][:8]} is no recovery point of {entry.draft.subject}")
    for generation in state.generations:
        points = tuple(
            replace(point, expires_at=min(point.expires_at, dates.moment(point.snapshot)))
            if point.snapshot in document
            else point
            for point in generation.points
        )
        state = with_generation(state, replace(generation, points=points))
    return state


def hold(state: DatasetState, entry: Entry) -> DatasetState:
    """A hold begins."""
    fields = entry.fields
    made = Hold(
        id=fields.text("hold"),
        reason=fields.text("reason"),
        requested_by=fields.text("requested_by"),
        approved_by=fields.text("approved_by"),
        since=entry.draft.at,
        snapshots=tuple(fields.texts("snapshots")),
    )
    if any(one.id == made.id for one in state.holds):
        raise RecordRefused(f"hold {made.id} is there already")
    known_points = {point.snapshot for point in state.points}
    if unknown := sorted(set(made.snapshots) - known_points):
        raise RecordRefused(f"{unknown[0][:8]} is no recovery point of {entry.draft.subject}")
    return replace(state, holds=(*state.holds, made))


def lift(state: DatasetState, entry: Entry) -> DatasetState:
    """A hold ends."""
    name = entry.fields.text("hold")
    left = tuple(one for one in state.holds if one.id != name)
    if len(left) == len(state.holds):
        raise RecordRefused(f"there is no hold {name[:80]!r}")
    return replace(state, holds=left)


def doubt(state: DatasetState, entry: Entry, source: Doubter) -> DatasetState:
    """What a backup or a verification has found suspicious, if it has."""
    if not (reason := entry.fields.text("suspicious", "")):
        return state
    made = Suspicion(sequence=entry.sequence, at=entry.draft.at, reason=reason, source=source)
    return replace(state, suspicions=(*state.suspicions, made))


def without_failed_verification(state: DatasetState) -> DatasetState:
    """What a verification had found is found no more."""
    kept = tuple(one for one in state.suspicions if one.source is not Doubter.VERIFICATION)
    return replace(state, suspicions=kept)


def resolve(state: DatasetState, entry: Entry) -> DatasetState:
    """Somebody has looked into suspicious runs."""
    numbers = set(entry.fields.numbers("suspicions"))
    if unknown := sorted(numbers - {one.sequence for one in state.suspicions}):
        raise RecordRefused(f"record {unknown[0]} is not in doubt")
    kept = tuple(one for one in state.suspicions if one.sequence not in numbers)
    return replace(state, suspicions=kept)
