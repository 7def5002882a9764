"""The sentences of what is done with recovery points: restored, checked, opened by others.

They have the form that `sentences` describes. A restore says how long it took, from when the RTO
began to run (4.2), who asked for it, and which trained person approved it (4.3). Where nobody did,
as by command, nobody has looked whether who restores was trained: the sentence says so, and the
restore is not called kept for 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.sentences import sentence
from include.backup.evidence.tampering_sentences import tampered_with
from include.backup.evidence.wording import Several, count, moment, size, some_of
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from include.backup.evidence.sentences import Subject
    from include.backup.evidence.tampering_sentences import Found
    from include.backup.policy.approval import Approval, Refusal
    from include.backup.vault.coverage import Coverage

_TIME: Final = ("4.2",)
_TESTED: Final = ("3.4",)
_PEOPLE: Final = ("4.3",)
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
    reason: str = ""
    approval: Approval | None = None  # None: outside approval
    since: str = ""  # what the RTO runs from; empty: the restore itself
    handed_over: timedelta | None = None  # how long after that
    compared: str = ""  # what was read again and compared, for people; empty: nothing was
    erased: str = ""  # what was erased again, for people; empty: nothing had to be
    keeps_erased: bool = False  # what was erased at the source has come back: somebody wanted it
    only: str = ""  # the pattern of what was restored; empty: all of it
    set_back: bool = False  # a clock was, meanwhile: nobody knows how long it took


def restored(subject: Subject, done: Restored, *, notes: Several = _NONE) -> str:
    """A recovery point was restored, every block of it compared with its id.

    Args:
        notes: what could not be put back as it was, one text for each entry.
    """
    noted = f"{count(notes.total, 'note')}: {some_of(notes)}" if notes.total else ""
    compared = f"{done.compared} read again, and as they were" if done.compared else ""
    clock = done.took if done.handed_over is None else done.handed_over
    limit = f"(limit {format_duration(done.limit)})"
    time = f"it took {format_duration(done.took)}"
    if done.handed_over is not None:
        time += f", and was handed over {format_duration(clock)} after {done.since}"
    in_time = clock <= done.limit and not done.set_back
    late = Verdict.NOT_TESTED if done.set_back else Verdict.BROKEN
    if done.set_back:
        time = "a clock was set back meanwhile: nobody knows how long it took"
    only = f" (only {done.only})" if done.only else ""
    kept = "AT RISK: what was erased at the source has come back" if done.keeps_erased else ""
    return sentence(
        Verdict.KEPT if in_time else late,
        (*_TIME, *_PEOPLE) if in_time and done.approval is not None else _TIME,
        subject,
        f"recovery point {moment(done.taken_at)}{only} restored to {done.destination}: "
        f"{done.contents}, {size(done.bytes_written)}",
        compared,
        done.erased,
        kept,
        f"{time} {limit}",
        noted,
        _documented(done.by, done.approval, done.reason),
    )


def restore_failed(
    subject: Subject,
    *,
    destination: str,
    reason: str,
    by: str,
    approval: Approval | None = None,
    hint: str = "",
) -> str:
    """A restore did not succeed."""
    return sentence(
        Verdict.BROKEN,
        _TIME,
        subject,
        f"restore to {destination} failed: {reason}",
        _documented(by, approval),
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
        f"requested by {by}, documented by this record; nothing was touched",
        hint=hint,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A restore that somebody wants."""

    taken_at: datetime  # of the recovery point
    destination: str
    size_bytes: int
    forecast: timedelta | None
    due_at: datetime  # when the RTO ends
    by: str
    reason: str


def restore_requested(subject: Subject, asked: Asked) -> str:
    """A restore was asked for, and waits for approval (4.3)."""
    told = "how long it takes was never measured"
    if asked.forecast is not None:
        told = f"forecast to take {format_duration(asked.forecast)}"
    return sentence(
        Verdict.NOT_TESTED,
        _TIME,
        subject,
        f"restore of recovery point {moment(asked.taken_at)} to {asked.destination} was asked for "
        f"by {asked.by} ({asked.reason}): {size(asked.size_bytes)}, {told}",
        f"the RTO ends at {moment(asked.due_at)}",
        "it waits for the approval of somebody who is trained; nothing was touched",
    )


def restore_approved(subject: Subject, *, destination: str, by: str, approval: Approval) -> str:
    """Somebody trained, who did not ask for it, has approved a restore (4.3)."""
    return sentence(
        Verdict.KEPT,
        _PEOPLE,
        subject,
        f"the restore to {destination} that {by} asked for was approved by {_trained(approval)}",
    )


def restore_not_approved(subject: Subject, *, destination: str, by: str, refusal: Refusal) -> str:
    """A restore was not approved, and is not done (4.3)."""
    return sentence(
        Verdict.AT_RISK if refusal.nobody else Verdict.KEPT,
        _TIME if refusal.nobody else _PEOPLE,
        subject,
        f"restore to {destination} not done: {refusal.why}",
        f"asked for by {by or 'nobody knows whom'}, documented by this record; nothing was touched",
        hint=refusal.hint,
    )


def checked(  # noqa: PLR0913 keywords
    subject: Subject,
    *,
    generations: int,
    points: int,
    bytes_read: int | None,
    damages: Sequence[str],
    coverage: Coverage | None = None,
    late: bool = False,
    tampering: Found | None = None,
) -> str:
    """The repositories of a dataset were checked.

    Args:
        bytes_read: how much stored data was read; None when only the structure was looked at,
            which proves nothing about the bytes.
        coverage: what was read again until now, if this check read only a share; else it read all.
        late: something of it was not read for a quarter.
        damages: one text each.
        tampering: what somebody has put over files, which can be read all the same.
    """
    extent = f"{count(points, 'recovery point')} in {count(generations, 'generation')}"
    tampered = tampered_with(subject, tampering) if tampering and tampering.names else ()
    if damages:
        return sentence(
            Verdict.BROKEN,
            ("3.2",),
            subject,
            f"{extent} checked, {count(len(damages), 'damage')} found: "
            f"{some_of(Several.of(damages))}",
            *tampered,
        )
    if bytes_read is None:
        return sentence(
            Verdict.AT_RISK if tampered else Verdict.NOT_TESTED,
            _TESTED,
            subject,
            f"the structure of {extent} is whole",
            "the stored bytes were not read",
            *tampered,
        )
    if coverage is not None:
        return sentence(
            Verdict.AT_RISK if late or tampered else Verdict.KEPT,
            ("3.2",),
            subject,
            f"{extent}: {size(bytes_read)}, what was not read for the longest time, were read and "
            "fit their ids; the structure is whole",
            covered(coverage) + ("; a part was not read for more than a quarter" if late else ""),
            *tampered,
        )
    return sentence(
        Verdict.AT_RISK if tampered else Verdict.KEPT,
        ("3.2",),
        subject,
        f"{extent} {'is' if points == 1 else 'are'} whole: all {size(bytes_read)} were read and "
        "fit their ids",
        *tampered,
    )


def covered(found: Coverage) -> str:
    """What was read again of all that is stored, for people."""
    if found.oldest_at is None:
        return "nothing was read again yet"
    told = f"{count(found.packs, 'pack')} with {size(found.size_bytes)}"
    if not found.is_whole:
        return f"read again so far: {found.read} of {found.shares} shares, {told}"
    return f"all of it was read again since {moment(found.oldest_at)}: {told}"


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


def _documented(by: str, approval: Approval | None = None, reason: str = "") -> str:
    asked = f"requested by {by}{f' ({reason})' if reason else ''}"
    if approval is not None:
        return f"{asked}, approved by {_trained(approval)}; documented by this record"
    return (
        f"{asked}, outside approval, documented by this record; "
        "NOT TESTED 4.3: nobody has checked whether who restores was trained"
    )


def _trained(approval: Approval) -> str:
    name = approval.by if approval.name == approval.by else f"{approval.name} ({approval.by})"
    return f"{name}, trained until {approval.trained_until} ({approval.course})"
