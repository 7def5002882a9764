"""What came of one act on one dataset, as logs, tables and Airflow pass it on. No secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.backup.errors import BackupError
from include.backup.evidence.kinds import Kind
from include.backup.evidence.table import Row
from include.backup.format.times import text_of_datetime
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of an act."""

    dataset: str
    data_class: str
    verdict: Verdict
    sentence: str  # with its evidence
    kind: str  # of the record
    what: str  # in a few words, for tables
    newest_at: datetime | None = None  # consistency point of the newest recovery point
    age: timedelta | None = None
    limit: timedelta  # the RPO
    known: bool = True  # False: the ledger could not be read
    details: dict[str, Any] = field(default_factory=dict)  # figures of the recovery point

    @property
    def ok(self) -> bool:
        """Whether the act did what it was for, or rightly left it to another."""
        return self.kind != Kind.FAILED

    def row(self) -> Row:
        """The line in a table of datasets."""
        return Row(
            verdict=self.verdict,
            data_class=self.data_class,
            dataset=self.dataset,
            newest_at=self.newest_at,
            age=self.age,
            limit=self.limit,
            known=self.known,
            what=self.what,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values; see JSON.md, which tells them to the users of the commands."""
        return {
            "dataset": self.dataset,
            "data_class": self.data_class,
            "verdict": str(self.verdict),
            "sentence": self.sentence,
            "kind": self.kind,
            "what": self.what,
            "newest_at": text_of_datetime(self.newest_at) if self.newest_at else None,
            "age_seconds": None if self.age is None else self.age.total_seconds(),
            "limit_seconds": self.limit.total_seconds(),
            "known": self.known,
            "details": self.details,
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Outcome:
        """Read what `to_json` made."""
        newest, age = document["newest_at"], document["age_seconds"]
        return cls(
            dataset=document["dataset"],
            data_class=document["data_class"],
            verdict=Verdict(document["verdict"]),
            sentence=document["sentence"],
            kind=document["kind"],
            what=document["what"],
            newest_at=datetime.fromisoformat(newest) if newest else None,
            age=None if age is None else timedelta(seconds=age),
            limit=timedelta(seconds=document["limit_seconds"]),
            known=document["known"],
            details=dict(document["details"]),
        )


def attach_outcome(error: BaseException, outcome: Outcome) -> None:
    """Give what is raised the end of the act that it has ended, for `attached_outcome`."""
    error.outcome = outcome  # type: ignore[attr-defined]


def attached_outcome(error: BaseException) -> Outcome | None:
    """The end of the act that an error has ended; None if none was begun."""
    outcome = getattr(error, "outcome", None)
    return outcome if isinstance(outcome, Outcome) else None


def sentence_of(error: BaseException, otherwise: str) -> str:
    """What was recorded of the act that an error has ended, or other words if nothing was."""
    outcome = attached_outcome(error)
    return outcome.sentence if outcome else otherwise


def reason_of(error: BaseException) -> str:
    """Why something failed, in words for people.

    The text of an error that is not ours may quote anything, secrets too: only its type is told.
    """
    if isinstance(error, BackupError):
        return error.message
    if isinstance(error, KeyboardInterrupt):
        return "it was stopped by a signal"
    return f"an unexpected {type(error).__name__}; the log of this run shows where"


def hint_of(error: BaseException) -> str:
    """What to do about it, if anything is known."""
    return error.hint if isinstance(error, BackupError) else ""
