"""The sentences about keys: rotated, erased (3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.evidence.sentences import sentence
from include.backup.evidence.wording import Several, count, size, some_of
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.evidence.sentences import Subject

_CLAUSES: Final = ("3.3",)


def rotated(
    subject: Subject,
    *,
    key: str,
    rewrapped: Sequence[str],
    left: Sequence[str],
    replicas: Sequence[str] = (),
) -> str:
    """Every generation opens with a master key.

    Args:
        left: old envelopes that a lock keeps: whoever has the old key can still open these.
        replicas: vaults that hold copies, which follow with the next replication.
    """
    done = (
        f"{count(len(rewrapped), 'generation')} opened and wrapped anew, no data was moved"
        if rewrapped
        else "every generation did already"
    )
    kept = (
        f"{count(len(left), 'old envelope')} locked, which the old key still opens: "
        f"{some_of(Several.of(list(left)))}"
        if left
        else "no other key opens any of it here"
    )
    return sentence(
        Verdict.AT_RISK if left or replicas else Verdict.KEPT,
        _CLAUSES,
        subject,
        f"opens with master key {key}",
        done,
        kept,
        f"{_follow(replicas)}: until then the old key opens them" if replicas else "",
        "hint: keep the old key until `keys rotate` finds none left" if left else "",
    )


def not_rotated(subject: Subject, *, key: str, reason: str, hint: str = "") -> str:
    """Not every generation opens with the new key yet."""
    return sentence(
        Verdict.AT_RISK,
        _CLAUSES,
        subject,
        f"not everything opens with master key {key} yet: {reason}",
        "what was done stays, and the next run goes on; keep both keys",
        f"hint: {hint}" if hint else "",
    )


def erased(
    subject: Subject,
    *,
    generations: Sequence[str],
    bytes_removed: int,
    reason: str,
    by: str,
    left: Sequence[str] = (),
    replicas: Sequence[str] = (),
) -> str:
    """Generations were removed before their time, their keys first.

    Args:
        left: what a lock keeps, though no key opens it any more; for people.
        replicas: vaults that hold copies, which follow with the next replication.
    """
    return sentence(
        Verdict.AT_RISK if replicas else Verdict.KEPT,
        _CLAUSES,
        subject,
        f"{count(len(generations), 'generation')} erased before its time, the key first: "
        f"{some_of(Several.of(list(generations)))}, {size(bytes_removed)}",
        f"no key opens what a lock keeps: {some_of(Several.of(list(left)))}" if left else "",
        _follow(replicas) if replicas else "",
        reason,
        f"approved by {by}",
    )


def _follow(replicas: Sequence[str]) -> str:
    return f"the copies in {', '.join(replicas)} follow with the next replication"


def not_erased(subject: Subject, *, reason: str, hint: str = "") -> str:
    """Not all that was to be erased is."""
    return sentence(
        Verdict.AT_RISK,
        _CLAUSES,
        subject,
        f"not all that was to be erased is: {reason}",
        f"hint: {hint}" if hint else "",
    )
