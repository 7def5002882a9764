"""The sentences of erasure requests: what must not come back with a restore (4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.evidence.sentences import sentence
from include.backup.evidence.wording import count, day
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.evidence.sentences import Subject

_CLAUSES: Final = ("4.3",)


def registered(
    subject: Subject, *, request: str, points: int, until: datetime | None, by: str
) -> str:
    """What was erased at the source is erased again from whatever is restored."""
    held = f"{count(points, 'recovery point')} may hold it" if points else "no copy holds it"
    expiry = f"; the last of them expires {day(until)}" if until else ""
    return sentence(
        Verdict.KEPT,
        _CLAUSES,
        subject,
        f"erasure {request} is carried out again after every restore",
        f"{held}{expiry}, and the stored bytes go with their generation",
        f"registered by {by}",
    )


def not_registered(subject: Subject, *, reason: str, hint: str = "") -> str:
    """The register is as it was."""
    return sentence(
        Verdict.AT_RISK,
        _CLAUSES,
        subject,
        f"the register of erasures was not changed: {reason}",
        f"hint: {hint}" if hint else "",
    )


def withdrawn(subject: Subject, *, request: str, reason: str, by: str) -> str:
    """A request is carried out no more."""
    return sentence(
        Verdict.KEPT,
        _CLAUSES,
        subject,
        f"erasure {request} was withdrawn",
        f"reason: {reason}; approved by {by}",
    )
