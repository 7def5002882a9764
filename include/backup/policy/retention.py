"""How long recovery points and generations live (3.2): a verdict on each, with its reason.

A recovery point is kept until its expiry, which its record fixes. A longer retention of its class
lengthens that, which is recorded as well; a shorter one does not shorten it. Beyond its expiry it
is kept only

    on hold                 somebody with the right to do so has said that nothing may go
    in doubt                a suspicious run is unresolved: what lies before it may be all there is
    as the last way back    the newest two, and the newest verified one, unless it is retired
    from the future         some clock was wrong, and nobody knows how old it is

Pure: `now` is an argument, and the order is the ledger's, never a clock's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import SKEW

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

KEPT_POINTS: Final = 2  # the newest of them never expire
MOST_LATE: Final = timedelta(days=1)  # what has expired is gone that much later


class Dated(Protocol):
    """A recovery point, as far as retention is concerned; vault/generations.py has it."""

    @property
    def snapshot(self) -> str:
        """Its id in the repository, hexadecimal."""
        ...

    @property
    def generation(self) -> str:
        """The id of the generation that holds it."""
        ...

    @property
    def taken_at(self) -> datetime:
        """Its consistency point, with a time zone."""
        ...

    @property
    def expires_at(self) -> datetime:
        """When it may go, as its record says; with a time zone."""
        ...

    @property
    def sequence(self) -> int:
        """The number of its record in the ledger."""
        ...

    @property
    def verified_at(self) -> datetime | None:
        """When a restore of it was last verified; None: never."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else decides about the recovery points of a dataset."""

    now: datetime
    retention: timedelta  # of its class, now
    complete_within: timedelta  # of its class: as much a long full may lie behind
    damaged: Collection[str] = ()  # generations in which nothing counts as a copy
    held: str = ""  # why nothing of it may go; empty: no hold on all of it
    held_points: Mapping[str, str] = field(default_factory=dict)  # snapshots on hold, and why
    suspicion: str = ""  # why its data is in doubt; empty: it is not
    retired: bool = False  # it is backed up no more, and needs no way back


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionVerdict:
    """On one recovery point."""

    snapshot: str
    generation: str
    taken_at: datetime
    recorded: datetime  # the expiry that its record fixed
    until: datetime  # until when it is kept; past, if only the circumstances keep it
    expires: bool  # now
    why: str


def expires_at(taken_at: datetime, retention: timedelta) -> datetime:
    """When the promise to keep a recovery point ends; it counts from its consistency point."""
    return taken_at + retention


def closes_at(opened_at: datetime, full_interval: timedelta, grace: timedelta) -> datetime:
    """When a generation stops growing. The next full is due before, by the length of `grace`."""
    return opened_at + full_interval + grace


def longest_life(retention: timedelta, full_interval: timedelta, grace: timedelta) -> timedelta:
    """How long the bytes of a generation can live, from its opening on.

    A generation dies whole. Its last incremental may be taken just before it closes, is kept for
    its retention, and needs the full all that time.
    """
    return full_interval + grace + retention


def judge_points(points: Sequence[Dated], about: Circumstances) -> list[RetentionVerdict]:
    """A verdict on every recovery point of a dataset.

    Args:
        points: in the order of the ledger.
    """
    last_ways = {} if about.retired else last_ways_back(points, about.damaged)
    return [
        _verdict(point, until, last_ways.get(point.snapshot, ""), about)
        for point, until in _kept_until(points, about)
    ]


def _verdict(
    point: Dated, until: datetime, last_way: str, about: Circumstances
) -> RetentionVerdict:
    expires, why = _decide(point, until, last_way, about)
    return RetentionVerdict(
        snapshot=point.snapshot,
        generation=point.generation,
        taken_at=point.taken_at,
        recorded=point.expires_at,
        until=until,
        expires=expires,
        why=why,
    )


def _decide(point: Dated, until: datetime, last_way: str, about: Circumstances) -> tuple[bool, str]:
    """Whether it expires, and why (not). What protects it stands before its age."""
    if held := about.held or about.held_points.get(point.snapshot):
        return False, f"on hold: {held}"
    if about.suspicion:
        return False, f"in doubt: {about.suspicion}"
    if point.taken_at > about.now + SKEW:
        return False, "it lies in the future: a clock is or was wrong"
    if about.now < until:
        return False, f"kept for {format_duration(until - point.taken_at)}"
    if last_way:
        return False, f"expired, and kept as {last_way}"
    return True, f"its {format_duration(until - point.taken_at)} are over"


def _kept_until(points: Sequence[Dated], about: Circumstances) -> Iterator[tuple[Dated, datetime]]:
    """Each with its expiry: as recorded, or later by the class of today.

    A clock that was set back dates a recovery point long before those that the ledger had already;
    it is as old as the newest of them then, and no older. A long full may lie a little behind.
    """
    newest: datetime | None = None
    behind = about.complete_within + SKEW
    for point in points:
        age_from = point.taken_at
        if newest is not None and newest - point.taken_at > behind:
            age_from = newest
        if point.taken_at <= about.now + SKEW:
            newest = max(newest or point.taken_at, point.taken_at)
        yield point, max(point.expires_at, age_from + about.retention)


def last_ways_back(points: Sequence[Dated], damaged: Collection[str]) -> dict[str, str]:
    """The recovery points that a dataset whose backups have stopped is left with, and as what.

    Those of damaged generations count only where there are no others.
    """
    sound = [point for point in points if point.generation not in damaged] or list(points)
    ways: dict[str, str] = {}
    verified = [point for point in sound if point.verified_at is not None]
    if verified:
        ways[verified[-1].snapshot] = "the newest that was verified"
    for point in sound[-KEPT_POINTS:]:
        ways[point.snapshot] = f"one of the newest {KEPT_POINTS}"
    return ways
