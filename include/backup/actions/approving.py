"""From a request to its end: approved or refused, carried out, and ended whatever happened (4.3).

Each step goes by the signed records of the vault, and by no state of the scheduler: a request is
what its record `requested` says, to the last field; an approval is a record of that very request.
Whoever marks a task as successful, or writes into its results, has changed none of these.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from include.backup.actions.acts import Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_acts import RESTORE
from include.backup.actions.open_destination import open_destination
from include.backup.actions.outcome import attach_outcome, attached_outcome, hint_of, reason_of
from include.backup.actions.request import Request
from include.backup.actions.restore import restore
from include.backup.errors import BackupError, RecordRefused, RestoreRefused
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import CLOSING, Kind
from include.backup.evidence.sentences import with_evidence
from include.backup.evidence.wording import moment
from include.backup.policy.approval import LASTS, Approval
from include.backup.policy.objectives import SKEW

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.evidence.records import Record
    from include.backup.policy.approval import Refusal
    from include.backup.repository.progress import Progress

_ANSWERS: Final = frozenset({Kind.APPROVED, Kind.REFUSED})
_HINT: Final = "start the DAG again: a request is asked for, approved and carried out once"


def approve(setting: Setting, request: Request, approval: Approval) -> str:
    """Record that somebody trained has approved a request; the sentence.

    Raises:
        RestoreRefused: there is no such request, or it was answered before.
        StorageError, LedgerBroken, KeyUnusable: it is not approved, for that cannot be recorded.
    """
    act = _act(setting, request, approval)
    if _is_answered(_records(act.place, request), request):
        raise RestoreRefused("this request was answered before", hint=_HINT)
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


def find_request(setting: Setting, name: str, request: str) -> Request | None:
    """A request by its id, as its newest record has it.

    Raises:
        LedgerBroken, StorageError.
    """
    place = DatasetVault.open_for_reading(setting, name)
    found: Request | None = None
    for record in place.ledger.read():
        if record.kind == Kind.REQUESTED and record.act == request:
            asked: Any = record.body["asked"]
            found = Request.of_json({**asked, "sequence": record.sequence})
    return found


def is_approved(setting: Setting, request: Request) -> bool | None:
    """Whether the ledger lets a request be carried out; None: nobody has answered it.

    Raises:
        RestoreRefused: there is no such request.
        LedgerBroken, StorageError.
    """
    records = _records(DatasetVault.open_for_reading(setting, request.dataset), request)
    if not _is_answered(records, request):
        return None
    try:
        _require_open(records, request)
        _approval_of(records, request, now=setting.clock())
    except RestoreRefused:
        return False
    return True


def carry_out(setting: Setting, request: Request, progress: Progress) -> Outcome:
    """Restore what was approved.

    Raises:
        RestoreRefused: it was not approved, is done or being done; or as `restore`.
        as `restore`.
    """
    place = DatasetVault.open_for_reading(setting, request.dataset)
    records = _records(place, request)
    _require_open(records, request)
    try:
        approval = _approval_of(records, request, now=setting.clock())
        destination = open_destination(setting, request.dataset, request.place)
        order = request.order(approval)
        return restore(
            setting,
            request.dataset,
            destination,
            order,
            progress=progress,
            id=_act_id(request),
            replaces=request.replaces,
        )
    except RecordRefused as error:  # of the same id, and it goes on
        raise RestoreRefused("this request is being carried out", hint=_HINT) from error
    except BackupError as error:
        if attached_outcome(error) is None:  # of what was never begun nothing is recorded yet
            attach_outcome(error, _cannot(setting, request, error))
        raise


def end_of(setting: Setting, request: Request) -> tuple[Record | None, str]:
    """How a request ended; if nothing says so, that is recorded now.

    Returns:
        The record that ended it, None if it waits in the spool; and its sentence.

    Raises:
        LedgerBroken, StorageError: the ledger cannot be read.
        RestoreRefused: there is no such request.
    """
    place = DatasetVault.open_for_reading(setting, request.dataset)
    ends = [one for one in _records(place, request) if one.kind in CLOSING]
    if ends:
        done = [one for one in ends if one.kind == Kind.RESTORED] or ends
        return done[-1], with_evidence(done[-1].sentence, done[-1])
    act = _act(setting, request)
    why = "its task ended without a word, or was never started"
    told = sentences.restore_failed(
        place.subject, destination=request.place.address, reason=why, by=request.requested_by
    )
    return None, act.fail(RestoreRefused(why), sentence=told).sentence


def _is_answered(records: Sequence[Record], request: Request) -> bool:
    """Whether somebody has, or nobody in time; what the restore itself refused is no answer."""
    return any(one.kind in _ANSWERS and one.act == request.id for one in records)


def _require_open(records: Sequence[Record], request: Request) -> None:
    """Refuse what is done or refused: of that the ledger says enough."""
    for record in records:
        if record.kind == Kind.RESTORED:
            when = moment(record.happened_at)
            raise RestoreRefused(f"this request was carried out at {when}", hint=_HINT)
        if record.kind == Kind.REFUSED and record.act == request.id:
            raise RestoreRefused("this request was refused", hint=_HINT)


def _cannot(setting: Setting, request: Request, error: BackupError) -> Outcome:
    """Record that a request could not be carried out now; it may be, while the approval counts."""
    act = _act(setting, request)
    told = sentences.restore_refused(
        act.place.subject,
        destination=request.place.address,
        reason=reason_of(error),
        by=request.requested_by,
        hint=hint_of(error),
    )
    return act.fail(error, sentence=told)


def _approval_of(records: Sequence[Record], request: Request, *, now: datetime) -> Approval:
    """The approval of a request, out of its records.

    Raises:
        RestoreRefused: there is none that counts.
        LedgerBroken.
    """
    found: Approval | None = None
    for record in records:
        if record.kind == Kind.APPROVED and record.body.get("digest") == request.digest():
            found = found or Approval.of_json(record.body)
    if found is None:
        raise RestoreRefused("the ledger has no approval of this very request", hint=_HINT)
    if found.at > now + SKEW:
        raise RestoreRefused(
            f"it was approved at {moment(found.at)}, and it is {moment(now)} now",
            hint="a clock was set back: set it right, and start the DAG again",
        )
    if now - found.at > LASTS:
        raise RestoreRefused(f"it was approved at {moment(found.at)}, too long ago", hint=_HINT)
    return found


def _records(place: DatasetVault, request: Request) -> list[Record]:
    """What the ledger has of a request, its own record first.

    Raises:
        RestoreRefused: the ledger has no such request, or another one.
        LedgerBroken, StorageError.
    """
    found = [
        one
        for one in place.ledger.read(request.sequence)
        if request.id in {one.act, one.body.get("request")}
    ]
    first = found[0] if found else None
    if (
        first is None
        or first.sequence != request.sequence
        or first.kind != Kind.REQUESTED
        or first.act != request.id
        or first.body.get("digest") != request.digest()
    ):
        raise RestoreRefused("the ledger has no such request", hint=_HINT)
    return found


def _act_id(request: Request) -> str:
    """Of the restore: the same each time, so that it cannot be begun twice at once."""
    return sha256(f"restore {request.id}".encode()).hexdigest()[:16]


def _act(setting: Setting, request: Request, approval: Approval | None = None) -> Act:
    place = DatasetVault.open_for_reading(setting, request.dataset)
    return Act(place, RESTORE, id=request.id, about=request.order(approval).evidence())
