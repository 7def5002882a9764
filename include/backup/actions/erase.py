"""Crypto-erasure: generations removed before their time, their keys first, on two people's word.

What is on hold is not erased, nor what a lock keeps: but who may bypass governance can remove the
envelopes alone where they are locked so. Then no key opens what is left, and expiry removes it when
its locks end. The record is the proof: which generations, by which envelope, who wanted it, who
approved it, and that no envelope of them is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.backup.actions.acts import Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.generation import locked_until
from include.backup.actions.open_acts import EXPIRE
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.removing import remove_envelopes, remove_generation
from include.backup.errors import ConfigurationInvalid, DamageFound, FileLocked
from include.backup.evidence import key_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count, moment
from include.backup.vault import bodies
from include.backup.vault.fold import BACK_UP
from include.backup.vault.generations import GenerationState
from include.backup.vault.layout import envelope_folder
from include.backup.vault.leases import Lease
from include.backup.vault.object_lock import may_bypass

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.actions.two_people import TwoPeople
    from include.backup.vault.generations import Generation
    from include.backup.vault.state import DatasetState


def erase(
    setting: Setting,
    name: str,
    order: TwoPeople,
    *,
    generation: str = "",
    bypass_governance: bool = False,
) -> Outcome:
    """Remove a generation, or all that is stored of a dataset but its evidence.

    Args:
        generation: its id; empty: all of them.
        bypass_governance: remove envelopes before their lock ends.

    Raises:
        ConfigurationInvalid: nobody approved it; there is no such generation.
        RecordRefused: something of it is on hold.
        AccessRefused: no right, or a lock.
        StorageError, AlreadyRunning.
    """
    order.require()
    place = DatasetVault.open_for_reading(setting, name, expiring=True)
    act = Act(place, EXPIRE)

    def failed(error: BaseException) -> str:
        return sentences.not_erased(place.subject, reason=reason_of(error), hint=hint_of(error))

    with (
        act.ending(failed),
        Lease.acquire(place.folder, EXPIRE, owner=act.owner, now=act.now()) as lease,
    ):
        state = act.begin(held=EXPIRE)
        wanted = _wanted(act, state, generation, bypass=bypass_governance)
        done = _Done()
        for one in wanted:
            lease.check()
            _erase(act, one, order, lease, done, bypass=bypass_governance)
        return _end(act, wanted, order, done)


@dataclass(slots=True)
class _Done:
    """What was removed, and what a lock keeps though no key opens it."""

    size_bytes: int = 0
    left: list[str] = field(default_factory=list)  # for people


def _wanted(act: Act, state: DatasetState, generation: str, *, bypass: bool) -> list[Generation]:
    """The generations that are to go. Nothing is touched if one of them cannot.

    Raises:
        ConfigurationInvalid: there is none, one is being written to, or is locked.
    """
    name = act.place.dataset.name
    wanted = [
        one
        for one in state.generations
        if one.state is not GenerationState.EXPIRED and generation in {"", one.id}
    ]
    if not wanted:
        raise ConfigurationInvalid(
            f"{name} has no {f'generation {generation}' if generation else 'generation'} to erase",
            hint="`keys list` tells which there are",
        )
    if any(one.action == BACK_UP for one in state.acts):
        raise ConfigurationInvalid(
            f"a backup of {name} is running", hint="wait for its end, or stop it, and erase then"
        )
    for one in wanted:
        until = locked_until(act.place, one, act.now())
        if until is not None and not (bypass and may_bypass(act.place.vault)):
            raise ConfigurationInvalid(
                f"generation {one.id} is locked until {moment(until)}; nothing was erased",
                hint="--bypass-governance, with the keys of a role that may"
                if may_bypass(act.place.vault)
                else "nobody can delete it before, in compliance; `envelope_lock: governance` of a "
                "vault lets a role erase what is saved from then on",
            )
    return wanted


def _end(act: Act, wanted: list[Generation], order: TwoPeople, done: _Done) -> Outcome:
    names = [one.id for one in wanted]
    told = sentences.erased(
        act.place.subject,
        generations=names,
        bytes_removed=done.size_bytes,
        left=done.left,
        reason=order.reason,
        by=order.approved_by,
        replicas=[one.vault for one in act.place.state().replicas],
    )
    body = {
        **order.to_json(),
        "generations": [
            {"generation": one.id, "key": one.key, "envelope_sha256": one.envelope_sha256}
            for one in wanted
        ],
        "bytes": done.size_bytes,
        "left": done.left,
    }
    what = f"{count(len(names), 'generation')} erased"
    return act.end(Kind.ERASED, body, say=lambda _: told, what=what, details={"generations": names})


def _erase(
    act: Act, generation: Generation, order: TwoPeople, lease: Lease, done: _Done, *, bypass: bool
) -> None:
    place = act.place
    about = bodies.of_generation(generation.id)
    if generation.state is GenerationState.OPENED:
        act.record(Kind.ABANDONED, about)
    if generation.state is not GenerationState.EXPIRING:
        act.record(Kind.EXPIRING, about | {"erased": True} | order.to_json())
    if bypass:  # an envelope in compliance is no success: the lock is told
        remove_envelopes(place.folder, generation.id)
    size_bytes = None
    try:
        size_bytes = remove_generation(place.folder, generation.id, go_on=lease.check)
    except FileLocked as error:
        if not bypass:
            raise
        done.left.append(f"generation {generation.id}: {error.message}")
    if any(True for _ in place.folder.list(envelope_folder(generation.id))):
        raise DamageFound(f"an envelope of {generation.id} is there again after it was removed")
    if size_bytes is not None:
        act.record(Kind.EXPIRED, about | {"bytes": size_bytes})
        done.size_bytes += size_bytes
