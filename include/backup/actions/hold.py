"""Holds on a dataset, and suspicious runs that somebody has looked into (3.2).

Each is an act with one record: who wanted it, who approved it, and why.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from include.backup.actions.acts import Act
from include.backup.actions.choosing import point_named
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.locking import hold_files
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.errors import ConfigurationInvalid, StorageError
from include.backup.evidence import expiry_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.records import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.actions.two_people import TwoPeople

log = logging.getLogger(__name__)

_HOLD: Final = "hold"
_LIFT: Final = "lift"
_RESOLVE: Final = "resolve"


def add_hold(
    setting: Setting, name: str, order: TwoPeople, *, points: Sequence[str] = ()
) -> Outcome:
    """Keep everything of a dataset, or some recovery points, until the hold is lifted.

    Args:
        points: the beginnings of their ids; none: all, those to come included.

    Raises:
        ConfigurationInvalid: nobody approved it; no such recovery point.
        StorageError, LedgerBroken: it could not be recorded, and does not hold.
    """
    order.require()
    place = DatasetVault.open_for_reading(setting, name, expiring=True)
    act = Act(place, _HOLD)

    def failed(error: BaseException) -> str:
        return sentences.not_held(place.subject, reason=reason_of(error), hint=hint_of(error))

    with act.ending(failed):
        state = act.begin()
        snapshots = [point_named(state.points, one).snapshot for one in points]
        if place.vault.object_lock:
            covered = [one for one in state.points if not snapshots or one.snapshot in snapshots]
            hold_files(place, ((one.generation, one.snapshot) for one in covered), on=True)
        hold = new_id()[:8]
        told = sentences.held(
            place.subject,
            hold=hold,
            points=len(snapshots),
            reason=order.reason,
            by=order.approved_by,
        )
        body = {"hold": hold, **order.to_json(), "snapshots": snapshots}
        return act.end(
            Kind.HELD, body, say=lambda _: told, what=f"hold {hold}", details={"hold": hold}
        )


def require_hold(
    setting: Setting, name: str, *, points: Sequence[str] = (), hold: str = ""
) -> None:
    """See that something can be held, or a hold be lifted; nothing is done.

    Raises:
        ConfigurationInvalid: there is no such recovery point, or hold.
        DatasetInvalid, StorageError, LedgerBroken.
    """
    state = DatasetVault.open_for_reading(setting, name).state()
    for one in points:
        point_named(state.points, one)
    if hold and hold not in {one.id for one in state.holds}:
        raise ConfigurationInvalid(f"{name} has no hold {hold}", hint="`holds` lists them")


def refuse_hold(setting: Setting, name: str, *, what: str, why: str) -> Outcome:
    """Record that something was not held, or not lifted: nobody approved it."""
    place = DatasetVault.open_for_reading(setting, name)
    act = Act(place, _HOLD)
    told = sentences.hold_refused(place.subject, what=what, why=why)
    return act.refuse(why, sentence=told)


def lift_hold(setting: Setting, name: str, hold: str, order: TwoPeople) -> Outcome:
    """End a hold: from then on what it covered expires as if it had never been.

    Raises:
        ConfigurationInvalid: nobody approved it; there is no such hold.
        StorageError, LedgerBroken: it could not be recorded, and still holds.
    """
    order.require()
    place = DatasetVault.open_for_reading(setting, name, expiring=True)
    known = [one.id for one in place.state().holds]
    if hold not in known:
        raise ConfigurationInvalid(
            f"{name} has no hold {hold}", hint=f"its holds: {', '.join(known) or 'none'}"
        )
    act = Act(place, _LIFT)
    act.begin()
    told = sentences.lifted(place.subject, hold=hold, reason=order.reason, by=order.approved_by)
    body = {"hold": hold, **order.to_json()}
    outcome = act.end(Kind.LIFTED, body, say=lambda _: told, what=f"hold {hold} lifted")
    if place.vault.object_lock:
        state = place.state()
        free = [one for one in state.points if not state.is_held(one.snapshot)]
        held = {one.generation for one in state.points if state.is_held(one.snapshot)}
        freed = ((one.generation, one.snapshot) for one in free if one.generation not in held)
        try:
            hold_files(place, freed, on=False)
        except StorageError as error:  # the ledger counts: what has to go is freed when it goes
            log.warning("hold %s is lifted, and still stands on files: %s", hold, error)
    return outcome


def resolve(setting: Setting, name: str, *, by: str, reason: str) -> Outcome:
    """Say that somebody has looked into the suspicious runs of a dataset: it may expire again.

    Raises:
        ConfigurationInvalid: nothing is in doubt.
        StorageError, LedgerBroken: it could not be recorded.
    """
    place = DatasetVault.open_for_reading(setting, name, expiring=True)
    found = place.state().suspicions
    if not found:
        raise ConfigurationInvalid(f"nothing of {name} is in doubt")
    if not by.strip() or not reason.strip():
        raise ConfigurationInvalid("it needs a name and a reason")
    act = Act(place, _RESOLVE)
    act.begin()
    told = sentences.resolved(
        place.subject, reasons=[one.reason for one in found], by=by, reason=reason
    )
    body = {"suspicions": [one.sequence for one in found], "by": by, "reason": reason}
    return act.end(Kind.RESOLVED, body, say=lambda _: told, what="doubts resolved")
