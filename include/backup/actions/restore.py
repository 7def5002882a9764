"""Restoring a recovery point, or a part of it, and recording that it was done (4.3).

choose the point → look at the destination → begun → put back → record restored, or failed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions.acts import RESTORE, Act
from include.backup.actions.choosing import PATTERNS, Order, checked_pattern, find_point
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.put_back import open_point, put_back
from include.backup.errors import ConfigurationInvalid, DestinationRefused, RestoreRefused
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.format.times import text_of_datetime
from include.backup.repository.progress import Progress
from include.backup.vault import bodies

if TYPE_CHECKING:
    from datetime import timedelta

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.put_back import Done
    from include.backup.actions.setting import Setting
    from include.backup.errors import BackupError
    from include.backup.sources.base import Destination, Server
    from include.backup.vault.generations import Point


def restore(
    setting: Setting,
    name: str,
    destination: Destination | Server,
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
            opened = open_point(act, point)
            done = put_back(opened, destination, pattern, progress or Progress())
    except DestinationRefused as error:
        if act.begun:
            _refuse(act, order, error)
        raise
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
    if pattern and not done.matched:
        raise _nothing_matches(act, point, order)
    return _end(act, point, order, done, took=act.now() - begun)


def _end(act: Act, point: Point, order: Order, done: Done, *, took: timedelta) -> Outcome:
    """Record what was restored, for whom, and how long it took."""
    told = sentences.restored(
        act.place.subject,
        sentences.Restored(
            taken_at=point.taken_at,
            destination=order.address,
            contents=done.contents,
            bytes_written=done.bytes_written,
            took=took,
            limit=act.place.data_class.rto,
            by=order.requested_by,
        ),
        notes=done.notes,
    )
    body = {
        "destination": order.address,
        "requested_by": order.requested_by,
        "reason": order.reason,
        "path": order.path,
        "snapshot": point.snapshot,
        "generation": point.generation,
        "taken_at": text_of_datetime(point.taken_at),
        "files": done.files,
        "bytes": done.bytes_written,
        "seconds": round(took.total_seconds()),
        **bodies.noted(done.notes),
    }
    what = f"restored to {order.address}"
    return act.end(Kind.RESTORED, body, say=lambda _: told, what=what, details=body)


def _nothing_matches(act: Act, point: Point, order: Order) -> ConfigurationInvalid:
    """End the act, and say why nothing was restored."""
    error = ConfigurationInvalid(
        f"nothing in recovery point {point.snapshot[:8]} matches {order.path!r}", hint=PATTERNS
    )
    _refuse(act, order, error)
    return error


def _refuse(act: Act, order: Order, error: BackupError) -> None:
    """Record that nothing was restored, and nothing touched."""
    told = sentences.restore_refused(
        act.place.subject,
        destination=order.address,
        reason=error.message,
        by=order.requested_by,
        hint=error.hint,
    )
    act.end(Kind.REFUSED, {"reason": error.message}, say=lambda _: told, what=error.message)
