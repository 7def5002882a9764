"""policy.yaml into a Policy, or every reason why it is none.

The file is read strictly: unknown keys, repeated keys and lengths of time without a unit are
errors, each with its path, its line and a hint. Whether the promises can be kept together is
another question, which `proof` answers.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import PolicyInvalid
from include.backup.policy.attestations import Attestations
from include.backup.policy.document import (
    Problems,
    as_error,
    pairs_of,
    parse_document,
    quoted,
    read_document,
)
from include.backup.policy.durations import parse_frequency
from include.backup.policy.fields import (
    DATE,
    DURATION,
    DURATION_OR_NONE,
    FREQUENCY,
    TEXT,
    TIME_OF_DAY,
    Field,
    Section,
    Text,
    below,
    choice,
)
from include.backup.policy.model import (
    DEFAULT_EVIDENCE_RETENTION,
    DEFAULT_GRACE,
    DEFAULT_START_AT,
    DataClass,
    Method,
    Policy,
)
from include.backup.policy.slots import parse_schedule

if TYPE_CHECKING:
    from datetime import timedelta

    from yaml.nodes import Node

CONFIG_FOLDER: Final = Path(__file__).parents[2] / "config"
DEFAULT_PATH: Final = CONFIG_FOLDER / "policy.yaml"
CLASS_NAME: Final = "[a-z][a-z0-9_-]{0,62}"


def _parse_schedule(text: str) -> str:
    parse_schedule(text, start_at=DEFAULT_START_AT)
    return " ".join(text.lower().split())


_CLASS: Final = Section(
    what="a class",
    fields={
        "frequency": Field(kind=FREQUENCY, meaning="3.1: how often it is backed up, as in daily"),
        "method": Field(kind=choice(*Method), meaning="3.3: incremental or full"),
        "retention": Field(
            kind=DURATION, meaning="3.2: how long a recovery point is kept, as in 30 days"
        ),
        "rpo": Field(
            kind=DURATION, meaning="4.1: greatest age of the newest recovery point, as in 48 hours"
        ),
        "rto": Field(
            kind=DURATION, meaning="4.2: from approved request to restored data, as in 48 hours"
        ),
        "complete_within": Field(
            kind=DURATION,
            meaning="longest time from scheduled start to recovery point, all attempts included, "
            "as in 12 hours",
        ),
        "schedule": Field(
            kind=Text(parse=_parse_schedule),
            meaning='cron or "every N days|hours", in UTC, instead of the derived schedule; '
            "refused unless proved to keep the RPO",
            default="",
        ),
        "start_at": Field(
            kind=TIME_OF_DAY, meaning='time of day in UTC, as in "01:00"', default=DEFAULT_START_AT
        ),
    },
)


class _Classes:
    """The mapping of class names to classes."""

    def read(self, node: Node, path: str, problems: Problems) -> tuple[DataClass, ...] | None:
        """See fields.Kind.read."""
        before = len(problems.found)
        pairs, repeated = pairs_of(node, path, problems, what="the classes of the policy")
        for name, key_node in repeated.items():
            problems.add(key_node, below(path, name), "is written twice", "remove one of the two")
        if not pairs and len(problems.found) == before:
            problems.add(node, path, "is empty", "a policy has at least one class")
        classes = []
        for name, (key_node, value_node) in pairs.items():
            if not re.fullmatch(CLASS_NAME, name):
                problems.add(
                    key_node,
                    below(path, name),
                    f"{quoted(name)} cannot name a class",
                    "use a-z, 0-9, _ and -, beginning with a letter",
                )
            if values := _CLASS.read(value_node, below(path, name), problems):
                values["method"] = Method(values["method"])
                classes.append(DataClass(name=name, **values))
        return tuple(classes)

    def schema(self) -> dict[str, Any]:
        """See fields.Kind.schema."""
        return {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "patternProperties": {f"^{CLASS_NAME}$": _CLASS.schema()},
        }


_POLICY: Final = Section(
    what="the policy",
    fields={
        "policy": Field(
            meaning="what the policy is: name, organization, effective",
            kind=Section(
                what="the policy's head",
                fields={
                    "name": Field(kind=TEXT, meaning="the title of the policy"),
                    "organization": Field(kind=TEXT, meaning="whose policy it is"),
                    "effective": Field(kind=DATE, meaning="in force since, as in 2023-01-01"),
                    "review": Field(
                        kind=FREQUENCY,
                        meaning="8: how often the policy is reviewed",
                        default=parse_frequency("annually"),
                    ),
                },
            ),
        ),
        "classes": Field(kind=_Classes(), meaning="2: the classes of data, with their promises"),
        "full_backups": Field(
            kind=FREQUENCY, meaning="3.3: how often each dataset gets a full backup, as in monthly"
        ),
        "restore_tests": Field(
            kind=FREQUENCY, meaning="3.4: how often a restore is tested, as in quarterly"
        ),
        "evidence_retention": Field(
            kind=DURATION,
            meaning="6: how long records and kept policies are locked where vaults have Object "
            "Lock, as in 1095 days",
            default=DEFAULT_EVIDENCE_RETENTION,
        ),
        "attestations": Field(
            kind=Attestations(),
            meaning="what a person vouches for, and until when: no software can see it",
            default=(),
        ),
        "grace": Field(
            kind=DURATION_OR_NONE,
            meaning="how long a generation may grow after the next full was due",
            default=DEFAULT_GRACE,
        ),
    },
)


def load_policy(path: Path | None = None) -> Policy:
    """The policy of a file; by default that of the project, include/config/policy.yaml.

    Raises:
        PolicyInvalid: one line for each problem; `path` is that of the first.
    """
    path = DEFAULT_PATH if path is None else path
    return _understand(read_document(path, file=path.name, kind=PolicyInvalid), path.name)


def parse_policy(data: bytes, *, file: str = "policy.yaml") -> Policy:
    """The policy in these bytes: a policy.yaml, or what `policy_text` wrote.

    Raises:
        PolicyInvalid: see load_policy.
    """
    return _understand(parse_document(data, file=file, kind=PolicyInvalid), file)


def _understand(node: Node | None, file: str) -> Policy:
    if node is None:
        raise PolicyInvalid(f"{file} is empty", hint="copy the one that Holdfast ships")
    problems = Problems(file)
    values = _POLICY.read(node, "", problems)
    if values is None or problems.found:
        raise as_error(PolicyInvalid, sorted(problems.found, key=lambda problem: problem.line))
    return Policy(**values.pop("policy"), **values)


def policy_schema() -> dict[str, Any]:
    """The JSON schema of policy.yaml, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Holdfast policy",
        **_POLICY.schema(),
    }


def policy_text(policy: Policy) -> str:
    """A policy as canonical JSON, which `parse_policy` reads back to an equal policy.

    It holds every promise and no default is left out, so that its hash says what was in force.
    """
    attested = {one.name: one.to_json() for one in policy.attestations}
    return json.dumps(
        {
            "policy": {
                "name": policy.name,
                "organization": policy.organization,
                "effective": policy.effective.isoformat(),
                "review": policy.review.words,
            },
            "classes": {one.name: _class_texts(one) for one in policy.classes},
            "full_backups": policy.full_backups.words,
            "restore_tests": policy.restore_tests.words,
            "evidence_retention": _duration_text(policy.evidence_retention),
            "grace": _duration_text(policy.grace),
            **({"attestations": attested} if attested else {}),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def policy_digest(policy: Policy) -> str:
    """The SHA-256 of `policy_text`, in hex: the name under which a proof may be remembered."""
    return hashlib.sha256(policy_text(policy).encode()).hexdigest()


def _class_texts(data_class: DataClass) -> dict[str, str]:
    texts = {
        "frequency": data_class.frequency.words,
        "method": data_class.method.value,
        "retention": _duration_text(data_class.retention),
        "rpo": _duration_text(data_class.rpo),
        "rto": _duration_text(data_class.rto),
        "complete_within": _duration_text(data_class.complete_within),
        "start_at": f"{data_class.start_at:%H:%M}",
    }
    return {**texts, "schedule": data_class.schedule} if data_class.schedule else texts


def _duration_text(length: timedelta) -> str:
    """Exact to the second, unlike what people are shown."""
    return f"{length.days} days {length.seconds} s"
