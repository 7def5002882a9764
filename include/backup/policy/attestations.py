"""What a person vouches for, because no software can see it (3.5, 4.3, 7, 9), and until when.

    attestations:
      offsite_storage: {clauses: ["3.5"], says: the data centre is climate-controlled and guarded,
                        by: Anna Example, date: 2026-11-01, until: 2027-11-01, evidence: audit 42}

An attestation counts from its day on until the day on which it ends; by default nothing is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.document import Problems, pairs_of, quoted
from include.backup.policy.fields import DATE, TEXT, Each, Field, Section, Text, below
from include.backup.policy.model import CLAUSES

if TYPE_CHECKING:
    import datetime as dt

    from yaml.nodes import Node

_NAME: Final = "[a-z][a-z0-9_-]{0,62}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """One person's word."""

    name: str
    clauses: tuple[str, ...]
    says: str
    by: str
    date: dt.date
    until: dt.date  # the first day on which it does not count any more
    evidence: str = ""

    def counts(self, today: dt.date) -> bool:
        """Whether it does on a day."""
        return self.date <= today < self.until

    def to_json(self) -> dict[str, object]:
        """As plain values, for the policy that is kept and for `policy --json`."""
        document: dict[str, object] = {
            "clauses": list(self.clauses),
            "says": self.says,
            "by": self.by,
            "date": self.date.isoformat(),
            "until": self.until.isoformat(),
        }
        return document | ({"evidence": self.evidence} if self.evidence else {})


def _parse_clause(text: str) -> str:
    if text not in CLAUSES:
        raise ConfigurationInvalid(
            f"{quoted(text)} is no clause of the policy", hint=f"as in {', '.join(CLAUSES)}"
        )
    return text


_ATTESTATION: Final = Section(
    what="an attestation",
    fields={
        "clauses": Field(kind=Each(kind=Text(parse=_parse_clause)), meaning='as in ["3.5"]'),
        "says": Field(kind=TEXT, meaning="what is so"),
        "by": Field(kind=TEXT, meaning="who vouches for it"),
        "date": Field(kind=DATE, meaning="since when, as in 2026-11-01"),
        "until": Field(kind=DATE, meaning="when it ends: somebody has to look again by then"),
        "evidence": Field(kind=TEXT, meaning="where more is written about it", default=""),
    },
)


class Attestations:
    """The mapping of names to attestations."""

    def read(self, node: Node, path: str, problems: Problems) -> tuple[Attestation, ...]:
        """See fields.Kind.read."""
        pairs, repeated = pairs_of(node, path, problems, what="the attestations")
        for name, key_node in repeated.items():
            problems.add(key_node, below(path, name), "is written twice", "remove one of the two")
        found = []
        for name, (key_node, value_node) in pairs.items():
            here = below(path, name)
            if not re.fullmatch(_NAME, name):
                problems.add(key_node, path, f"{quoted(name)} cannot name an attestation")
            elif values := _ATTESTATION.read(value_node, here, problems):
                if values["until"] <= values["date"]:
                    problems.add(key_node, here, "ends before it begins", "write a later `until`")
                found.append(Attestation(name=name, **values))
        return tuple(found)

    def schema(self) -> dict[str, Any]:
        """See fields.Kind.schema."""
        return {
            "type": "object",
            "additionalProperties": False,
            "patternProperties": {f"^{_NAME}$": _ATTESTATION.schema()},
        }
