"""The policy as facts: each promise beside the clause where it stands.

Nothing here decides anything. What follows from the promises is worked out in `schedule`,
`proof`, `retention`, `objectives` and `findings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from include.backup.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from include.backup.policy.attestations import Attestation
    from include.backup.policy.durations import Frequency

CLAUSES: Final = {
    "3.1": "Frequency of Backups",
    "3.2": "Backup Retention",
    "3.3": "Backup Methods",
    "3.4": "Backup Testing",
    "3.5": "Backup Media Handling",
    "4.1": "Recovery Point Objective (RPO)",
    "4.2": "Recovery Time Objective (RTO)",
    "4.3": "Data Restoration Procedure",
    "5": "Backup Monitoring",
    "6": "Compliance and Auditing",
    "7": "Employee Training",
    "8": "Policy Review",
    "9": "Enforcement",
}
DEFAULT_EVIDENCE_RETENTION: Final = timedelta(days=3 * 365)
DEFAULT_GRACE: Final = timedelta(days=7)
DEFAULT_START_AT: Final = time(1, 0)


class Method(StrEnum):
    """How the backups of a class are taken (3.3)."""

    INCREMENTAL = "incremental"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClass:
    """What the policy promises for one class of data."""

    name: str
    frequency: Frequency  # 3.1
    retention: timedelta  # 3.2  how long a recovery point is kept
    method: Method  # 3.3
    rpo: timedelta  # 4.1  greatest age of the newest recovery point
    rto: timedelta  # 4.2  from the approved request to the data restored
    complete_within: timedelta  # ours: scheduled start to commit, queueing and attempts included
    schedule: str = ""  # cron or "every N days|hours", in UTC; empty: derived from the promises
    start_at: time = DEFAULT_START_AT  # of the day, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole policy. Iterate `classes` in the order of the file."""

    name: str
    organization: str
    effective: date
    classes: tuple[DataClass, ...]
    full_backups: Frequency  # 3.3  a full opens a new generation
    restore_tests: Frequency  # 3.4
    review: Frequency  # 8
    evidence_retention: timedelta = DEFAULT_EVIDENCE_RETENTION  # 6  how long records are kept
    attestations: tuple[Attestation, ...] = ()  # what no software can see
    grace: timedelta = DEFAULT_GRACE  # a generation grows this long beyond the full's interval

    @property
    def most_critical(self) -> DataClass:
        """The class that may lose the least, and has the least time to recover."""
        return min(self.classes, key=lambda one: (one.rpo, one.rto))

    def data_class(self, name: str) -> DataClass:
        """The class of that name.

        Raises:
            ConfigurationInvalid: the policy has no such class.
        """
        for data_class in self.classes:
            if data_class.name == name:
                return data_class
        names = ", ".join(one.name for one in self.classes)
        raise ConfigurationInvalid(
            f'"{name}" is no class of the policy', hint=f"its classes are {names}"
        )
