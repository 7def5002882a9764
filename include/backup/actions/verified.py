"""Recording a verification: the sentence, the record, and the report beside it (3.4, 4.2)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import NameTaken
from include.backup.evidence import verify_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.report import verification_page
from include.backup.evidence.wording import count
from include.backup.format.times import text_of_datetime
from include.backup.vault import bodies
from include.backup.vault.reports import report_name, seal_report
from include.backup.vault.verification import Level, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from include.backup.actions.acts import Act
    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.proving import Proof
    from include.backup.quality.judged import Judged
    from include.backup.quality.scratch import ScratchPlace

_MOST_FAULTS: Final = 1000  # in a record, of each recovery point


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a verification found, and how it was done."""

    proofs: Sequence[Proof]
    scratch: ScratchPlace | None
    slot: datetime | None
    seed: int
    swept: Sequence[str]
    forecast: timedelta | None  # of the restore of the newest, before it was tried


def record_verified(act: Act, found: Found) -> tuple[Outcome, list[str]]:
    """Record what was found; see verify.verify."""
    place = act.place
    proofs = found.proofs
    looked = [_looked(proof) for proof in proofs]
    extent = _extent(place, found)
    verdict = sentences.verdict_of(looked, extent)
    told = sentences.verified(place.subject, looked, extent, hint=_hint(found))
    faults = [
        f"recovery point {proof.chosen.point.snapshot[:8]}: {fault}"
        for proof in proofs
        for fault in proof.faults.texts
    ]
    details: dict[str, Any] = {
        **bodies.verified(
            proved=[proof.chosen.point.snapshot for proof in proofs if proof.is_proved],
            level=Level.lowest(proof.level for proof in proofs),
            verdict=verdict,
            passed=sentences.passed(looked, extent),
            restores=[_measured(proof) for proof in proofs if proof.level is not Level.BYTES],
            slot=found.slot,
        ),
        "seed": found.seed,
        "swept": list(found.swept),
        "place": extent.place,
        "forecast_seconds": None
        if found.forecast is None
        else round(found.forecast.total_seconds()),
        "points": [_details(proof) for proof in proofs],
    }
    if faults:
        details["suspicious"] = (
            f"a verification has found {count(len(faults), 'fault')}: {faults[0]}"
        )
    page = verification_page(
        place.subject,
        verdict=str(verdict),
        sentence=told,
        details=details,
        at=act.now(),
        act=act.id,
        by=place.setting.owner,
        limit=extent.limit,
    )
    details["report_sha256"] = _save_report(act, page.encode())
    what = f"{count(len(faults), 'fault')} found" if faults else _what(proofs)
    outcome = act.end(
        Kind.VERIFIED, details, say=lambda _: told, what=what, details={**details, "act": act.id}
    )
    return outcome, faults


def _extent(place: DatasetVault, found: Found) -> sentences.Extent:
    return sentences.Extent(
        place=found.scratch.address if found.scratch else "",
        limit=place.data_class.rto,
        missing=_missing(place, found.proofs) if found.scratch else "",
        encrypted=place.setting.datasets.verification.encrypted,
        forecast=found.forecast,
    )


def _save_report(act: Act, page: bytes) -> str:
    """Save the page before the record that names it; return the digest of the page."""
    place = act.place
    data = seal_report(page, place.provider(), dataset=place.dataset.name, act=act.id)
    keep_for = place.setting.policy.evidence_retention if place.vault.object_lock else None
    until = act.now() + keep_for if keep_for else None
    with suppress(NameTaken):  # an answer that was lost: the id is ours alone
        place.home.save(report_name(act.id), data, locked_until=until)
    return sha256(page).hexdigest()


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
        "tables": [one.to_json() for one in proof.tables],
        "faults": proof.faults.total,
        "faulty": list(proof.faults.texts[:_MOST_FAULTS]),
        **bodies.noted(proof.notes),
    }


def _measured(proof: Proof) -> Measured:
    return Measured(proof.size_bytes, max(1, round(proof.restoring.total_seconds())))


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


def _hint(found: Found) -> str:
    """What to do about it, if anything is known."""
    for proof in found.proofs:
        if proof.obstacle is not None:
            return proof.obstacle.hint
    if found.scratch is None:
        return "name a place for restores: verification in datasets.yaml, see the README"
    return ""
