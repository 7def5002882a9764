"""Verifying a dataset: its recovery points are restored and looked at, in time, and recorded (3.4).

choose → sweep → prove one after the other → record verified, whatever was found
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.actions.acts import VERIFY, Act
from include.backup.actions.choosing import Order, find_point
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_scratch import open_scratch
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.proving import prove
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence import verify_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count
from include.backup.format.times import text_of_datetime
from include.backup.quality.expectations import require_known
from include.backup.repository.progress import Progress
from include.backup.vault import bodies
from include.backup.vault.verification import Chosen, Level, choose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.proving import Proof
    from include.backup.actions.setting import Setting
    from include.backup.quality.judged import Judged
    from include.backup.quality.scratch import ScratchPlace
    from include.backup.vault.state import DatasetState

log = logging.getLogger(__name__)

_MOST_FAULTS: Final = 1000  # in a record, of each recovery point
_SEEDS: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOrder:
    """What is verified."""

    recovery_point: str = ""  # the beginning of a snapshot id; empty: those that are due
    seed: int | None = None  # of the draw; None: a new one
    slot: datetime | None = None  # what it completes on the schedule


def verify(
    setting: Setting, name: str, order: VerifyOrder, *, progress: Progress | None = None
) -> tuple[Outcome, list[str]]:
    """Verify recovery points of a dataset.

    Returns:
        The outcome, and one text for each fault; none means that what was looked at is whole.

    Raises:
        ConfigurationInvalid: there is no such recovery point, or no place for restores.
        KeyUnusable, StorageError, RestoreRefused: nothing could be looked at.
    """
    place = DatasetVault.open_for_reading(setting, name)
    act = Act(place, VERIFY)
    try:
        state = act.begin()
        seed = secrets.randbelow(_SEEDS) if order.seed is None else order.seed
        chosen = _choose(act, state, order, seed)
        wanted = setting.expectations(name)
        require_known(wanted)
        scratch = open_scratch(place)
        swept = _sweep(act, scratch)
        progress = progress or Progress()
        proofs = [prove(act, one, scratch, wanted, progress) for one in chosen]
    except BaseException as error:
        told = sentences.verification_failed(
            place.subject, reason=reason_of(error), hint=hint_of(error)
        )
        error.outcome = act.fail(error, sentence=told)  # type: ignore[attr-defined]
        raise
    return _end(act, proofs, scratch, order, {"seed": seed, "swept": swept})


def _choose(act: Act, state: DatasetState, order: VerifyOrder, seed: int) -> list[Chosen]:
    now = act.now()
    if order.recovery_point:
        asked = Order(recovery_point=order.recovery_point, address="", requested_by="")
        return [Chosen(find_point(state, asked, now=now), "asked for")]
    if not state.sound_points:
        raise ConfigurationInvalid(
            "there is no recovery point that is known to be whole",
            hint="back it up first; `check DATASET --read-data` says what is damaged",
        )
    outlives = now + act.place.data_class.rto
    chosen = choose(state, outlives=outlives, seed=seed)
    if not chosen:
        raise ConfigurationInvalid(
            "every recovery point expires before a verification of it would have to end",
            hint="back it up; or name one: --recovery-point ID",
        )
    return chosen


def _sweep(act: Act, scratch: ScratchPlace | None) -> list[str]:
    swept = [] if scratch is None else scratch.sweep(act.now())
    for one in swept:
        log.warning("%s: removed what a verification that was killed had left", one)
    return swept


def _end(
    act: Act,
    proofs: Sequence[Proof],
    scratch: ScratchPlace | None,
    order: VerifyOrder,
    drawn: dict[str, object],
) -> tuple[Outcome, list[str]]:
    """Record what was found."""
    place = act.place
    looked = [_looked(proof) for proof in proofs]
    extent = sentences.Extent(
        place=scratch.address if scratch else "",
        limit=place.data_class.rto,
        missing=_missing(place, proofs) if scratch else "",
        encrypted=place.setting.datasets.verification.encrypted,
    )
    told = sentences.verified(place.subject, looked, extent, hint=_hint(proofs, scratch))
    faults = [
        f"recovery point {proof.chosen.point.snapshot[:8]}: {fault}"
        for proof in proofs
        for fault in proof.faults.texts
    ]
    body = bodies.verified(
        proved=[proof.chosen.point.snapshot for proof in proofs if proof.is_proved],
        level=Level.lowest(proof.level for proof in proofs),
        passed=sentences.passed(looked, extent),
        slot=order.slot,
    )
    details = {**drawn, "place": extent.place, "points": [_details(proof) for proof in proofs]}
    what = f"{count(len(faults), 'fault')} found" if faults else _what(proofs)
    outcome = act.end(
        Kind.VERIFIED, body | details, say=lambda _: told, what=what, details=body | details
    )
    return outcome, faults


def _missing(place: DatasetVault, proofs: Sequence[Proof]) -> str:
    """Facts are enough, but for the class that has the least time to lose and to recover."""
    if place.data_class.name != place.setting.policy.most_critical.name:
        return ""
    if Level.lowest(proof.level for proof in proofs) is Level.EXPECTATIONS:
        return ""
    return (
        "nobody has written down what users expect of this data, which its class needs "
        f"(expectations/{place.dataset.name}.yaml)"
        if not any(one.by_user for proof in proofs for one in proof.judged)
        else "what users expect of this data could not be judged, which its class needs"
    )


def _what(proofs: Sequence[Proof]) -> str:
    if any(proof.obstacle for proof in proofs):
        return "could not be verified"
    return f"{count(len(proofs), 'recovery point')} whole ({proofs[0].level})"


def _looked(proof: Proof) -> sentences.Looked:
    return sentences.Looked(
        taken_at=proof.chosen.point.taken_at,
        contents=proof.contents,
        size_bytes=proof.size_bytes,
        took=proof.restoring,
        faults=proof.faults,
        obstacle=proof.obstacle.message if proof.obstacle else "",
        expected=sum(one.by_user and one.verdict.met is True for one in proof.judged),
        unjudged=proof.unjudged,
    )


def _details(proof: Proof) -> dict[str, object]:
    """One recovery point in the record."""
    point = proof.chosen.point
    return {
        "snapshot": point.snapshot,
        "generation": point.generation,
        "taken_at": text_of_datetime(point.taken_at),
        "why": proof.chosen.why,
        "level": str(proof.level),
        "whole": proof.is_whole,
        "contents": proof.contents,
        "bytes": proof.size_bytes,
        "restore_seconds": round(proof.restoring.total_seconds()),
        "compare_seconds": round(proof.comparing.total_seconds()),
        "judge_seconds": round(proof.judging.total_seconds()),
        "expectations": [_expectation(one) for one in proof.judged[:_MOST_FAULTS]],
        "obstacle": proof.obstacle.message if proof.obstacle else "",
        "faults": proof.faults.total,
        "faulty": list(proof.faults.texts[:_MOST_FAULTS]),
        **bodies.noted(proof.notes),
    }


def _expectation(one: Judged) -> dict[str, object]:
    """One expectation in the record: counts, and no value of a row."""
    found = one.verdict
    told: dict[str, object] = {
        "of": one.subject,
        "expected": one.text,
        "by": "users" if one.by_user else "facts",
        "met": found.met,
    }
    if found.elements is not None and found.unexpected is not None:
        told |= {"looked_at": found.elements, "not_so": found.unexpected}
    return told | ({"why": found.why} if found.why else {})


def _hint(proofs: Sequence[Proof], scratch: ScratchPlace | None) -> str:
    """What to do about it, if anything is known."""
    for proof in proofs:
        if proof.obstacle is not None:
            return proof.obstacle.hint
    if scratch is None:
        return "name a place for restores: verification in datasets.yaml, see the README"
    return ""
