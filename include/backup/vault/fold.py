"""How a record changes the state of a dataset: a pure function that may refuse.

    kind            body                                              what must hold
    begun           {action, class?, method?, slot?, owner?}          the act is new
    opened          {generation, opened_at, closes_at, key,           no other generation is
                     envelope_sha256, locked_until?}                  unfinished
    recovery-point  {generation, snapshot, method, taken_at,          the act is still open; a full
    adopted          committed_at, expires_at, slot?, entries,        is the first point of an
                     bytes_read, bytes_new, bytes_stored,             opened generation, an
                     bytes_found?, suspicious?}                       incremental adds to a
                                                                      completed one before it closes
    abandoned       {generation}                                      it is opened
    rekeyed         {generation, key, envelope_sha256}                it is not expired
    expiring        {generation, retired?, erased?, requested_by?,    it is completed or abandoned
                     approved_by?}
    expiring        {generation, snapshots, retired?}                 they are points of it
                    both: nothing of it is on hold, or read now; all has expired, and nothing is in
                    doubt, or the last way back, unless it is retired, or erased by two people
    expired         {generation}                                      it is expiring
    expired         {generation, snapshots}                           they are about to leave
    damaged         {damaged: […], replica?}                          they exist; with `replica`, an
                                                                      address, in that copy alone
    checked         {damaged?: […], read?: [{generation, share,       they exist
                     packs, bytes}, …]}
    verified        {proved: [snapshot, …], level, passed, slot?,     nothing
                     suspicious?}
    held            {hold, reason, requested_by, approved_by,         the hold is new
                     snapshots?}
    lifted          {hold}                                            it is there
    resolved        {suspicions: [sequence, …]}                       they are in doubt
    failed          {reason, action?}
    interrupted     {reason?}                                         the act is still open
    shortened       {expires_at: {snapshot: date, …}, requested_by,   they are points; two people
                     approved_by, reason}
    retained        {lengthened?: {snapshot: expires_at, …},          no date gets earlier
                     locked_until?: {generation: date, …},
                     left?: [snapshot, …], fulfilled?: [erasure, …]}
    erasure         {erased_at, digest}                               its act is open
    withdrawn       {erasure}                                         it is registered
    replicated      {vault, url, sequence, missing?: […], damaged?,   its records are older
                     mended?, left?, holds?,
                     locked_until?: {generation: date, …}}
    promoted        {vault, url, requested_by, approved_by, reason,   two people; unless it is lost
                     lost?}                                           nobody works, and it has all
    refused, nothing-due, restored, key-exported, rotated, erased, requested, approved,
    undeleted                                                         anything

The ledger goes on in one vault, its home. Once another one was promoted, no record fits into the
former home any more.

Bodies may hold more; it is evidence, and no part of the state. The end of an act that was closed
before changes nothing: it is evidence as well. Only what would build on such an act is refused:
whoever was taken for dead, and wakes, can commit nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import LeaseLost, RecordRefused
from include.backup.evidence.fields import Fields
from include.backup.evidence.kinds import CLOSING, Kind
from include.backup.policy.model import Method
from include.backup.vault.fold_entry import Entry, known, moved, with_generation
from include.backup.vault.fold_erasures import register, withdraw
from include.backup.vault.fold_looks import check, mark_damaged, verify
from include.backup.vault.fold_replicas import promote, replicate
from include.backup.vault.fold_retention import (
    abandon,
    begin_to_expire,
    doubt,
    expire,
    hold,
    lengthen,
    lift,
    rekey,
    resolve,
    shorten,
)
from include.backup.vault.generations import Act, Generation, GenerationState, Point
from include.backup.vault.holds import Doubter
from include.backup.vault.layout import is_generation
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.records import Draft

BACK_UP: Final = "back_up"  # the action whose failures are counted
LONGEST_SILENCE: Final = timedelta(days=7)  # runs are daily
_LONGEST_FAILURE: Final = 300
_SECOND: Final = timedelta(seconds=1)
_NEEDS_ACT: Final = frozenset({
    Kind.OPENED,
    Kind.ABANDONED,
    Kind.REKEYED,
    Kind.EXPIRING,
    Kind.EXPIRED,
    Kind.RETAINED,
    Kind.ADOPTED,
    Kind.RECOVERY_POINT,
    Kind.REPLICATED,
    Kind.ERASURE,
})


def fold_json(state: JsonObject, draft: Draft, sequence: int, *, home: str = "") -> JsonObject:
    """`fold` as the ledger wants it: state in and out as JSON.

    Args:
        home: the address of the vault that the record is to be written to, if it matters.

    Raises:
        LedgerBroken: the state before is none.
        RecordRefused, LeaseLost: see `fold`.
    """
    before = DatasetState.of_json(state, what=f"the state before record {sequence}")
    moves = draft.kind == Kind.PROMOTED and draft.body.get("url") == home
    if home and before.home and home != before.home and not moves:
        raise RecordRefused(
            f"the ledger of {draft.subject} goes on in {before.home}, which was promoted",
            hint="name that vault in datasets.yaml; this one may be its replica",
        )
    return fold(before, draft, sequence).to_json()


def fold(state: DatasetState, draft: Draft, sequence: int) -> DatasetState:
    """The state after a record.

    Args:
        draft: what is recorded; its `at` is when it happened.
        sequence: the number of its record.

    Raises:
        RecordRefused: it contradicts the state; says how.
        LeaseLost: its act was closed as interrupted; it may change nothing any more.
    """
    try:
        kind = Kind(draft.kind)
    except ValueError:
        raise RecordRefused(f"{draft.kind!r} is no kind of record") from None
    if kind is Kind.REVIEWED:
        raise RecordRefused("a review belongs into the ledger of the policy")
    state = _heard(replace(state, since=state.since or draft.at), draft.at)
    entry = Entry(
        kind=kind,
        draft=draft,
        fields=Fields(
            draft.body, what=f"the {kind} record of {draft.subject}", error=RecordRefused
        ),
        act=state.act(draft.act),
        sequence=sequence,
    )
    if kind in _NEEDS_ACT and entry.act is None:
        raise LeaseLost(
            f"act {draft.act} of {draft.subject} is not open; its {kind} record comes too late",
            hint="it was taken for dead and closed as interrupted, or never begun",
        )
    if (change := _CHANGES.get(kind)) is not None:
        state = change(state, entry)
    if kind in CLOSING:
        state = replace(state, acts=tuple(one for one in state.acts if one.id != draft.act))
    return state


def _heard(state: DatasetState, at: datetime) -> DatasetState:
    """The ledger speaks: after a long silence that is remembered, for a clock may have jumped."""
    last = state.last_at
    resumed = at if last is not None and at - last > LONGEST_SILENCE else state.resumed_at
    # A record of the spool is older than the newest; a clock that is put right again much older.
    follows = last is None or at >= last or last - at > LONGEST_SILENCE
    return replace(state, last_at=at if follows else last, resumed_at=resumed)


def _begin(state: DatasetState, entry: Entry) -> DatasetState:
    draft, fields = entry.draft, entry.fields
    if entry.act is not None:
        raise RecordRefused(f"act {draft.act} of {draft.subject} has begun already")
    method = fields.text("method", "", shape="(full|incremental)?")
    act = Act(
        id=draft.act,
        action=fields.text("action"),
        method=Method(method) if method else None,
        slot=fields.moment_or_none("slot"),
        began_at=draft.at,
        owner=fields.document("owner"),
        sequence=entry.sequence,
    )
    data_class = fields.text("class", "") or state.data_class
    return replace(state, acts=(*state.acts, act), data_class=data_class)


def _open(state: DatasetState, entry: Entry) -> DatasetState:
    draft, fields = entry.draft, entry.fields
    name = fields.text("generation")
    if not is_generation(name):
        raise RecordRefused(f"{name[:80]!r} is no id of a generation")
    if state.generation(name) is not None:
        raise RecordRefused(f"generation {name} of {draft.subject} was opened before")
    if (unfinished := state.unfinished_generation) is not None:
        raise RecordRefused(
            f"generation {name} of {draft.subject} cannot be opened: "
            f"{unfinished.id} is unfinished, and neither completed nor abandoned"
        )
    opened = Generation(
        id=name,
        state=GenerationState.OPENED,
        opened_at=fields.moment("opened_at"),
        closes_at=fields.moment("closes_at"),
        key=fields.text("key"),
        envelope_sha256=fields.text("envelope_sha256", shape="[0-9a-f]{64}"),
        locked_until=fields.moment_or_none("locked_until"),
    )
    return replace(state, generations=(*state.generations, opened))


def _add_point(state: DatasetState, entry: Entry) -> DatasetState:
    draft, act = entry.draft, entry.act
    assert act is not None
    adopted = entry.kind is Kind.ADOPTED
    name = entry.fields.text("generation")
    point = Point.of_json(
        {**draft.body, "sequence": entry.sequence, "adopted": adopted},
        generation=name,
        what=f"the {entry.kind} record of {draft.subject}",
        error=RecordRefused,
    )
    generation = known(state, name)
    if generation.damaged:
        raise RecordRefused(f"generation {name} is damaged; nothing can be added to it")
    if point.method is Method.FULL:
        generation = moved(generation, GenerationState.COMPLETED)
    elif generation.state is not GenerationState.COMPLETED:
        raise RecordRefused(
            f"generation {name} is {generation.state}; no incremental can be added to it"
        )
    # An act that began in time may end later: lock dates leave it the time to complete.
    if act.began_at > generation.closes_at and not adopted:
        raise RecordRefused(f"generation {name} was closed when act {act.id} began")
    if any(point.snapshot == one.snapshot for one in state.points):
        raise RecordRefused(f"snapshot {point.snapshot[:8]} of {name} is recorded already")
    age = state.age(point.committed_at)
    grown = replace(generation, points=(*generation.points, point))
    state = doubt(state, entry, Doubter.BACKUP)
    return replace(
        with_generation(state, grown),
        failures=0,
        failure="",
        greatest_age_seen=max(
            (
                found
                for found in (state.greatest_age_seen, _whole_seconds(age))
                if found is not None
            ),
            default=None,
        ),
    )


def _fail(state: DatasetState, entry: Entry) -> DatasetState:
    act, interrupted = entry.act, entry.kind is Kind.INTERRUPTED
    if act is None and interrupted:
        raise RecordRefused(
            f"act {entry.draft.act} of {entry.draft.subject} is not open; nothing to close"
        )
    if act is None or act.action != BACK_UP:
        return state
    usual = "it was interrupted" if interrupted else "it failed"
    return replace(
        state,
        failures=state.failures + 1,
        failure=entry.fields.text("reason", usual)[:_LONGEST_FAILURE],
    )


def _whole_seconds(age: timedelta | None) -> timedelta | None:
    """Rounded up: an age just past its limit shall not read as if it had kept it."""
    return None if age is None else -(-age // _SECOND) * _SECOND


_CHANGES: Final[dict[Kind, Callable[[DatasetState, Entry], DatasetState]]] = {
    Kind.BEGUN: _begin,
    Kind.OPENED: _open,
    Kind.RECOVERY_POINT: _add_point,
    Kind.ADOPTED: _add_point,
    Kind.ABANDONED: abandon,
    Kind.EXPIRING: begin_to_expire,
    Kind.EXPIRED: expire,
    Kind.REKEYED: rekey,
    Kind.HELD: hold,
    Kind.LIFTED: lift,
    Kind.RESOLVED: resolve,
    Kind.RETAINED: lengthen,
    Kind.SHORTENED: shorten,
    Kind.DAMAGED: mark_damaged,
    Kind.ERASURE: register,
    Kind.WITHDRAWN: withdraw,
    Kind.REPLICATED: replicate,
    Kind.PROMOTED: promote,
    Kind.CHECKED: check,
    Kind.VERIFIED: verify,
    Kind.FAILED: _fail,
    Kind.INTERRUPTED: _fail,
}  # the others are evidence only
