"""Policies for years of backups: the shipped one, or one drawn at random that can be kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import yaml

from include.backup.errors import PolicyInvalid
from include.backup.policy.load import parse_policy
from include.backup.policy.model import Method, Policy
from include.backup.policy.schedule import full_schedule, schedule_of
from include.backup.policy.slots import Grid, Schedule
from tests.damage.site import ROOT

if TYPE_CHECKING:
    import random

_DAY: Final = timedelta(days=1)
_NAMES: Final = ("gold", "silver", "bronze")
_FREQUENCIES: Final = ("daily", "every 2 days", "every 5 days", "weekly", "monthly")
_FULLS: Final = ("weekly", "every 20 days", "monthly", "every 45 days")


@dataclass
class Promises:
    """A policy as its file has it; it may change between two days."""

    document: dict[str, Any]
    retentions: set[int] = field(default_factory=set)  # in days: all that were ever in force

    def __post_init__(self) -> None:
        self._note()

    @classmethod
    def shipped(cls) -> Promises:
        """The policy that comes with the project."""
        return cls(yaml.safe_load((ROOT / "include" / "config" / "policy.yaml").read_bytes()))

    @classmethod
    def drawn(cls, dice: random.Random) -> Promises:
        """Any policy that can be kept: its schedules can be derived."""
        while True:
            names = _NAMES[: dice.randrange(1, len(_NAMES) + 1)]
            document = {
                "policy": {"name": "Drawn", "organization": "Anybody", "effective": "2023-01-01"},
                "classes": {name: _data_class(dice) for name in names},
                "full_backups": dice.choice(_FULLS),
                "restore_tests": "quarterly",
                "grace": f"{dice.randrange(2, 12)} days",
            }
            drawn = cls(document)
            try:
                for one in drawn.policy.classes:
                    schedule_of(one)
                    full_schedule(drawn.policy, one)
            except PolicyInvalid:
                continue
            return drawn

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return list(self.document["classes"])

    @property
    def text(self) -> str:
        """As policy.yaml has it."""
        return yaml.safe_dump(self.document, sort_keys=False)

    @cached_property
    def policy(self) -> Policy:
        """As it is in force now."""
        return parse_policy(self.text.encode(), file="policy.yaml")

    def keep_for(self, name: str, days: int) -> None:
        """Change the retention of a class."""
        self.document["classes"][name]["retention"] = f"{days} days"
        self.__dict__.pop("policy", None)
        self._note()

    def interval(self, name: str) -> timedelta:
        """Between two backups of a class."""
        return _gap(schedule_of(self.policy.data_class(name)))

    def full_interval(self, name: str) -> timedelta:
        """Between two fulls of a class."""
        return _gap(full_schedule(self.policy, self.policy.data_class(name)))

    @property
    def longest_run(self) -> timedelta:
        """The longest that any class lets a run take."""
        return max(one.complete_within for one in self.policy.classes)

    @property
    def longest_lock(self) -> timedelta:
        """How much longer than its last recovery point a generation may be locked."""
        growing = max(self.full_interval(name) for name in self.names) + self.policy.grace
        shortened = (max(self.retentions) - min(self.retentions)) * _DAY
        return growing + shortened + self.longest_run + 14 * _DAY

    def _note(self) -> None:
        self.retentions |= {one.retention // _DAY for one in self.policy.classes}


def _gap(schedule: Schedule) -> timedelta:
    assert isinstance(schedule, Grid)  # nothing here is a cron expression
    return schedule.interval


def _data_class(dice: random.Random) -> dict[str, str]:
    within = dice.randrange(1, 37)
    days = dice.randrange(1, 32)  # as long as two backups may lie apart, by the RPO
    return {
        "frequency": dice.choice(_FREQUENCIES),
        "retention": f"{dice.randrange(3, 200)} days",
        "method": dice.choice(list(Method)).value,
        "rpo": f"{days * 24 + within + 1} hours",
        "rto": "2 days",
        "complete_within": f"{within} hours",
    }
