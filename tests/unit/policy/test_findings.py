"""Findings: computed from the policy at hand, never repeated from the shipped one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import PolicyInvalid
from include.backup.policy.findings import Finding, findings
from include.backup.policy.load import load_policy, parse_policy, policy_text

if TYPE_CHECKING:
    from include.backup.policy.model import Policy

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SOUND = """\
policy: {name: Sound, organization: Example, effective: 2026-01-01}
classes:
  all: {frequency: daily, method: full, retention: 400 days,
        rpo: 72 h, rto: 1 day, complete_within: 2 h}
full_backups: daily
restore_tests: daily
"""


def found(policy: Policy, *, last_review: date | None = None) -> dict[tuple[str, str], Finding]:
    every = findings(policy, last_review=last_review, now=NOW)
    assert len({(one.key, one.subject) for one in every}) == len(every)
    return {(one.key, one.subject): one for one in every}


def test_the_shipped_policy_has_its_contradictions() -> None:
    """Each gap of the written policy is found, with the clauses and figures of the design."""
    every = found(load_policy())
    assert set(every) == {
        ("no-slack", "important"),
        ("no-slack", "non_essential"),
        ("no-full-backup", ""),
        ("retention-outlived", "critical"),
        ("retention-outlived", "important"),
        ("last-way-back", ""),
        ("expire-untested", "critical"),
        ("expire-untested", "important"),
        ("expire-untested", "non_essential"),
        ("review-overdue", ""),
        ("beyond-software", ""),
    }
    weekly = every["no-slack", "important"]
    assert weekly.clauses == ("3.1", "4.1")
    assert "gets 7 days 12 h old" in weekly.reality
    assert "every 6 days at 01:00 UTC: greatest age 6 days 12 h, slack 12 h" in weekly.reading
    monthly = every["no-slack", "non_essential"]
    assert "can mean 31 days" in monthly.reality
    assert "gets 32 days 12 h old" in monthly.reality
    assert every["no-full-backup", ""].reality.startswith("critical and important would never")
    assert "bytes live up to 65 days" in every["retention-outlived", "critical"].reality
    assert "bytes live up to 125 days" in every["retention-outlived", "important"].reality
    assert "at least 29% of them expire" in every["expire-untested", "critical"].reality
    assert "at least" not in every["expire-untested", "important"].reality
    assert every["expire-untested", "critical"].reality.endswith("70% expire untested")


def test_a_sound_policy_has_only_what_no_policy_can_avoid() -> None:
    """Findings follow from the numbers: without the contradiction there is no finding."""
    assert set(found(parse_policy(SOUND.encode()))) == {
        ("last-way-back", ""),
        ("beyond-software", ""),
    }


@pytest.mark.parametrize(
    ("old", "new", "key", "figure"),
    [
        ("rpo: 72 h", "rpo: 25 h", "no-slack", "every 22 hours"),
        ("retention: 400 days", "retention: 12 h", "retention-shorter-than-age", "26 h"),
        ("method: full", "method: incremental", "retention-outlived", "up to 408 days"),
        ("restore_tests: daily", "restore_tests: every 4 days", "expire-untested", "75%"),
    ],
)
def test_another_policy_has_other_findings(old: str, new: str, key: str, figure: str) -> None:
    """One changed number makes one contradiction, and its figures are those of that number."""
    every = found(parse_policy(SOUND.replace(old, new).encode()))
    [finding] = [one for (name, _), one in every.items() if name == key]
    assert figure in finding.reality + finding.reading


def test_an_infeasible_class_has_no_reading() -> None:
    """Where no schedule keeps the promises, the finding says so instead of inventing one."""
    text = SOUND.replace("rpo: 72 h", "rpo: 2 h")
    finding = found(parse_policy(text.encode()))["no-slack", "all"]
    assert finding.reading == "none: this class cannot keep its promises"


def test_a_review_is_overdue_a_year_after_the_last() -> None:
    """From the effective date, or from the last recorded review, a year may pass."""
    policy = load_policy()
    assert "1057 days overdue" in found(policy)["review-overdue", ""].reality
    assert "no review is recorded" in found(policy)["review-overdue", ""].reality
    assert ("review-overdue", "") not in found(policy, last_review=date(2025, 11, 24))
    late = found(policy, last_review=date(2025, 11, 20))["review-overdue", ""]
    assert "of 2025-11-20; one was due by 2026-11-21 and is 3 days overdue" in late.reality


ATTESTED = """
attestations:
  storage: {clauses: ["3.5"], says: cool and guarded, by: Anna, date: 2026-01-01, until: 2027-01-01}
  people: {clauses: ["4.3", "7", "9"], says: trained, by: Bob, date: 2026-01-01, until: 2026-06-01,
           evidence: "intranet, 42"}
"""


@pytest.mark.parametrize(
    ("today", "left"),
    [
        ("2025-12-31", ("3.5", "4.3", "7", "9")),
        ("2026-01-01", None),
        ("2026-05-31", None),
        ("2026-06-01", ("4.3", "7", "9")),
        ("2027-01-01", ("3.5", "4.3", "7", "9")),
    ],
)
def test_what_somebody_vouches_for_is_no_finding_until_it_ends(
    today: str, left: tuple[str, ...] | None
) -> None:
    """From its day on; when it has ended it is one again, which says whose word it was."""
    policy = parse_policy((SOUND + ATTESTED).encode())
    assert parse_policy(policy_text(policy).encode()) == policy
    moment = datetime.fromisoformat(f"{today}T12:00:00+00:00")
    every = {one.key: one for one in findings(policy, last_review=None, now=moment)}
    assert ("beyond-software" in every) == (left is not None)
    if left is not None:
        assert every["beyond-software"].clauses == left
        ended = "the attestation people of Bob ended 2026-06-01"
        assert (ended in every["beyond-software"].reality) == (today >= "2026-06-01")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("2027-01-01", "2025-01-01", "ends before it begins"),
        ('"3.5"', '"3.9"', "is no clause of the policy"),
        ("storage:", "Storage:", "cannot name an attestation"),
    ],
)
def test_a_slip_in_an_attestation_is_told(old: str, new: str, told: str) -> None:
    """With its line, as everywhere in these files."""
    with pytest.raises(PolicyInvalid, match=told):
        parse_policy((SOUND + ATTESTED.replace(old, new)).encode())
