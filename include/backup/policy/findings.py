"""Findings: where the words of a policy and reality part, and the reading chosen.

Every figure is computed from the policy at hand. A policy without a contradiction has no finding
about it: the shipped one has all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.policy.durations import format_duration
from include.backup.policy.model import DataClass, Method, Policy
from include.backup.policy.proof import Proof, prove
from include.backup.policy.retention import KEPT_POINTS, longest_life

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date, datetime

_BEYOND_SOFTWARE: Final = ("3.5", "4.3", "7", "9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One gap between the words of the policy and reality."""

    key: str  # stable, for machines: "no-slack"
    clauses: tuple[str, ...]
    subject: str  # a class, or "" where it concerns the whole policy
    words: str  # what the policy says
    reality: str  # what follows from the words
    reading: str  # what is done about it


def findings(policy: Policy, *, last_review: date | None, now: datetime) -> tuple[Finding, ...]:
    """Every finding of a policy, by clause of the promise that does not hold as written.

    Args:
        last_review: the day of the newest recorded review; None when none was ever recorded.
        now: decides whether the review is overdue, and where the ten years of a proof begin.
    """
    found: list[Finding | None] = []
    for data_class in policy.classes:
        proof = prove(data_class, start=now.date())
        found += [
            _no_slack(data_class, proof),
            _retention_outlived(policy, data_class),
            _short_retention(data_class, proof),
            _untested(policy, data_class, proof),
        ]
    found += [
        _no_full(policy),
        _last_way_back(policy),
        _review(policy, last_review, now),
        _beyond_software(policy, now.date()),
    ]
    kept = [finding for finding in found if finding is not None]
    return tuple(sorted(kept, key=lambda finding: finding.clauses[0]))


def _no_slack(data_class: DataClass, proof: Proof) -> Finding | None:
    """1: the frequency, taken by its longest period, against the RPO."""
    age = data_class.frequency.longest + data_class.complete_within
    if age <= data_class.rpo and proof.feasible:
        return None
    return Finding(
        key="no-slack",
        clauses=("3.1", "4.1"),
        subject=data_class.name,
        words=f"{data_class.frequency} backups, and an RPO of {format_duration(data_class.rpo)}",
        reality=(
            f"{data_class.frequency} can mean {format_duration(data_class.frequency.longest)} "
            "between two backups; with a run of up to "
            f"{format_duration(data_class.complete_within)} the newest recovery point gets "
            f"{format_duration(age)} old"
        ),
        reading=(
            f"backed up {proof.schedule}: greatest age {format_duration(proof.greatest_age)}, "
            f"slack {format_duration(proof.slack)}"
            if proof.feasible
            else "none: this class cannot keep its promises"
        ),
    )


def _no_full(policy: Policy) -> Finding | None:
    """2: classes that would never get a full backup."""
    incremental = [one for one in policy.classes if one.method is Method.INCREMENTAL]
    if not incremental:
        return None
    return Finding(
        key="no-full-backup",
        clauses=("3.3",),
        subject="",
        words="; ".join(f"{one.name}: {one.frequency}, {one.method}" for one in policy.classes),
        reality=(
            f"{_names(incremental)} would never get a full backup, and each recovery point would "
            "rest for ever on the first one"
        ),
        reading=(
            f"full backups are taken {policy.full_backups} for every class, "
            f"{format_duration(policy.full_backups.interval)} apart; each opens a new generation "
            "that shares nothing with the one before"
        ),
    )


def _retention_outlived(policy: Policy, data_class: DataClass) -> Finding | None:
    """3: bytes of an incremental chain outlive the retention of each of its points."""
    if data_class.method is Method.FULL:
        return None
    interval = policy.full_backups.interval
    life = longest_life(data_class.retention, interval, policy.grace)
    return Finding(
        key="retention-outlived",
        clauses=("3.2", "3.3"),
        subject=data_class.name,
        words=f"{format_duration(data_class.retention)} retention of incremental backups",
        reality=(
            "an incremental cannot be restored without its full, which must live as long: "
            f"bytes live up to {format_duration(life)} "
            f"({format_duration(data_class.retention)} retention + {format_duration(interval)} "
            f"between fulls + {format_duration(policy.grace)} grace)"
        ),
        reading=(
            "each recovery point expires by its own retention; a generation is removed whole, "
            "when its last recovery point has expired"
        ),
    )


def _short_retention(data_class: DataClass, proof: Proof) -> Finding | None:
    """Beyond the list: a point that expires before the next one is sure to exist."""
    if data_class.retention >= proof.greatest_age:
        return None
    return Finding(
        key="retention-shorter-than-age",
        clauses=("3.2", "4.1"),
        subject=data_class.name,
        words=f"{format_duration(data_class.retention)} retention",
        reality=(
            f"the newest recovery point can get {format_duration(proof.greatest_age)} old: it "
            "expires before the next one exists"
        ),
        reading=f"the newest {KEPT_POINTS} recovery points never expire",
    )


def _last_way_back(policy: Policy) -> Finding:
    """4: retention against a dataset whose backups have stopped."""
    shortest = min(policy.classes, key=lambda one: one.retention)
    return Finding(
        key="last-way-back",
        clauses=("3.2",),
        subject="",
        words="; ".join(
            f"{one.name}: {format_duration(one.retention)} retention" for one in policy.classes
        ),
        reality=(
            "a dataset whose backups have stopped would lose its last way back: "
            f"{shortest.name} after {format_duration(shortest.retention)}"
        ),
        reading=(
            f"the newest {KEPT_POINTS} recovery points and the newest verified one never expire, "
            "which is recorded with its reason each day"
        ),
    )


def _untested(policy: Policy, data_class: DataClass, proof: Proof) -> Finding | None:
    """5: generations that expire before any test could have met them.

    A full opens a generation each full interval. Between two tests lies the longest period that
    the frequency of tests can mean; a generation that lives shorter than that is missed by both
    with the probability 1 - life / period, even if each test restored from every generation.
    """
    period, interval = policy.restore_tests.longest, policy.full_backups.interval
    if data_class.method is Method.FULL:
        interval, life = proof.interval, data_class.retention
    else:
        life = longest_life(data_class.retention, interval, policy.grace)
    missed, untested = 1 - life / period, 1 - interval / period
    if missed <= 0 and untested <= 0:
        return None
    at_least = (
        f"at least {missed:.0%} of them expire before a test could have met them; "
        if missed > 0
        else ""
    )
    return Finding(
        key="expire-untested",
        clauses=("3.4", "3.2"),
        subject=data_class.name,
        words=f"{policy.restore_tests} tests, {format_duration(data_class.retention)} retention",
        reality=(
            f"tests are up to {format_duration(period)} apart, a new generation begins every "
            f"{format_duration(interval)} and lives up to {format_duration(life)}: {at_least}"
            f"if each test restores the newest recovery point, {max(untested, 0):.0%} expire "
            "untested"
        ),
        reading=("the share is stated, not hidden; more frequent restore_tests lower it"),
    )


def _review(policy: Policy, last_review: date | None, now: datetime) -> Finding | None:
    """6: the review of the policy itself."""
    since = last_review or policy.effective
    due_by = since + policy.review.longest
    if now.date() <= due_by:
        return None
    late_days = (now.date() - due_by).days
    late = "1 day" if late_days == 1 else f"{late_days} days"
    return Finding(
        key="review-overdue",
        clauses=("8",),
        subject="",
        words=f"reviewed {policy.review}; effective since {policy.effective}",
        reality=(
            f"the last recorded review is of {last_review}"
            if last_review
            else "no review is recorded"
        )
        + f"; one was due by {due_by} and is {late} overdue",
        reading="overdue until `policy review --by WHO --note TEXT` records one",
    )


def _beyond_software(policy: Policy, today: date) -> Finding | None:
    """7: promises about people and buildings, for which nobody vouches today."""
    attested = {
        clause for one in policy.attestations if one.counts(today) for clause in one.clauses
    }
    left = tuple(clause for clause in _BEYOND_SOFTWARE if clause not in attested)
    if not left:
        return None
    over = [one for one in policy.attestations if one.until <= today]
    ended = "".join(f"; the attestation {one.name} of {one.by} ended {one.until}" for one in over)
    return Finding(
        key="beyond-software",
        clauses=left,
        subject="",
        words=(
            "offsite storage is climate-controlled and secure; personnel is trained; "
            "non-compliance has consequences"
        ),
        reality=f"no software can see whether this is so{ended}",
        reading=(
            "each needs the word of a person, with the day on which it ends (`attestations:` in "
            "policy.yaml): until then these clauses are NOT TESTED"
        ),
    )


def _names(classes: Iterable[DataClass]) -> str:
    def each() -> Iterator[str]:
        for data_class in classes:
            yield data_class.name

    *others, last = each()
    return f"{', '.join(others)} and {last}" if others else last
