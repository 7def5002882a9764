"""The closing sentence of a verification: what was proved, how deep, in what time (3.4, 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.evidence.sentences import sentence
from include.backup.evidence.wording import Several, count, moment, size, some_of
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.backup.evidence.sentences import Subject

_TESTED: Final = ("3.4",)
_TESTED_IN_TIME: Final = ("3.4", "4.2")


_NONE: Final = Several((), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One recovery point that was looked at."""

    taken_at: datetime
    contents: str  # as in "11,619 files"
    size_bytes: int
    took: timedelta  # to restore it; of one that was only read, to read it
    faults: Several
    obstacle: str = ""  # why it could not be looked at
    expected: int = 0  # how much of what users expect is so
    unjudged: Several = _NONE  # what is expected, and could not be judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How a verification was done."""

    place: str  # where restores were tried; empty: nowhere
    limit: timedelta  # the RTO of the class
    missing: str = ""  # what a verification has to have besides, and this one lacked
    encrypted: bool | None = None  # whether the place is, as its owner says; None: nothing said
    forecast: timedelta | None = None  # how long a restore was to take, by earlier ones


def verified(subject: Subject, looked: Sequence[Looked], extent: Extent, *, hint: str = "") -> str:
    """Recovery points were looked at; the verdict is that of the worst of them."""
    late = [one for one in looked if one.took > extent.limit and extent.place]
    wrong = [one for one in looked if one.faults.total]
    unseen = [one for one in looked if one.obstacle]
    verdict = verdict_of(looked, extent)
    clauses = _TESTED_IN_TIME if late or verdict is Verdict.KEPT else _TESTED
    return sentence(
        verdict,
        clauses,
        subject,
        _found(looked, extent),
        *(_faults(one) for one in wrong),
        *(f"the one of {moment(one.taken_at)} could not be proved: {one.obstacle}"
          for one in unseen),
        *(_unjudged(one) for one in looked if one.unjudged.total),
        _time(looked, extent, late=bool(late)),
        extent.missing,
        _encryption(extent),
        hint=hint,
    )  # fmt: skip


def passed(looked: Sequence[Looked], extent: Extent) -> bool:
    """Whether nothing was wrong, and everything could be looked at; in time, if it was restored."""
    if any(one.obstacle or one.unjudged.total for one in looked):
        return False
    return verdict_of(looked, extent) is not Verdict.BROKEN


def verdict_of(looked: Sequence[Looked], extent: Extent) -> Verdict:
    """How a verification ended."""
    late = extent.place and any(one.took > extent.limit for one in looked)
    if late or any(one.faults.total for one in looked):
        return Verdict.BROKEN
    if not extent.place or extent.missing:
        return Verdict.NOT_TESTED
    if any(one.obstacle or one.unjudged.total for one in looked):
        return Verdict.NOT_TESTED
    return Verdict.KEPT


def verification_failed(subject: Subject, *, reason: str, hint: str = "") -> str:
    """A verification ended before it could say anything."""
    return sentence(
        Verdict.NOT_TESTED,
        _TESTED,
        subject,
        f"verification failed: {reason}",
        "it says nothing about the recovery points",
        hint=hint,
    )


def _found(looked: Sequence[Looked], extent: Extent) -> str:
    seen = [one for one in looked if not one.obstacle]
    points = count(len(seen), "recovery point")
    if not seen:
        return f"none of {count(len(looked), 'recovery point')} could be looked at"
    newest = seen[0]
    of = f"the first of {moment(newest.taken_at)}: {newest.contents}, {size(newest.size_bytes)}"
    whole = sum(not one.faults.total for one in seen)
    if not extent.place:
        fit = "every block fits its id" if whole == len(seen) else f"{whole} of them whole"
        return f"{points} read, {fit}; {of}"
    identical = "all as they were backed up" if whole == len(seen) else f"{whole} of them whole"
    expected = sum(one.expected for one in seen)
    hold = f", {count(expected, 'expectation')} of users met" if expected else ""
    return f"{points} restored to {extent.place} and compared, {identical}{hold}; {of}"


def _faults(one: Looked) -> str:
    faults = count(one.faults.total, "fault")
    return f"that of {moment(one.taken_at)} has {faults}: {some_of(one.faults)}"


def _unjudged(one: Looked) -> str:
    told = count(one.unjudged.total, "expectation")
    return f"{told} of that of {moment(one.taken_at)} could not be judged: {some_of(one.unjudged)}"


def _time(looked: Sequence[Looked], extent: Extent, *, late: bool) -> str:
    if not extent.place:
        return "nothing was restored"
    longest = max((one.took for one in looked), default=timedelta())
    limit = format_duration(extent.limit)
    if late:
        return f"a restore took {format_duration(longest)}, longer than may be (limit {limit})"
    forecast = f"forecast {format_duration(extent.forecast)}, " if extent.forecast else ""
    return f"the longest restore took {format_duration(longest)} ({forecast}limit {limit})"


def _encryption(extent: Extent) -> str:
    if not extent.place or extent.encrypted:
        return ""
    said = "is not encrypted" if extent.encrypted is False else "nobody says that it is encrypted"
    return f"AT RISK 3.3: customers' data was there for a while, and {said}"
