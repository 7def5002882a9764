"""The closing sentence of each act, for people who read no code.

    verdict clauses · class/dataset · what was done; details · evidence dataset/42 sha256 9f2c…

It opens with a verdict and the clauses of the policy it is about, and is the same in the log, the
record and the report; only the evidence at its end, which names the record, is added after the
record exists. The functions here are pure and know nothing but what they are told: texts that
come from outside (reasons, addresses) must be free of secrets, and are kept on one line.
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
_BESIDE: Final = " · "
_DIGEST_SHOWN: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a sentence is about."""

    data_class: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.data_class}/{self.dataset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """How old the copies of a dataset are against what the policy promises (4.1)."""

    newest_at: datetime | None  # consistency point of the newest recovery point
    age: timedelta | None  # of that, when the sentence is written
    limit: timedelta  # the RPO of the class
    damaged: bool = False  # there are recovery points, and none is known to be whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A recovery point that was taken."""

    method: str  # "full" or "incremental"
    taken_at: datetime
    where: str  # the vault, as in "s3://backups/crm (eu-west-1)"
    contents: str  # as in "48 tables" or "1,204 files"
    bytes_read: int
    bytes_new: int
    sent: str  # how it travelled: "sent over TLS 1.3", "written to a local directory"
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old the newest copy was until a new one was complete."""

    before: timedelta | None  # None: there was none
    greatest: timedelta | None  # ever; None before the second recovery point
    limit: timedelta  # the RPO of the class


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A restore that was done."""

    taken_at: datetime  # of the recovery point
    destination: str
    contents: str
    bytes_written: int
    took: timedelta
    limit: timedelta  # the RTO of the class
    by: str  # who asked for it (4.3)


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
    late = ages.before is not None and ages.before > ages.limit
    return _sentence(
        Verdict.BROKEN if late else Verdict.KEPT,
        clauses,
        subject,
        f"{taken.method} recovery point {moment(taken.taken_at)} complete in {taken.where}: "
        f"{taken.contents}, {size(taken.bytes_read)} read, {size(taken.bytes_new)} new",
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
    next_try: str = "",
) -> str:
    """A backup failed: what that means for the dataset.

    Args:
        verdict: of the dataset as it stands now; see objectives.judge.
        next_try: as in "it is tried again at 2026-11-24 01:00 UTC".
    """
    return _sentence(
        verdict,
        AGE_CLAUSES,
        subject,
        f"{method} backup failed: {reason}",
        "no recovery point was made, those made before are untouched",
        newest_copy(copies),
        next_try,
    )


def already_running(
    subject: Subject, *, verdict: Verdict, method: str, holder: str, copies: Copies
) -> str:
    """A run found another of its kind at work, and left the work to it.

    Args:
        holder: as AlreadyRunning says it: "already running since … (owner …)".
    """
    return _sentence(
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
    return _sentence(
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
    return _sentence(
        verdict,
        AGE_CLAUSES,
        subject,
        f"the {action} begun {moment(began_at)} was interrupted: its process ended without a word",
        "it made no recovery point; what it had stored is kept and used by the next run",
        newest_copy(copies),
    )


def adopted(
    subject: Subject, *, method: str, taken_at: datetime, where: str, expires_at: datetime
) -> str:
    """A complete snapshot that had no record became a recovery point."""
    return _sentence(
        Verdict.KEPT,
        BACKUP_CLAUSES,
        subject,
        f"{method} recovery point {moment(taken_at)} was found complete in {where}, its record "
        "missing; its data was checked and it is recorded now",
        f"kept until {day(expires_at)}",
    )


def restored(subject: Subject, done: Restored, *, remarks: Sequence[str] = ()) -> str:
    """A recovery point was restored, every block of it compared with its id."""
    return _sentence(
        Verdict.KEPT if done.took <= done.limit else Verdict.BROKEN,
        ("4.2", "4.3"),
        subject,
        f"recovery point {moment(done.taken_at)} restored to {done.destination}: {done.contents}, "
        f"{size(done.bytes_written)}",
        f"it took {format_duration(done.took)} (limit {format_duration(done.limit)})",
        *remarks,
        f"requested by {done.by}",
    )


def restore_failed(subject: Subject, *, destination: str, reason: str, by: str) -> str:
    """A restore did not succeed."""
    return _sentence(
        Verdict.BROKEN,
        ("4.2", "4.3"),
        subject,
        f"restore to {destination} failed: {reason}",
        f"requested by {by}",
    )


def restore_refused(subject: Subject, *, destination: str, reason: str, by: str) -> str:
    """A restore was asked for that cannot be; nothing was touched."""
    return _sentence(
        Verdict.NOT_TESTED,
        ("4.3",),
        subject,
        f"restore to {destination} not done: {reason}",
        f"requested by {by}",
    )


def checked(
    subject: Subject,
    *,
    generations: int,
    points: int,
    bytes_read: int | None,
    damages: Sequence[str],
) -> str:
    """The repositories of a dataset were checked.

    Args:
        bytes_read: how much stored data was read; None when only the structure was looked at,
            which proves nothing about the bytes.
        damages: one text each.
    """
    extent = f"{points} recovery points in {generations} generations"
    if damages:
        return _sentence(
            Verdict.BROKEN, ("3.2",), subject, f"{extent} checked, {len(damages)} damaged", *damages
        )
    if bytes_read is None:
        return _sentence(
            Verdict.NOT_TESTED,
            ("3.4",),
            subject,
            f"the structure of {extent} is whole",
            "the stored bytes were not read",
        )
    return _sentence(
        Verdict.KEPT,
        ("3.2",),
        subject,
        f"{extent} are whole: all {size(bytes_read)} were read and fit their ids",
    )


def with_evidence(sentence: str, record: Record) -> str:
    """A sentence with the name of the record that holds it, for the log."""
    digest = record.sha256[:_DIGEST_SHOWN]
    return f"{sentence} · evidence {record.subject}/{record.sequence} sha256 {digest}…"


def newest_copy(copies: Copies) -> str:
    """How old the newest recovery point is, against its limit."""
    limit = f"limit {format_duration(copies.limit)}"
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
        return f"it is the first recovery point ({promise} between two)"
    before = format_duration(ages.before)
    greatest = max(ages.before, ages.greatest or ages.before)
    if ages.before > ages.limit:
        return f"the newest copy had become {before} old ({promise})"
    if greatest > ages.limit:
        once = format_duration(greatest)
        return f"the newest copy was {before} old before ({promise}), and once {once}"
    return f"the newest copy has never been older than {format_duration(greatest)} ({promise})"


def _sentence(
    verdict: Verdict, clauses: Sequence[str], subject: Subject, what: str, *details: str
) -> str:
    opening = " ".join((str(verdict), *clauses))
    told = "; ".join(one_line(text) for text in (what, *details) if text)
    return _BESIDE.join((opening, str(subject), told))
