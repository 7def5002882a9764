"""Restoring a recovery point, or a part of it, and recording that it was done (4.3).

point → walk its trees → directories and links made, files opened
→ blobs read by pack, compared with their ids, written in place → metadata → flushed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.backup.actions.acts import RESTORE, Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.restoring import Restoring
from include.backup.errors import ConfigurationInvalid, DamageFound, FileAbsent, RestoreRefused
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count, moment
from include.backup.format.times import text_of_datetime
from include.backup.repository.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.sources.base import Destination
    from include.backup.vault.generations import Point
    from include.backup.vault.state import DatasetState

_MOST_NOTES = 100  # written out in a record; the number of all is there as well
_PATTERNS = "patterns are relative to the dataset, as in contracts/*.pdf"
_SHORTEST_ID = 4
_MOST_NAMED = 20  # damaged entries that an error names; the record holds them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which recovery point, what of it, for whom. The newest one, unless a time or id is given."""

    at: datetime | None = None  # the newest point taken at or before
    recovery_point: str = ""  # the beginning of a snapshot id
    path: str = ""  # a pattern relative to the dataset; what it matches, with all below
    address: str  # of the destination, for people
    requested_by: str  # who asked for it (4.3)
    reason: str = ""


def restore(
    setting: Setting,
    name: str,
    destination: Destination,
    order: Order,
    *,
    progress: Progress | None = None,
) -> Outcome:
    """Restore a dataset to a destination.

    Raises:
        ConfigurationInvalid: there is no such recovery point.
        RestoreRefused, StorageFull: the destination; what could be put back is there.
        DamageFound: some entries could not be restored; the others are.
        KeyUnusable, StorageError.
    """
    place = DatasetVault.open_for_reading(setting, name)
    act = Act(place, RESTORE)
    try:
        begun = act.now()
        point = find_point(place.state(), order, now=begun)
        pattern = checked_pattern(order.path)
        destination.prepare()
        act.begin()
        with act.noting_damage(point.generation):
            restoring = _restore(act, point, destination, pattern, progress or Progress())
    except BaseException as error:
        # What somebody mistyped is no missed objective: it is told, and not recorded as one.
        if not act.begun and isinstance(error, ConfigurationInvalid | RestoreRefused):
            raise
        told = sentences.restore_failed(
            place.subject,
            destination=order.address,
            reason=reason_of(error),
            by=order.requested_by,
            hint=hint_of(error),
        )
        error.outcome = act.fail(error, sentence=told)  # type: ignore[attr-defined]
        raise
    if pattern and not restoring.matched:
        raise _nothing_matches(act, point, order)
    took = act.now() - begun
    done = sentences.Restored(
        taken_at=point.taken_at,
        destination=order.address,
        contents=count(restoring.files, "file"),
        bytes_written=restoring.bytes_written,
        took=took,
        limit=place.data_class.rto,
        by=order.requested_by,
    )
    told = sentences.restored(place.subject, done, notes=restoring.notes)
    body = {
        "destination": order.address,
        "requested_by": order.requested_by,
        "reason": order.reason,
        "path": order.path,
        "snapshot": point.snapshot,
        "generation": point.generation,
        "taken_at": text_of_datetime(point.taken_at),
        "files": restoring.files,
        "bytes": restoring.bytes_written,
        "seconds": round(took.total_seconds()),
        "notes": len(restoring.notes),
        "noted": restoring.notes[:_MOST_NOTES],
    }
    what = f"restored to {order.address}"
    return act.end(Kind.RESTORED, body, say=lambda _: told, what=what, details=body)


def _restore(
    act: Act,
    point: Point,
    destination: Destination,
    pattern: str,
    progress: Progress,
) -> Restoring:
    place = act.place
    generation = place.state().generation(point.generation)
    assert generation is not None
    repository, damages = place.repository_to_restore(generation)
    for damage in damages:
        act.note_damage(generation.id, damage)
    try:
        snapshot = repository.load_snapshot(bytes.fromhex(point.snapshot))
    except FileAbsent:
        raise DamageFound(
            f"snapshot {point.snapshot[:8]} of a recorded recovery point is gone",
            hint="`recovery-points DATASET` lists the others",
        ) from None
    if snapshot.summary is not None:
        progress.bytes_total = 0 if pattern else snapshot.summary.total_bytes_processed
        progress.entries_total = 0 if pattern else snapshot.summary.total_files_processed
    restoring = Restoring(repository, destination, pattern, progress)
    restoring.run(snapshot.tree, place.dataset.name)
    if restoring.damages:
        raise damaged_entries(restoring.damages, refused=restoring.refused)
    if restoring.refused:
        raise refused_entries(restoring.refused)
    restoring.notes += damages
    return restoring


def checked_pattern(pattern: str) -> str:
    """A pattern as it is compared: relative to the dataset, without "./" and a last "/".

    Raises:
        ConfigurationInvalid: it leads elsewhere.
    """
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    if pattern.startswith("/") or ".." in parts:
        raise ConfigurationInvalid(f"{pattern!r} leads out of the dataset", hint=_PATTERNS)
    return "/".join(parts)


def _nothing_matches(act: Act, point: Point, order: Order) -> ConfigurationInvalid:
    """End the act, and say why nothing was restored."""
    error = ConfigurationInvalid(
        f"nothing in recovery point {point.snapshot[:8]} matches {order.path!r}", hint=_PATTERNS
    )
    told = sentences.restore_refused(
        act.place.subject,
        destination=order.address,
        reason=error.message,
        by=order.requested_by,
        hint=error.hint,
    )
    act.end(Kind.REFUSED, {"reason": error.message}, say=lambda _: told, what=error.message)
    return error


def find_point(state: DatasetState, order: Order, *, now: datetime) -> Point:
    """Choose the recovery point: the newest, if none is named.

    The newest is that of the youngest data, not the one recorded last: a full may take long. One
    from the future is newest only if there is no other. Damage in its generation does not make it
    older: what is lost is named, and nobody is given last month's data without having asked.

    Raises:
        ConfigurationInvalid: there is none, or the id is not unique.
    """
    points = state.points
    if not points:
        raise ConfigurationInvalid("this dataset has no recovery point", hint="back it up first")
    if order.recovery_point:
        if len(order.recovery_point) < _SHORTEST_ID:
            raise ConfigurationInvalid(
                f"{order.recovery_point!r} is too short to name a recovery point",
                hint=f"give at least {_SHORTEST_ID} digits of its id",
            )
        found = [point for point in points if point.snapshot.startswith(order.recovery_point)]
        if len(found) != 1:
            raise ConfigurationInvalid(
                f"{len(found) or 'no'} recovery points begin with {order.recovery_point!r}",
                hint="`recovery-points DATASET` lists them",
            )
        return found[0]

    def youth(point: Point) -> tuple[datetime, int]:
        return point.taken_at, point.sequence

    if order.at is None:
        return max([point for point in points if point.taken_at <= now] or points, key=youth)
    earlier = [point for point in points if point.taken_at <= order.at]
    if not earlier:
        raise ConfigurationInvalid(
            f"there is no recovery point of {moment(order.at)} or before",
            hint=f"the oldest is of {moment(min(point.taken_at for point in points))}",
        )
    return max(earlier, key=youth)


def damaged_entries(damages: dict[str, str], *, refused: Sequence[str] = ()) -> DamageFound:
    """One error for all entries that could not be restored."""
    named = _named([f"{path}: {what}" for path, what in damages.items()])
    others = f"; besides, {refused_entries(refused).message}" if refused else ""
    entries = count(len(damages), "entry is", "entries are")
    return DamageFound(
        f"{entries} damaged and left out: {named}{others}",
        hint="everything else was restored; an older recovery point may have them whole",
    )


def refused_entries(refused: Sequence[str]) -> RestoreRefused:
    """One error for all entries that were not put back for what stands in their place."""
    return RestoreRefused(
        f"{count(len(refused), 'entry was', 'entries were')} not put back: {_named(refused)}",
        hint="everything else was restored; move away what stands there, or restore elsewhere",
    )


def _named(entries: Sequence[str]) -> str:
    return "; ".join(entries[:_MOST_NAMED])
