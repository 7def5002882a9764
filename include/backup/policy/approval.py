"""Whether a restore may go on: what was answered, by whom, and whether they may (4.3, 7).

nobody answered in time   refused
rejected                  refused
by who asked for it       refused: four eyes
by who is not trained     refused, and why is told
otherwise                 approved, for a day
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from include.backup.evidence.fields import Fields
from include.backup.format.times import text_of_datetime
from include.backup.policy.durations import format_duration
from include.backup.policy.people import why_untrained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.evidence.fields import JsonObject
    from include.backup.policy.people import Person

LASTS: Final = timedelta(days=1)  # an approval; what is done later needs another one


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking."""

    approved: bool
    by: str  # the user; empty: nobody
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Somebody trained has approved a restore."""

    by: str
    name: str
    at: datetime
    course: str
    trained_until: str  # the day on which the training counts no more

    def to_json(self) -> dict[str, object]:
        """As records hold it."""
        return {
            "approved_by": self.by,
            "approved_by_name": self.name,
            "approved_at": text_of_datetime(self.at),
            "course": self.course,
            "trained_until": self.trained_until,
        }

    @classmethod
    def of_json(cls, body: JsonObject) -> Approval:
        """Read what `to_json` made.

        Raises:
            LedgerBroken: it is none.
        """
        fields = Fields(body, what="an approval")
        return cls(
            by=fields.text("approved_by"),
            name=fields.text("approved_by_name"),
            at=fields.moment("approved_at"),
            course=fields.text("course"),
            trained_until=fields.text("trained_until"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A restore may not go on."""

    why: str
    hint: str = ""
    nobody: bool = False  # nobody answered: no control has held, nobody was there


def judge_answer(
    answer: Answer,
    *,
    requested_by: str,
    people: Mapping[str, Person],
    waited: timedelta,
) -> Approval | Refusal:
    """Judge an answer to a request.

    Args:
        requested_by: the user who asked; empty: nobody knows.
        people: by user.
        waited: how long somebody could have answered.
    """
    if (refusal := judge_four_eyes(answer, requested_by=requested_by, waited=waited)) is not None:
        return refusal
    today = answer.at.date()
    if why := why_untrained(people, answer.by, today):
        return Refusal(
            why=f"approved by {answer.by}, who may not: {why}",
            hint="somebody who is trained approves: `holdfast people` lists who may",
        )
    person = people[answer.by]
    training = person.training(today)
    assert training is not None
    return Approval(
        by=answer.by,
        name=person.name,
        at=answer.at,
        course=training.course,
        trained_until=training.ends.isoformat(),
    )


def judge_four_eyes(answer: Answer, *, requested_by: str, waited: timedelta) -> Refusal | None:
    """Judge an answer for which it is enough that two people agree; None: they do.

    Args:
        requested_by, waited: see `judge_answer`.
    """
    if not answer.by:
        return Refusal(
            why=f"nobody answered within {format_duration(waited)}",
            hint="ask again, and call somebody who may approve: `holdfast people`",
            nobody=True,
        )
    if not answer.approved:
        return Refusal(why=f"{answer.by} rejected it")
    if not requested_by:
        return Refusal(
            why="nobody knows who asked for it, so that nobody can say that two people agree",
            hint="start the run in the UI, or by the API, as yourself",
        )
    if answer.by.casefold() == requested_by.casefold():
        return Refusal(
            why=f"{answer.by} asked for it, and may not approve it as well (four eyes)",
            hint="somebody else approves: `holdfast people` lists who may",
        )
    return None
