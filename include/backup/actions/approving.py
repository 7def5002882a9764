"""From a request to its end: approved or refused, carried out, and ended whatever happened (4.3).

An approval is a signed record of the vault, not a state of the scheduler: whoever marks a task as
successful, or writes into its results, has approved nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions.acts import RESTORE, Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_destination import open_destination
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.restore import restore
from include.backup.errors import BackupError, RestoreRefused
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import CLOSING, Kind
from include.backup.evidence.sentences import with_evidence
from include.backup.evidence.wording import moment
from include.backup.policy.approval import LASTS, Approval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.request import Request
    from include.backup.actions.setting import Setting
    from include.backup.evidence.records import Record
    from include.backup.policy.approval import Refusal
    from include.backup.repository.progress import Progress


def approve(setting: Setting, request: Request, approval: Approval) -> str:
    """Record that somebody trained has approved a request; the sentence.

    Raises:
        StorageError, LedgerBroken, KeyUnusable: it is not approved, for that cannot be recorded.
    """
    act = _act(setting, request, approval)
    told = sentences.restore_approved(
        act.place.subject,
        destination=request.place.address,
        by=request.requested_by,
        approval=approval,
    )
    body = {**act.about, "digest": request.digest()}
    record = act.record(Kind.APPROVED, body, say=lambda _: told)
    return with_evidence(record.sentence, record)


def refuse(setting: Setting, request: Request, refusal: Refusal) -> str:
    """Record that a request was not approved; the sentence. It is spooled, if need be."""
    act = _act(setting, request)
    told = sentences.restore_not_approved(
        act.place.subject,
        destination=request.place.address,
        by=request.requested_by,
        refusal=refusal,
    )
    return act.refuse(refusal.why, sentence=told).sentence


def carry_out(setting: Setting, request: Request, progress: Progress) -> Outcome:
    """Restore what was approved.

    Raises:
        RestoreRefused: it was not approved, or was done before; or as `restore`.
        as `restore`.
    """
    place = DatasetVault.open_for_reading(setting, request.dataset)
    try:
        approval = _approval_of(place, request)
        destination = open_destination(setting, request.dataset, request.place)
        order = request.order(approval)
        return restore(setting, request.dataset, destination, order, progress=progress)
    except BackupError as error:
        if not hasattr(error, "outcome"):  # of what was never begun nothing is recorded yet
            error.outcome = _cannot(setting, request, error)  # type: ignore[attr-defined]
        raise


def _cannot(setting: Setting, request: Request, error: BackupError) -> Outcome:
    """Record that a request cannot be carried out, and nothing was touched."""
    act = _act(setting, request)
    told = sentences.restore_refused(
        act.place.subject,
        destination=request.place.address,
        reason=reason_of(error),
        by=request.requested_by,
        hint=hint_of(error),
    )
    return act.refuse(reason_of(error), sentence=told)


def end_of(setting: Setting, request: Request) -> tuple[Record | None, str]:
    """How a request ended; if nothing says so, that is recorded now.

    Returns:
        The record that ended it, None if it waits in the spool; and its sentence.

    Raises:
        LedgerBroken, StorageError: the ledger cannot be read.
    """
    place = DatasetVault.open_for_reading(setting, request.dataset)
    ends = [one for one in _records(place, request) if one.kind in CLOSING]
    if ends:
        return ends[-1], with_evidence(ends[-1].sentence, ends[-1])
    act = _act(setting, request)
    why = "its task ended without a word, or was never started"
    told = sentences.restore_failed(
        place.subject, destination=request.place.address, reason=why, by=request.requested_by
    )
    return None, act.fail(RestoreRefused(why), sentence=told).sentence


def _approval_of(place: DatasetVault, request: Request) -> Approval:
    """The approval of a request, out of the ledger.

    Raises:
        RestoreRefused: there is none that counts.
        LedgerBroken, StorageError.
    """
    hint = "start the DAG again: a request is asked for, approved and carried out once"
    found: Approval | None = None
    for record in _records(place, request):
        if record.kind == Kind.APPROVED and record.body.get("digest") == request.digest():
            found = Approval.of_json(record.body)
        if record.kind == Kind.RESTORED:
            raise RestoreRefused(
                f"this request was carried out at {moment(record.happened_at)}", hint=hint
            )
        if record.kind == Kind.REFUSED and record.act == request.id:
            raise RestoreRefused("this request was refused", hint=hint)
    if found is None:
        raise RestoreRefused("the ledger has no approval of this very request", hint=hint)
    if place.setting.clock() - found.at > LASTS:
        raise RestoreRefused(f"it was approved at {moment(found.at)}, too long ago", hint=hint)
    return found


def _records(place: DatasetVault, request: Request) -> Iterator[Record]:
    """What the ledger has of a request, from its own record on."""
    for record in place.ledger.read(request.sequence):
        if request.id in {record.act, record.body.get("request")}:
            yield record


def _act(setting: Setting, request: Request, approval: Approval | None = None) -> Act:
    place = DatasetVault.open_for_reading(setting, request.dataset)
    return Act(place, RESTORE, id=request.id, about=request.order(approval).evidence())
