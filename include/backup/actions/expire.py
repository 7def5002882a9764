"""Removing what has expired of a dataset, and recording a verdict on all of it (3.2).

    lease → begun → plan
      → each generation with points that leave:   expiring → their snapshots → expired
      → each generation that dies:                expiring → snapshots → envelopes → indexes → packs
                                                  → keys, config, the rest → expired
      → retained: the verdict on every recovery point

A record comes before what it announces, so that whatever stays behind is found and removed by the
next run. The key goes before the data: from then on nobody can read what is left of it.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.actions.acts import Act
from include.backup.actions.clocks import require_clock
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.erasures import fulfilled
from include.backup.actions.erasures import sweep as sweep_erasures
from include.backup.actions.generation import remove_dead_locks
from include.backup.actions.kept import terms_of
from include.backup.actions.locking import extend_locks, without_holds
from include.backup.actions.open_acts import EXPIRE
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.removing import remove_generation, remove_snapshots
from include.backup.errors import AlreadyRunning, FileLocked, StillNeeded
from include.backup.evidence import expiry_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count, moment
from include.backup.format.times import text_of_datetime
from include.backup.policy.objectives import SKEW
from include.backup.vault import bodies
from include.backup.vault.expiry import ExpiryPlan, plan_expiry
from include.backup.vault.generations import GenerationState
from include.backup.vault.layout import GENERATIONS
from include.backup.vault.leases import Lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.policy.retention import RetentionVerdict
    from include.backup.vault.expiry import Fate
    from include.backup.vault.state import DatasetState

log = logging.getLogger(__name__)

_DOUBTED: Final = timedelta(hours=12)  # a clock that has jumped: the next daily run goes on


@dataclass(slots=True)
class _Gone:
    """What was removed."""

    points: list[RetentionVerdict] = field(default_factory=list)
    generations: list[str] = field(default_factory=list)
    size_bytes: int = 0  # of files
    kept_back: list[str] = field(default_factory=list)  # by a lock, or who needs it; for people
    locked: set[str] = field(default_factory=set)  # snapshots that a lock keeps for a while


def plan_of(setting: Setting, name: str) -> tuple[DatasetVault, ExpiryPlan]:
    """What would leave now. Nothing is touched.

    Raises:
        DatasetInvalid, ConfigurationInvalid: the dataset, or what it needs, is not configured.
        LedgerBroken, StorageError: the vault cannot be read.
    """
    place = DatasetVault.open(setting, name)
    place.require_history()
    return place, plan_expiry(place.state(), terms_of(place, setting.clock()))


def expire(setting: Setting, name: str) -> tuple[Outcome, ExpiryPlan]:
    """Remove what has expired; record a verdict on everything, even if nothing has.

    Raises:
        BackupError: not all that should go is gone. The failure is recorded; see
            `attached_outcome`.
    """
    place = DatasetVault.open(setting, name, expiring=True)
    act = Act(place, EXPIRE)
    overdue = False

    def failed(error: BaseException) -> str:
        return sentences.not_removed(
            place.subject,
            reason=reason_of(error),
            owner=place.dataset.owner,
            overdue=overdue,
            hint=hint_of(error),
        )

    with act.ending(failed):
        try:
            overdue = _is_overdue(place.state())
            with Lease.acquire(place.folder, EXPIRE, owner=act.owner, now=act.now()) as lease:
                return _expire(act, lease)
        except AlreadyRunning as running:
            told = sentences.already_running(place.subject, holder=running.message)
            return act.refuse(running.message, sentence=told), plan_of(setting, name)[1]


def _expire(act: Act, lease: Lease) -> tuple[Outcome, ExpiryPlan]:
    place = act.place
    state = act.begin(held=EXPIRE)
    require_clock(place, EXPIRE, act.now())
    plan = plan_expiry(state, terms_of(place, act.now()))
    gone = _Gone()
    locks = extend_locks(place, plan)
    doubted = not plan.is_empty and _is_clock_doubted(place, state, act.now())
    if not doubted:
        _carry_out(act, lease, plan, gone)
        gone.size_bytes += _sweep(act, lease, state)
        sweep_erasures(place, act.now())
        remove_dead_locks(place)
    told = sentences.retained(
        place.subject,
        sentences.Retention(
            promised=place.data_class.retention,
            kept=len(plan.kept),
            lengths=[one.until - one.taken_at for one in plan.kept],
            beyond=[one for one in plan.kept if one.until <= act.now()],
            future=sum(one.taken_at > act.now() + SKEW for one in plan.kept),
            gone=[one.taken_at for one in gone.points],
            generations=gone.generations,
            bytes_removed=gone.size_bytes,
            next_at=min((one.until for one in plan.kept if one.until > act.now()), default=None),
            in_doubt="; ".join(one.reason for one in state.suspicions),
            on_hold="; ".join(one.reason for one in state.holds),
            kept_back=gone.kept_back,
            clock_doubted=doubted,
            owner=place.dataset.owner,
        ),
    )
    what = f"{count(len(gone.points), 'recovery point')} expired, {len(plan.kept)} kept"
    outcome = act.end(
        Kind.RETAINED,
        _body(plan, gone) | {"locked_until": locks, "fulfilled": fulfilled(place, place.state())},
        say=lambda _: told,
        what=what,
        details={
            "expired": len(gone.points),
            "kept": len(plan.kept),
            "generations": gone.generations,
            "bytes_removed": gone.size_bytes,
            "kept_back": gone.kept_back,
            "in_doubt": bool(state.suspicions),
        },
    )
    return outcome, plan


def _carry_out(act: Act, lease: Lease, plan: ExpiryPlan, gone: _Gone) -> None:
    """Remove what the plan says, in its order; what a lock keeps is noted."""
    expired = {one.snapshot: one for one in plan.expired}
    for generation, snapshots in plan.snapshots.items():
        with _noting(gone, f"recovery points of {generation}", snapshots):
            _remove_points(act, lease, generation, snapshots)
            gone.points += [expired[one] for one in snapshots if one in expired]
    for fate in plan.dying:
        points = [one for one in plan.expired if one.generation == fate.generation]
        with _noting(gone, f"generation {fate.generation}", [one.snapshot for one in points]):
            gone.size_bytes += _remove_generation(act, lease, fate)
            gone.generations.append(fate.generation)
            gone.points += points


def _sweep(act: Act, lease: Lease, state: DatasetState) -> int:
    """Remove what zombies have written into generations that are gone; return its bytes."""
    folder = act.place.folder
    there = {*folder.folders(GENERATIONS), *folder.folders("keys/")}
    removed = 0
    for one in state.generations:
        if one.state is GenerationState.EXPIRED and one.id in there:
            lease.check()
            log.warning("generation %s: files were there again after its end", one.id)
            removed += remove_generation(folder, one.id, go_on=lease.check)
    return removed


@contextmanager
def _noting(gone: _Gone, what: str, snapshots: Sequence[str]) -> Iterator[None]:
    """What a lock keeps, or somebody needs, is no error: the next run tries again."""
    try:
        yield
    except (FileLocked, StillNeeded) as error:  # the latter: what came since the plan was made
        gone.kept_back.append(f"{what}: {error.message}")
        if isinstance(error, FileLocked):
            gone.locked.update(snapshots)


def _remove_points(act: Act, lease: Lease, generation: str, snapshots: tuple[str, ...]) -> None:
    place = act.place
    found = place.state().generation(generation)
    assert found is not None
    lease.check()
    if new := [one for one in snapshots if one not in found.leaving]:
        act.record(Kind.EXPIRING, _leaving(act, generation) | {"snapshots": new})
    without_holds(
        place,
        generation,
        snapshots,
        lambda: remove_snapshots(place.folder, generation, snapshots),
    )
    act.record(Kind.EXPIRED, bodies.of_generation(generation) | {"snapshots": list(snapshots)})


def _remove_generation(act: Act, lease: Lease, fate: Fate) -> int:
    """Let a generation die; return the bytes of its files."""
    place = act.place
    found = place.state().generation(fate.generation)
    assert found is not None
    lease.check()
    if found.state is GenerationState.OPENED:
        act.record(Kind.ABANDONED, bodies.of_generation(found.id))
    if found.state is not GenerationState.EXPIRING:
        act.record(Kind.EXPIRING, _leaving(act, found.id) | {"reason": fate.why})
    size_bytes = without_holds(
        place,
        found.id,
        None,
        lambda: remove_generation(place.folder, found.id, go_on=lease.check),
    )
    act.record(Kind.EXPIRED, bodies.of_generation(found.id) | {"bytes": size_bytes})
    return size_bytes


def _leaving(act: Act, generation: str) -> dict[str, object]:
    retired = terms_of(act.place, act.now()).retired
    return bodies.of_generation(generation) | ({"retired": True} if retired else {})


def _is_clock_doubted(place: DatasetVault, state: DatasetState, now: datetime) -> bool:
    """Whether the ledger had said nothing for long until just now.

    A clock that jumps ahead looks the same as a scheduler that was off. Where no other clock can be
    asked, nothing is removed for half a day: the next daily run goes on.
    """
    resumed = state.resumed_at
    if not place.vault.local_path or resumed is None:
        return False
    return timedelta() <= now - resumed < _DOUBTED  # before it: the clock was put right again


def _is_overdue(state: DatasetState) -> bool:
    """Whether an earlier run has failed to remove something already."""
    return any(one.leaving or one.state is GenerationState.EXPIRING for one in state.generations)


def _reason(one: RetentionVerdict) -> str:
    return f"{'expire' if one.expires else 'keep'}: {one.why}"


def _body(plan: ExpiryPlan, gone: _Gone) -> dict[str, object]:
    reasons = list(dict.fromkeys(map(_reason, plan.verdicts)))
    numbers = {reason: number for number, reason in enumerate(reasons)}
    return {
        "reasons": reasons,
        "verdicts": {
            one.snapshot: [numbers[_reason(one)], text_of_datetime(one.until)]
            for one in plan.verdicts
        },
        "generations": [
            {"generation": fate.generation, "dies": fate.dies, "why": fate.why}
            for fate in plan.fates
        ],
        "bytes_removed": gone.size_bytes,
        "kept_back": gone.kept_back,
        "left": [
            one.snapshot
            for one in plan.expired
            if one not in gone.points and one.snapshot not in gone.locked
        ],
        "lengthened": {
            one.snapshot: text_of_datetime(one.until)
            for one in plan.kept
            if one.until > one.recorded
        },
    }


def verdict_rows(plan: ExpiryPlan) -> list[tuple[str, ...]]:
    """The verdicts as rows of a table, with a head."""
    head = ("recovery point", "generation", "taken", "recorded until", "until", "verdict", "why")
    rows = [
        (
            one.snapshot[:8],
            one.generation,
            moment(one.taken_at),
            moment(one.recorded),
            moment(one.until),
            "expire" if one.expires else "keep",
            one.why,
        )
        for one in plan.verdicts
    ]
    return [head, *rows]
