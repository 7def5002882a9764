"""The closing sentence of each act, for people who read no code; here, those of backups.

    verdict clauses · class/dataset · what was done; details; hint: … · evidence dataset/42 sha256 …

It opens with a verdict and the clauses of the policy it is about, and is the same in the log, the
record and the report; only the evidence at its end, which names the record, is added after the
record exists. What to do about a failure stands last, never in the middle. The functions here are
pure and know nothing but what they are told: texts that come from outside (reasons, addresses)
must be free of secrets, and are kept on one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.wording import day, moment, one_line, size
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from include.backup.evidence.records import Record

BACKUP_CLAUSES: Final = ("3.1", "3.3", "4.1")
AGE_CLAUSES: Final = ("3.1", "4.1")
STORED_BEFORE: Final = "stored before by an interrupted run"
EXPIRY: Final = "expiry"
ROTATION: Final = "rotation of the master key"
_BESIDE: Final = " · "
_DIGEST_SHOWN: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a sentence is about."""

    data_class: str
    dataset: str
    replica: str = ""  # the name of a vault whose copy it is about; empty: the home

    def __str__(self) -> str:
        copy = f" (replica in {self.replica})" if self.replica else ""
        return f"{self.data_class}/{self.dataset}{copy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """How old the copies of a dataset are against what the policy promises (4.1)."""

    newest_at: datetime | None  # consistency point of the newest recovery point
    age: timedelta | None  # of that, when the sentence is written
    limit: timedelta  # the RPO of the class
    damaged: bool = False  # there are recovery points, and none is known to be whole
    known: bool = True  # False: the ledger could not be read, and nothing can be told


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A recovery point that was taken."""

    method: str  # "full" or "incremental"
    taken_at: datetime
    where: str  # the vault, as in "s3://backups/crm (eu-west-1)"
    contents: str  # as in "48 tables" or "1,204 files"
    bytes_read: int
    bytes_new: int  # of files; what the directories need is not counted
    bytes_found: int = 0  # what interrupted runs had stored of it before, in the vault
    sent: str  # how it travelled: "sent over TLS 1.3", "written to a local directory"
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old the newest copy was until a new one was complete."""

    before: timedelta | None  # None: there was none
    greatest: timedelta | None  # ever; None before the second recovery point
    limit: timedelta  # the RPO of the class
    damaged: bool = False  # there were recovery points before, and none is known to be whole


def backed_up(
    subject: Subject,
    taken: Taken,
    ages: Ages,
    *,
    remarks: Sequence[str] = (),
    clauses: Sequence[str] = BACKUP_CLAUSES,
) -> str:
    """A recovery point was taken.

    Args:
        remarks: what a reader should know, as in "became a full: no generation was usable".
    """
    found = f", {size(taken.bytes_found)} {STORED_BEFORE}" if taken.bytes_found else ""
    late = ages.before is not None and ages.before > ages.limit
    return sentence(
        Verdict.BROKEN if late else Verdict.KEPT,
        clauses,
        subject,
        f"{taken.method} recovery point {moment(taken.taken_at)} complete in {taken.where}: "
        f"{taken.contents}, {size(taken.bytes_read)} read, {size(taken.bytes_new)} new"
        f"{found}",
        f"encrypted AES-256, {taken.sent}",
        _told(ages),
        *remarks,
        f"kept until {day(taken.expires_at)}",
    )


def failed(
    subject: Subject,
    *,
    verdict: Verdict,
    method: str,
    reason: str,
    copies: Copies,
    hint: str = "",
) -> str:
    """A backup failed: what that means for the dataset.

    Args:
        verdict: of the dataset as it stands now; see objectives.judge.
        hint: what to do about it.
    """
    return sentence(
        verdict,
        AGE_CLAUSES,
        subject,
        f"{method} backup failed: {reason}",
        "no recovery point was made, those made before are untouched",
        newest_copy(copies),
        hint=hint,
    )


def already_running(
    subject: Subject, *, verdict: Verdict, method: str, holder: str, copies: Copies
) -> str:
    """A run found another of its kind at work, and left the work to it.

    Args:
        holder: as AlreadyRunning says it: "already running since … (owner …)".
    """
    return sentence(
        verdict,
        AGE_CLAUSES,
        subject,
        f"{method} backup not started: {holder}",
        "this is no failure",
        newest_copy(copies),
    )


def nothing_due(
    subject: Subject, *, verdict: Verdict, method: str, reason: str, copies: Copies
) -> str:
    """There was nothing to do."""
    return sentence(
        verdict,
        AGE_CLAUSES,
        subject,
        f"no {method} backup was needed: {reason}",
        newest_copy(copies),
    )


def interrupted(
    subject: Subject, *, verdict: Verdict, action: str, began_at: datetime, copies: Copies
) -> str:
    """An earlier act ended without a word: killed, or its machine stopped.

    Args:
        action: as in "incremental backup" or "restore".
    """
    return sentence(
        verdict,
        AGE_CLAUSES,
        subject,
        f"the {action} begun {moment(began_at)} was interrupted: its process ended without a word",
        _left_by(action),
        newest_copy(copies),
    )


def _left_by(action: str) -> str:
    """What an act that was interrupted has left."""
    if action.endswith("backup"):
        return "it made no recovery point; what it had stored is kept and used by the next run"
    if action in {EXPIRY, ROTATION}:
        return "the next one goes on with what it had begun, and removes nothing else"
    return "it made and removed no recovery point"


def adopted(
    subject: Subject, *, method: str, taken_at: datetime, where: str, expires_at: datetime
) -> str:
    """A complete snapshot that had no record became a recovery point."""
    return sentence(
        Verdict.KEPT,
        BACKUP_CLAUSES,
        subject,
        f"{method} recovery point {moment(taken_at)} was found complete in {where}, its record "
        "missing; its data was checked and it is recorded now",
        f"kept until {day(expires_at)}",
    )


def sentence(
    verdict: Verdict,
    clauses: Sequence[str],
    subject: Subject,
    what: str,
    *details: str,
    hint: str = "",
) -> str:
    """Put a closing sentence together; empty details are left out."""
    opening = " ".join((str(verdict), *clauses))
    parts = (what, *details, f"hint: {hint}" if hint else "")
    told = "; ".join(one_line(text) for text in parts if text)
    return _BESIDE.join((opening, str(subject), told))


def with_evidence(told: str, record: Record) -> str:
    """A sentence with the name of the record that holds it, for the log."""
    digest = record.sha256[:_DIGEST_SHOWN]
    return f"{told} · evidence {record.subject}/{record.sequence} sha256 {digest}…"


def newest_copy(copies: Copies) -> str:
    """How old the newest recovery point is, against its limit."""
    limit = f"limit {format_duration(copies.limit)}"
    if not copies.known:
        return f"how old the newest recovery point is cannot be told ({limit})"
    if copies.newest_at is None or copies.age is None:
        none = "no recovery point is known to be whole" if copies.damaged else None
        return f"{none or 'there is no recovery point yet'} ({limit})"
    return (
        f"the newest recovery point is of {moment(copies.newest_at)}, "
        f"{format_duration(copies.age)} old ({limit})"
    )


def _told(ages: Ages) -> str:
    promise = f"limit {format_duration(ages.limit)}"
    if ages.before is None:
        what = "only whole" if ages.damaged else "first"
        return f"it is the {what} recovery point ({promise} between two)"
    before = format_duration(ages.before)
    greatest = max(ages.before, ages.greatest or ages.before)
    if ages.before > ages.limit:
        return f"the newest copy had become {before} old ({promise})"
    if greatest > ages.limit:
        once = format_duration(greatest)
        return f"the newest copy was {before} old before ({promise}), and once {once}"
    return f"the newest copy has never been older than {format_duration(greatest)} ({promise})"
