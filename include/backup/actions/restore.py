"""Restoring a recovery point, or a part of it, and recording that it was done (4.3).

choose the point → look at the destination → begun → put back → compare, if that was asked for
→ record restored, or failed
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.backup.actions.acts import Act
from include.backup.actions.choosing import PATTERNS, Order, checked_pattern, find_point, matching
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.erasures import reapply, told_of
from include.backup.actions.open_acts import RESTORE
from include.backup.actions.outcome import attach_outcome, hint_of, reason_of
from include.backup.actions.put_back import open_point, opened_files, put_back, restored
from include.backup.errors import (
    ConfigurationInvalid,
    DestinationRefused,
    RecordRefused,
    RestoreRefused,
)
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count, some_of
from include.backup.format.times import text_of_datetime
from include.backup.quality.handed_over import compare_handed_over
from include.backup.repository.progress import Progress
from include.backup.vault import bodies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.erasures import Reapplied
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.put_back import Done, OpenPoint
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
    id: str = "",  # noqa: A002  of the act
    replaces: Sequence[str] | None = None,
) -> Outcome:
    """Restore a dataset to a destination.

    Args:
        id: of the act; empty: a new one.
        replaces: what may stand there, as `standing` told it when it was approved; None: anything.

    Raises:
        ConfigurationInvalid: there is no such recovery point.
        RestoreRefused, StorageFull: the destination; what could be put back is there.
        DamageFound: some entries could not be restored; the others are.
        KeyUnusable, StorageError.
    """
    place = DatasetVault.open_to_rescue(setting, name, replica=order.replica)
    act = Act(place, RESTORE, id=id, about=order.evidence())
    progress = progress or Progress()
    try:
        begun = act.now()
        point = find_point(place.state(), order, now=begun)
        pattern = checked_pattern(order.path)
        if replaces is not None:
            _begin_once(act)
            _require_as_planned(act, point, destination, replaces)
        destination.prepare()
        if not act.begun:
            act.begin()
        with act.noting_damage(point.generation):
            opened = open_point(act, point)
            done = put_back(opened, destination, pattern, progress)
            restored_at = act.now()
            compared = _compare(act, opened, destination, order, done, progress)
            erased = [] if order.keeps_erased else reapply(act, opened, destination, point)
    except DestinationRefused as error:
        if act.begun:
            attach_outcome(error, _refuse(act, order, error))
        raise
    except BaseException as error:
        # What somebody mistyped is no missed objective: it is told, and not recorded as one.
        # And an act that another run has begun is not ours to end.
        if not act.begun and isinstance(
            error, ConfigurationInvalid | RestoreRefused | RecordRefused
        ):
            raise
        told = sentences.restore_failed(
            place.subject,
            destination=order.address,
            reason=reason_of(error),
            by=order.requested_by,
            approval=order.approval,
            hint=hint_of(error),
        )
        attach_outcome(error, act.fail(error, sentence=told))
        raise
    if pattern and not done.matched:
        raise _nothing_matches(act, point, order)
    return _end(act, point, order, done, took=restored_at - begun, compared=compared, erased=erased)


def _begin_once(act: Act) -> None:
    """Begin an act of a given id, unless another run of it goes on.

    Raises:
        RecordRefused: one does, as far as anybody can tell; nothing was touched.
        RestoreRefused: nobody can tell, for no record is taken.
        StorageError, LedgerBroken.
    """
    act.begin()
    if act.place.detached:
        raise RestoreRefused(
            "the vault takes no records, and nobody could tell whether this was begun before",
            hint='restore in the shell: RUNBOOK.md, "The vault is read-only or full"',
        )
    if not act.begun:
        raise RecordRefused("another run of this act goes on")


def _require_as_planned(
    act: Act, point: Point, destination: Destination | Server, replaces: Sequence[str]
) -> None:
    """Refuse a destination that is not as it was when somebody approved it.

    Raises:
        DestinationRefused: it is not, and nothing was touched.
        RestoreRefused, DamageFound, StorageError.
    """
    with opened_files(open_point(act, point)) as files:
        standing = destination.standing(files)
    if list(standing) != list(replaces):
        raise DestinationRefused(
            "the destination is not as it was when this was asked for: "
            + ("; ".join(standing) or "nothing stands there"),
            hint="somebody has to approve what is replaced now: start the DAG again",
        )


def _compare(
    act: Act,
    opened: OpenPoint,
    destination: Destination | Server,
    order: Order,
    done: Done,
    progress: Progress,
) -> str:
    """Read again what was restored; return what was compared, for people.

    Raises:
        RestoreRefused: it is not what was restored; names what differs.
    """
    if not order.compare:
        return ""
    wanted = matching(order.path)
    alone = not order.path and not order.overwrites
    notes, now = done.notes, act.now()
    with restored(opened, notes, progress, now=now, wanted=wanted, alone=alone) as what:
        compared = compare_handed_over(destination, what)
    if (faults := compared.faults.told(lost=True)).total:
        entries = count(faults.total, "difference")
        raise RestoreRefused(
            f"{order.address} is not as the recovery point: {entries}: {some_of(faults)}",
            hint="somebody else may write there; restore to a place that is nobody's yet",
        )
    return compared.contents


def _end(
    act: Act,
    point: Point,
    order: Order,
    done: Done,
    *,
    took: timedelta,
    compared: str,
    erased: Sequence[Reapplied],
) -> Outcome:
    """Record what was restored, for whom, and how long it took."""
    known = act.place.state().erasures
    now, began = act.now(), order.clock_began
    set_back = took < timedelta() or (began is not None and now < began)
    took = max(took, timedelta())
    handed_over = None if began is None else max(now - began, took)
    limit = act.place.data_class.rto
    told = sentences.restored(
        act.place.subject,
        sentences.Restored(
            taken_at=point.taken_at,
            destination=order.address,
            contents=done.contents,
            bytes_written=done.bytes_written,
            took=took,
            limit=limit,
            by=order.requested_by,
            reason=order.reason,
            approval=order.approval,
            since="the incident began" if order.incident_began else "it was asked for",
            handed_over=handed_over,
            compared=compared,
            erased=told_of(erased),
            keeps_erased=order.keeps_erased and any(one.concerns(point) for one in known),
            only=order.path,
            set_back=set_back,
        ),
        notes=done.notes,
    )
    body = {
        **order.evidence(),
        "snapshot": point.snapshot,
        "generation": point.generation,
        "taken_at": text_of_datetime(point.taken_at),
        "files": done.files,
        "bytes": done.bytes_written,
        "seconds": max(1, round(took.total_seconds())),
        "clock_seconds": max(1, round((handed_over or took).total_seconds())),
        "limit_seconds": round(limit.total_seconds()),
        "contents": done.contents,
        "compared": compared,
        "erased": [{"erasure": one.id, "removed": one.removed} for one in erased],
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


def _refuse(act: Act, order: Order, error: BackupError) -> Outcome:
    """Record that nothing was restored, and nothing touched."""
    told = sentences.restore_refused(
        act.place.subject,
        destination=order.address,
        reason=error.message,
        by=order.requested_by,
        hint=error.hint,
    )
    return act.refuse(error.message, sentence=told)
