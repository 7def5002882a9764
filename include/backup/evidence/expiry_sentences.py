"""The sentences of retention (3.2): what is kept and why, what has gone, what should have."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.sentences import sentence
from include.backup.evidence.wording import Several, count, moment, size, some_of
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from include.backup.evidence.sentences import Subject
    from include.backup.policy.retention import RetentionVerdict

_CLAUSES: Final = ("3.2",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How the retention of a dataset stands after a run."""

    promised: timedelta  # the retention of its class
    kept: int  # recovery points
    lengths: Sequence[timedelta] = ()  # how long each of them is kept
    beyond: Sequence[RetentionVerdict] = ()  # of those, kept longer than their expiry
    future: int = 0  # of those, dated in the future
    gone: Sequence[datetime] = ()  # the times of recovery points that were removed
    generations: Sequence[str] = ()  # that were removed
    bytes_removed: int = 0
    next_at: datetime | None = None  # when the next recovery point expires
    in_doubt: str = ""  # why nothing expires
    on_hold: str = ""
    kept_back: Sequence[str] = ()  # what has expired, and a lock or somebody's need keeps
    clock_doubted: bool = False  # the ledger had said nothing for long: nothing was removed
    owner: str = ""


def retained(subject: Subject, found: Retention) -> str:
    """A verdict was given on every recovery point, and carried out."""
    risks = [
        f"nothing expires: in doubt, {found.in_doubt}" if found.in_doubt else "",
        f"{count(found.future, 'recovery point')} dated in the future: a clock is or was wrong"
        if found.future
        else "",
        "nothing was removed: the ledger had said nothing for more than a week, or a clock has "
        "jumped; what has expired goes with the next daily run"
        if found.clock_doubted
        else "",
    ]
    at_risk = any(risks)
    hint = f"look into it, then: holdfast suspicions resolve {subject.dataset}"
    return sentence(
        Verdict.AT_RISK if at_risk else Verdict.KEPT,
        _CLAUSES,
        subject,
        _kept(found),
        *(risk for risk in risks if risk),
        f"on hold: {found.on_hold}" if found.on_hold else "",
        _gone(found),
        *(f"not yet gone: {one}" for one in found.kept_back),
        f"owner {found.owner}" if at_risk and found.owner else "",
        f"hint: {hint}" if found.in_doubt else "",
    )


def already_running(subject: Subject, *, holder: str) -> str:
    """Another run removes what has expired."""
    return sentence(Verdict.KEPT, _CLAUSES, subject, f"what has expired is being removed: {holder}")


def not_removed(subject: Subject, *, reason: str, owner: str, overdue: bool, hint: str = "") -> str:
    """What has expired could not be removed, or nobody knows whether it was.

    Args:
        overdue: an earlier run had failed to remove it already.
    """
    return sentence(
        Verdict.BROKEN if overdue else Verdict.AT_RISK,
        _CLAUSES,
        subject,
        f"what has expired could not be removed: {reason}",
        "it should have gone with an earlier run, and is kept longer than promised"
        if overdue
        else "the next run goes on",
        f"owner {owner}" if owner else "",
        f"hint: {hint}" if hint else "",
    )


def hold_refused(subject: Subject, *, what: str, why: str) -> str:
    """Somebody wanted it, and nobody else did."""
    return sentence(Verdict.KEPT, _CLAUSES, subject, f"not done: {what}: {why}")


def _kept(found: Retention) -> str:
    lengths = found.lengths or (found.promised,)
    each = format_duration(min(lengths))
    if max(lengths) > min(lengths):
        each += f" to {format_duration(max(lengths))}"
    told = f"{count(found.kept, 'recovery point')} kept, each for {each}"
    reasons = Counter(one.why for one in found.beyond)
    if reasons:
        listed = "; ".join(f"{number:,} {why}" for why, number in reasons.items())
        told += f" ({listed})"
    if found.next_at is not None:
        told += f", the next expires {moment(found.next_at)}"
    return told


def _gone(found: Retention) -> str:
    if not found.gone and not found.generations:
        return "nothing else has expired" if found.beyond else "nothing has expired"
    told = []
    if found.gone:
        named = some_of(Several.of([moment(one) for one in found.gone]))
        told.append(f"{count(len(found.gone), 'recovery point')} expired and removed ({named})")
    if found.generations:
        named = some_of(Several.of(list(found.generations)))
        told.append(
            f"{count(len(found.generations), 'generation')} removed, the key first: {named}, "
            f"{size(found.bytes_removed)}"
        )
    return "; ".join(told)


def held(subject: Subject, *, hold: str, points: int, reason: str, by: str) -> str:
    """A hold began."""
    what = count(points, "recovery point") if points else "every recovery point"
    return sentence(
        Verdict.KEPT,
        _CLAUSES,
        subject,
        f"hold {hold}: {what} is kept until it is lifted, whatever its expiry: {reason}",
        f"approved by {by}",
    )


def not_held(subject: Subject, *, reason: str, hint: str = "") -> str:
    """A hold could not be put on: nothing is kept by it."""
    return sentence(
        Verdict.AT_RISK,
        _CLAUSES,
        subject,
        f"nothing is on hold: {reason}",
        f"hint: {hint}" if hint else "",
    )


def lifted(subject: Subject, *, hold: str, reason: str, by: str) -> str:
    """A hold ended."""
    return sentence(
        Verdict.KEPT,
        _CLAUSES,
        subject,
        f"hold {hold} is lifted: {reason}",
        f"approved by {by}",
        "what has expired meanwhile goes with the next run, unless another hold or a lock keeps it",
    )


def resolved(subject: Subject, *, reasons: Sequence[str], by: str, reason: str) -> str:
    """Somebody has looked into suspicious runs."""
    return sentence(
        Verdict.KEPT,
        _CLAUSES,
        subject,
        f"no longer in doubt: {some_of(Several.of(list(reasons)))}",
        f"{by}: {reason}",
        "what has expired meanwhile goes with the next run",
    )


def shortened(subject: Subject, *, points: int, retention: timedelta, reason: str, by: str) -> str:
    """Recovery points expire earlier than was promised."""
    return sentence(
        Verdict.KEPT,
        _CLAUSES,
        subject,
        f"{count(points, 'recovery point')} that were promised more are kept for "
        f"{format_duration(retention)} now: {reason}",
        f"approved by {by}",
        "a lock that lasts longer still does",
    )
