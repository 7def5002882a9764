"""What may be written about recoveries in datasets.yaml: what a forecast of a whole class needs.

recovery:
workers: 4            restores that are under way at a time
approval: 1 hour      from the request until somebody has approved it
approve_within: 4 hours   after that a request has been refused: nobody answered
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.document import quoted
from include.backup.policy.durations import HOUR
from include.backup.policy.fields import DURATION, DURATION_OR_NONE, Field, Section, Text

if TYPE_CHECKING:
    from datetime import timedelta

_WORKERS: Final = 2
_APPROVE_WITHIN: Final = 4 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySettings:
    """How many datasets are restored at a time, and how long it takes until one may begin."""

    workers: int = _WORKERS
    approval: timedelta = HOUR
    approve_within: timedelta = _APPROVE_WITHIN


def _parse_workers(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise ConfigurationInvalid(f"{quoted(text)} is no number of workers", hint="as in 4")
    return int(text)


_SECTION: Final = Section(
    what="recovery",
    fields={
        "workers": Field(
            kind=Text(parse=_parse_workers), meaning="restores at a time, as in 4", default=_WORKERS
        ),
        "approval": Field(
            kind=DURATION_OR_NONE, meaning="how long an approval takes, as in 1 hour", default=HOUR
        ),
        "approve_within": Field(
            kind=DURATION,
            meaning="4.3: how long a request waits for an answer, as in 4 hours",
            default=_APPROVE_WITHIN,
        ),
    },
)
RECOVERY: Final = Field(
    kind=_SECTION, meaning="4.2: what a forecast of a whole class needs", default=None
)


def recovery_of(values: dict[str, Any] | None) -> RecoverySettings:
    """Settings from what the table has read."""
    return RecoverySettings() if values is None else RecoverySettings(**values)
