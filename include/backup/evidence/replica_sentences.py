"""The sentences of replication (3.5): what other vaults hold of a dataset, and what they lack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.sentences import sentence
from include.backup.evidence.wording import Several, count, moment, size, some_of
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.backup.evidence.sentences import Subject

CLAUSES: Final = ("3.5",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """What a run has made of a replica."""

    where: str  # the vault, as in "s3://backups/crm (eu-west-1)"
    sent: str  # how it travelled
    offsite: bool | None  # whether that vault, or the home, is; None: nobody says
    points: int  # recovery points that it holds now
    newest_at: datetime | None  # consistency point of the newest of them
    files: int  # copied now
    size_bytes: int
    read_again: int  # packs, of those
    removed: int  # recovery points that had expired
    generations: Sequence[str] = ()  # removed whole
    missing: Sequence[str] = ()  # why some recovery points are not in it
    kept_back: Sequence[str] = ()  # what has expired, and a lock keeps
    foreign: Sequence[str] = ()  # generations in it that no ledger knows
    refused: str = ""  # why nothing may be deleted there


def replicated(subject: Subject, found: Replicated) -> str:
    """A replica was brought up to date."""
    newest = f", the newest of {moment(found.newest_at)}" if found.newest_at else ""
    unknown = some_of(Several.of(list(found.foreign)))
    risks = [
        *(f"not copied: {one}" for one in found.missing),
        f"what has expired cannot be removed: {found.refused}" if found.refused else "",
        f"it holds what no ledger names, left alone: {unknown}" if found.foreign else "",
        "no vault of it is offsite" if found.offsite is False else "",
    ]
    told = [risk for risk in risks if risk]
    return sentence(
        _verdict(found, at_risk=bool(told)),
        CLAUSES,
        subject,
        f"replica in {found.where}: {count(found.points, 'recovery point')}{newest}",
        _copied(found),
        _removed(found),
        *told,
        *(f"not yet gone: {one}" for one in found.kept_back),
        "" if found.offsite is not None else "nobody says whether a vault of it is offsite",
    )


def not_replicated(
    subject: Subject, *, vault: str, reason: str, newest_at: datetime | None, hint: str = ""
) -> str:
    """A replica could not be brought up to date.

    Args:
        newest_at: of the newest recovery point that it holds all the same.
    """
    held = f"the newest that it is known to hold is of {moment(newest_at)}" if newest_at else ""
    return sentence(
        Verdict.AT_RISK,
        CLAUSES,
        subject,
        f"not replicated to {vault}: {reason}",
        held or "nothing is known of what it holds",
        f"hint: {hint}" if hint else "",
    )


def already_running(subject: Subject, *, vault: str, holder: str) -> str:
    """Another run brings it up to date."""
    return sentence(
        Verdict.KEPT, CLAUSES, subject, f"it is being replicated to {vault} already: {holder}"
    )


def promoted(
    subject: Subject,
    *,
    vault: str,
    former: str,
    lost: int | None,
    points: int,
    reason: str,
    by: str,
) -> str:
    """Another vault is the home from now on.

    Args:
        lost: records that the former home had, and this vault has not; None: nobody knows.
        points: recovery points that are known to be lost.
    """
    gone = "nothing was lost"
    if lost is None:
        gone = "what the former home had recorded last, if anything, is not in it"
    elif lost:
        gone = f"{count(lost, 'record')} of the former home lost, whatever they were about"
    if points:
        gone = f"{count(points, 'recovery point')} lost; {gone}"
    return sentence(
        Verdict.KEPT if lost == 0 and not points else Verdict.AT_RISK,
        CLAUSES,
        subject,
        f"{vault} is its home from now on, no longer {former}",
        gone,
        f"reason: {reason}; approved by {by}",
    )


def not_promoted(subject: Subject, *, vault: str, reason: str, hint: str = "") -> str:
    """Its home stays what it was."""
    return sentence(
        Verdict.AT_RISK,
        CLAUSES,
        subject,
        f"{vault} was not made its home: {reason}",
        f"hint: {hint}" if hint else "",
    )


def _verdict(found: Replicated, *, at_risk: bool) -> Verdict:
    if at_risk:
        return Verdict.AT_RISK
    return Verdict.NOT_TESTED if found.offsite is None else Verdict.KEPT


def _copied(found: Replicated) -> str:
    if not found.files:
        return "nothing was to be copied"
    again = f", {count(found.read_again, 'pack')} of them read again" if found.read_again else ""
    return f"{count(found.files, 'file')} copied, {size(found.size_bytes)}{again}, {found.sent}"


def _removed(found: Replicated) -> str:
    told = []
    if found.removed:
        told.append(f"{count(found.removed, 'recovery point')} removed that had expired")
    if found.generations:
        told.append(f"generations removed: {some_of(Several.of(list(found.generations)))}")
    return "; ".join(told)
