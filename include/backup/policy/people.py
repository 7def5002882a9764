"""Who may approve a restore: trained people, and until when (4.3, 7): `people.yaml`.

    people:
      anna:                                  the name of the user in Airflow
        name: Anna Example
        role: operations
        trainings:
          - {course: Restore with Holdfast, date: 2026-03-01, valid_for: 365 days,
             certified_by: bob, evidence: "intranet, training 42"}

A training counts from its day on, as long as it is valid, and only if somebody else certified it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import yaml

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.document import Problems, as_error, pairs_of, read_document
from include.backup.policy.fields import DATE, DURATION, TEXT, Each, Field, Section

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from pathlib import Path

FILE: Final = "people.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training of one person."""

    course: str
    on: date
    valid_for: timedelta
    certified_by: str
    evidence: str

    @property
    def ends(self) -> date:
        """The first day on which it does not count any more."""
        try:
            return self.on + self.valid_for
        except OverflowError:
            return date.max


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may be asked."""

    user: str  # the name in Airflow: ids are another thing with most of its auth managers
    name: str
    role: str
    trainings: tuple[Training, ...]
    trouble: str = ""  # why the entry cannot be used; the others can

    def training(self, today: date) -> Training | None:
        """What counts on a day: the one that lasts longest."""
        counting = [
            one
            for one in self.trainings
            if not self._is(one.certified_by) and one.on <= today < one.ends
        ]
        return max(counting, key=lambda one: one.ends, default=None)

    def _is(self, who: str) -> bool:
        """Whether it is this person, by user, by name, or by a part of the name."""
        said = who.strip().casefold()
        return said in {self.user.casefold(), self.name.casefold(), *self.name.casefold().split()}

    def why_untrained(self, today: date) -> str:
        """Why this person may not approve a restore on a day; empty: he or she may."""
        if self.trouble:
            return self.trouble
        if not self.trainings:
            return f"{self.name} ({self.user}) has no training"
        own = [one for one in self.trainings if self._is(one.certified_by)]
        counting = [one for one in self.trainings if one not in own]
        if not counting:
            return f"{self.name} ({self.user}) certified the training himself or herself"
        if self.training(today) is not None:
            return ""
        newest = max(counting, key=lambda one: one.ends)
        if newest.on > today:
            return f"the training of {self.name} ({self.user}) begins only on {newest.on}"
        return f"the training of {self.name} ({self.user}) has been invalid since {newest.ends}"


def why_untrained(people: Mapping[str, Person], user: str, today: date) -> str:
    """Why a user may not approve a restore on a day; empty: he or she may."""
    if (person := people.get(user)) is None:
        near = [known for known in people if known.casefold() == user.casefold()]
        meant = f"; {near[0]} is: users are known by name, letter by letter" if near else ""
        return f"{user or 'nobody'} is not in {FILE}{meant}"
    return person.why_untrained(today)


_TRAINING: Final = Section(
    what="a training",
    fields={
        "course": Field(kind=TEXT, meaning="what it was about"),
        "date": Field(kind=DATE, meaning="when it was, as in 2026-03-01"),
        "valid_for": Field(kind=DURATION, meaning="how long it counts, as in 365 days"),
        "certified_by": Field(kind=TEXT, meaning="the user, or the name, of somebody else"),
        "evidence": Field(kind=TEXT, meaning="where the certificate is"),
    },
)
_PERSON: Final = Section(
    what="a person",
    fields={
        "name": Field(kind=TEXT, meaning="in full"),
        "role": Field(kind=TEXT, meaning="as in operations"),
        "trainings": Field(kind=Each(kind=_TRAINING), meaning="7: one or more", default=()),
    },
)


def people_schema() -> dict[str, Any]:
    """The JSON schema of people.yaml, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Holdfast people",
        "type": "object",
        "properties": {
            "people": {"type": "object", "additionalProperties": _PERSON.schema()},
        },
        "required": ["people"],
        "additionalProperties": False,
    }


def load_people(folder: Path) -> dict[str, Person]:
    """The people of a configuration, by user; none where there is no file.

    An entry that cannot be used takes nobody else's right: it says what is wrong with it.

    Raises:
        ConfigurationInvalid: the file cannot be understood.
    """
    if not (folder / FILE).exists():
        return {}
    root = read_document(folder / FILE, file=FILE, kind=ConfigurationInvalid)
    if root is None:
        return {}
    problems = Problems(FILE)
    pairs, _ = pairs_of(root, "", problems, what="a file of people")
    node = pairs["people"][1] if "people" in pairs else None
    if not isinstance(node, yaml.MappingNode):
        problems.add(root, "people", "is missing, or no mapping", "write `people:` and users below")
        raise as_error(ConfigurationInvalid, problems.found)
    users, repeated = pairs_of(node, "people", problems, what="people by user")
    found = {}
    for user, (_, value) in users.items():
        own = Problems(FILE)
        if user in repeated:
            own.add(repeated[user], f"people.{user}", "is written twice", "remove one of the two")
        read = _PERSON.read(value, f"people.{user}", own)
        if own.found or read is None:
            trouble = str(as_error(ConfigurationInvalid, own.found))
            found[user] = Person(user=user, name=user, role="", trainings=(), trouble=trouble)
        else:
            found[user] = _person(user, read)
    return found


def _person(user: str, read: dict[str, Any]) -> Person:
    trainings = tuple(
        Training(
            course=one["course"],
            on=one["date"],
            valid_for=one["valid_for"],
            certified_by=one["certified_by"],
            evidence=one["evidence"],
        )
        for one in read["trainings"]
    )
    return Person(user=user, name=read["name"], role=read["role"], trainings=trainings)
