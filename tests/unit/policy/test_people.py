"""Who may approve a restore: trained by somebody else, and not too long ago."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.people import Person, Training, load_people, why_untrained

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)
TODAY = date(2026, 11, 26)
TEXT = """
people:
  anna:
    name: Anna Example
    role: operations
    trainings:
      - {course: Restore, date: 2026-03-01, valid_for: 365 days, certified_by: bob, evidence: "42"}
  carl:
    name: Carl Example
    role: operations
"""


def training(**values: object) -> Training:
    """One that counts."""
    usual: dict[str, object] = {
        "course": "Restore", "on": TODAY - 10 * DAY, "valid_for": 20 * DAY,
        "certified_by": "bob", "evidence": "42",
    }  # fmt: skip
    return Training(**{**usual, **values})  # type: ignore[arg-type]


def person(*trainings: Training) -> Person:
    return Person(user="anna", name="Anna", role="operations", trainings=trainings)


def test_people_are_read(tmp_path: Path) -> None:
    """No file is nobody."""
    assert load_people(tmp_path) == {}
    (tmp_path / "people.yaml").write_text(TEXT)
    people = load_people(tmp_path)
    assert why_untrained(people, "anna", TODAY) == ""
    assert why_untrained(people, "carl", TODAY) == "Carl Example (carl) has no training"
    assert why_untrained(people, "eve", TODAY) == "eve is not in people.yaml"
    assert why_untrained(people, "", TODAY) == "nobody is not in people.yaml"


@given(began=st.integers(-400, 400), length=st.integers(1, 400))
def test_a_training_counts_from_its_day_on_as_long_as_it_is_valid(began: int, length: int) -> None:
    """And not a day longer."""
    one = training(on=TODAY + began * DAY, valid_for=length * DAY)
    counts = began <= 0 < began + length
    assert (person(one).why_untrained(TODAY) == "") is counts


def test_nobody_certifies_himself() -> None:
    """But another training may count beside it."""
    own = training(certified_by="anna")
    assert "certified the training" in person(own).why_untrained(TODAY)
    assert person(own, training()).why_untrained(TODAY) == ""
    late = training(on=TODAY - 30 * DAY)
    assert person(late).why_untrained(TODAY).endswith("invalid since 2026-11-16")
    early = training(on=TODAY + 3 * DAY)
    assert person(early).why_untrained(TODAY).endswith("begins only on 2026-11-29")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("people: []", "no mapping"),
        ("[]", "not a file of people|no mapping"),
    ],
)
def test_a_file_that_cannot_be_understood(tmp_path: Path, text: str, told: str) -> None:
    """Names nobody."""
    (tmp_path / "people.yaml").write_text(text)
    with pytest.raises(ConfigurationInvalid, match=told):
        load_people(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("people: {anna: {name: Anna}}", "role: is missing"),
        ("people: {anna: {name: A, role: b, trainings: [{course: x}]}}", "date: is missing"),
        ("people: {a: {name: A, role: b}, a: {name: A, role: b}}", "is written twice"),
        (TEXT.replace("2026-03-01", "March"), "is no date"),
        (TEXT.replace("365 days", "for ever"), "for ever"),
    ],
)
def test_each_slip_is_told(tmp_path: Path, text: str, told: str) -> None:
    """With its place in the file; it takes the right of nobody else."""
    (tmp_path / "people.yaml").write_text(text)
    [one, *_] = load_people(tmp_path).values()
    assert told in one.why_untrained(TODAY)
    (tmp_path / "people.yaml").write_text(f"{TEXT}\n  odd: {{nam: x}}\n")
    known = load_people(tmp_path)
    assert known["anna"].why_untrained(TODAY) == ""
    assert "people.odd" in known["odd"].why_untrained(TODAY)


def test_who_is_written_otherwise_is_told(tmp_path: Path) -> None:
    """Users are known by name, letter by letter."""
    (tmp_path / "people.yaml").write_text(TEXT)
    assert "anna is" in why_untrained(load_people(tmp_path), "Anna", TODAY)


@pytest.mark.parametrize("who", ["anna", "ANNA ", "Anna", "anna example", "Example"])
def test_nobody_certifies_himself_by_another_spelling(who: str) -> None:
    """By user, by name, or by a part of it."""
    one = Person(
        user="anna",
        name="Anna Example",
        role="operations",
        trainings=(training(certified_by=who),),
    )
    assert one.training(TODAY) is None
    assert "certified the training" in one.why_untrained(TODAY)


def test_a_training_may_last_for_ever() -> None:
    """Or longer than the calendar."""
    one = training(on=date(9999, 1, 1), valid_for=36_000 * DAY)
    assert one.ends == date.max
