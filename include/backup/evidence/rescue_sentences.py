"""The closing sentences of what is done with recovery points: restored, checked, opened by others.

They have the form that `sentences` describes. A restore says how long it took (4.2) and who asked
for it; that it is documented is the record itself, and whether the person was trained (4.3) nobody
has looked: so the sentence says that too, and no restore is called kept for 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.sentences import sentence
from include.backup.evidence.wording import Several, count, moment, size, some_of
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from include.backup.evidence.sentences import Subject

_TIME: Final = ("4.2",)
_TESTED: Final = ("3.4",)
_ENCRYPTED: Final = ("3.3",)
_NONE: Final = Several((), 0)


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


def restored(subject: Subject, done: Restored, *, notes: Several = _NONE) -> str:
    """A recovery point was restored, every block of it compared with its id.

    Args:
        notes: what could not be put back as it was, one text for each entry.
    """
    noted = f"{count(notes.total, 'note')}: {some_of(notes)}" if notes.total else ""
    return sentence(
        Verdict.KEPT if done.took <= done.limit else Verdict.BROKEN,
        _TIME,
        subject,
        f"recovery point {moment(done.taken_at)} restored to {done.destination}: {done.contents}, "
        f"{size(done.bytes_written)}",
        f"it took {format_duration(done.took)} (limit {format_duration(done.limit)})",
        noted,
        _documented(done.by),
    )


def restore_failed(
    subject: Subject, *, destination: str, reason: str, by: str, hint: str = ""
) -> str:
    """A restore did not succeed."""
    return sentence(
        Verdict.BROKEN,
        _TIME,
        subject,
        f"restore to {destination} failed: {reason}",
        _documented(by),
        hint=hint,
    )


def restore_refused(
    subject: Subject, *, destination: str, reason: str, by: str, hint: str = ""
) -> str:
    """A restore was asked for that cannot be; nothing was touched."""
    return sentence(
        Verdict.NOT_TESTED,
        _TIME,
        subject,
        f"restore to {destination} not done: {reason}",
        _documented(by),
        hint=hint,
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
    extent = f"{count(points, 'recovery point')} in {count(generations, 'generation')}"
    if damages:
        return sentence(
            Verdict.BROKEN,
            ("3.2",),
            subject,
            f"{extent} checked, {count(len(damages), 'damage')} found: "
            f"{some_of(Several.of(damages))}",
        )
    if bytes_read is None:
        return sentence(
            Verdict.NOT_TESTED,
            _TESTED,
            subject,
            f"the structure of {extent} is whole",
            "the stored bytes were not read",
        )
    return sentence(
        Verdict.KEPT,
        ("3.2",),
        subject,
        f"{extent} {'is' if points == 1 else 'are'} whole: all {size(bytes_read)} were read and "
        "fit their ids",
    )


def check_failed(subject: Subject, *, reason: str, damaged: bool, hint: str = "") -> str:
    """A check ended before it could say how the recovery points are.

    Args:
        damaged: whether damage ended it, as in the ledger; else it could not look.
    """
    return sentence(
        Verdict.BROKEN if damaged else Verdict.NOT_TESTED,
        _TESTED,
        subject,
        f"check failed: {reason}",
        "it says nothing about the recovery points",
        hint=hint,
    )


def password_exported(subject: Subject, *, generation: str, by: str) -> str:
    """The password of a repository was handed to a person: encryption holds as long as they do."""
    return sentence(
        Verdict.AT_RISK,
        _ENCRYPTED,
        subject,
        f"the repository password of generation {generation} was handed to {by}",
        "the data stays encrypted, and whoever has the password can read and change it until this "
        "generation has expired",
    )


def export_failed(subject: Subject, *, generation: str, reason: str, hint: str = "") -> str:
    """The password of a repository was asked for, and could not be had."""
    return sentence(
        Verdict.NOT_TESTED,
        _ENCRYPTED,
        subject,
        f"the repository password of generation {generation} was not handed out: {reason}",
        hint=hint,
    )


def _documented(by: str) -> str:
    return (
        f"requested by {by}, documented by this record; "
        "NOT TESTED 4.3: nobody has checked whether who restores was trained"
    )
