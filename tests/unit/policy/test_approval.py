"""Who may approve what: no answer, the wrong person, and the right one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import LedgerBroken
from include.backup.policy.approval import Answer, Approval, Refusal, judge_answer
from include.backup.policy.people import Person, Training

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
VALID = Training(
    course="Restore with Holdfast",
    on=date(2026, 3, 1),
    valid_for=timedelta(days=365),
    certified_by="dora",
    evidence="intranet",
)


def person(user: str, *trainings: Training) -> Person:
    return Person(user=user, name=user.title(), role="operations", trainings=trainings)


PEOPLE = {
    one.user: one
    for one in (
        person("bob", VALID),
        person("anna", VALID),
        person("late", replace(VALID, on=date(2024, 3, 1))),
        person("own", replace(VALID, certified_by="own")),
        person("none"),
    )
}
YES = Answer(approved=True, by="bob", at=NOW)


def judged(answer: Answer, by: str = "anna") -> Approval | Refusal:
    return judge_answer(answer, requested_by=by, people=PEOPLE, waited=timedelta(hours=4))


def test_somebody_else_who_is_trained_approves() -> None:
    """The approval holds who, when, and why they may; it is the same after it was written down."""
    approval = judged(YES)
    assert approval == Approval(
        by="bob", name="Bob", at=NOW, course="Restore with Holdfast", trained_until="2027-03-01"
    )
    assert isinstance(approval, Approval)
    assert Approval.of_json(approval.to_json()) == approval
    with pytest.raises(LedgerBroken, match="approved_by"):
        Approval.of_json({})


@pytest.mark.parametrize(
    ("answer", "by", "why"),
    [
        (replace(YES, by=""), "anna", "nobody answered within 4 h"),
        (replace(YES, approved=False), "anna", "bob rejected it"),
        (YES, "bob", "bob asked for it, and may not approve it as well"),
        (YES, "BOB", "bob asked for it, and may not approve it as well"),
        (YES, "", "nobody knows who asked for it"),
        (replace(YES, by="eve"), "anna", "eve is not in people.yaml"),
        (replace(YES, by="none"), "anna", "None (none) has no training"),
        (replace(YES, by="own"), "anna", "certified the training himself or herself"),
        (replace(YES, by="late"), "anna", "has been invalid since 2025-03-01"),
    ],
)
def test_everything_else_is_refused(answer: Answer, by: str, why: str) -> None:
    """With the reason; only a missing answer is nobody's."""
    refusal = judged(answer, by)
    assert isinstance(refusal, Refusal)
    assert why in refusal.why
    assert refusal.nobody == (not answer.by)


@given(
    approved=st.booleans(),
    by=st.sampled_from(["", *PEOPLE, "eve"]),
    asked=st.sampled_from(["", *PEOPLE, "eve"]),
    days=st.integers(-2000, 2000),
)
def test_no_approval_without_two_people_one_of_them_trained(
    approved: bool, by: str, asked: str, days: int
) -> None:
    """Whatever is answered by whomever on whatever day."""
    at = NOW + timedelta(days=days)
    found = judged(Answer(approved=approved, by=by, at=at), asked)
    if isinstance(found, Approval):
        assert approved
        assert by
        assert asked
        assert by != asked
        training = PEOPLE[by].training(at.date())
        assert training is not None
        assert training.certified_by != by
        assert training.on <= at.date() < training.ends
        assert found.trained_until == training.ends.isoformat()
