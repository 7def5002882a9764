"""Which part of a generation was read again, and when: a twelfth at a time, each once a quarter.

    share of a pack = the first 32 bits of its id, modulo 12      ids are SHA-256: shares are alike
    reads           = [{share, at, packs, bytes}, …]              in the state of a generation

One share a week is read, that which nobody has read for the longest time: after twelve weeks, less
than the shortest quarter, all that a generation holds has been read again. What is older than
eleven weeks is read as well, so that a week may be lost. A pack that is added to a share after that
was read is read with it the next time. What a clock of the future has dated counts as never read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from include.backup.evidence.fields import Fields
from include.backup.format.times import text_of_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from include.backup.vault.generations import Generation

SHARES: Final = 12
OVERDUE: Final = timedelta(weeks=11)
LONGEST: Final = timedelta(days=92)  # a quarter


class Share(NamedTuple):
    """What one share of a generation holds."""

    share: int
    packs: int
    size_bytes: int


class Read(NamedTuple):
    """One share of a generation, as it was read."""

    share: int
    at: datetime
    packs: int
    size_bytes: int

    def to_json(self) -> dict[str, object]:
        """As in the state."""
        return {
            "share": self.share,
            "at": text_of_datetime(self.at),
            "packs": self.packs,
            "bytes": self.size_bytes,
        }

    @classmethod
    def of_json(cls, document: object, *, what: str) -> Read:
        """Read that of a state.

        Raises:
            LedgerBroken: names `what` and the field.
        """
        fields = Fields(document, what=what)
        share = fields.number("share")
        if share >= SHARES:
            fields.refuse("share", share)
        return cls(share, fields.moment("at"), fields.number("packs"), fields.number("bytes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What of the live generations of a dataset was read again."""

    shares: int  # of all live generations
    read: int  # how many of them ever were
    packs: int  # in these
    size_bytes: int
    oldest_at: datetime | None  # of the read that is longest ago; None: none of them ever was
    looked_at: datetime | None  # since then each generation was; None: one of them never was
    since: datetime | None  # when the oldest of the generations was opened
    damaged: int  # generations with recovery points that were found damaged

    @property
    def is_whole(self) -> bool:
        """Whether every share was read at least once."""
        return self.read == self.shares

    def is_late(self, now: datetime) -> bool:
        """Whether something was not read for a quarter."""
        oldest = self.oldest_at if self.is_whole else self.since
        return oldest is not None and now - oldest > LONGEST


def share_of(pack_id: bytes) -> int:
    """The share that a pack belongs to."""
    return int.from_bytes(pack_id[:4], "big") % SHARES


def next_shares(
    reads: Sequence[Read], held: Sequence[Share], *, opened_at: datetime, now: datetime
) -> list[int]:
    """The share that was never read, or not for the longest time, and all that is overdue.

    Before it come those without packs, which cost nothing.

    Args:
        held: what each share holds; see shares_of.
        opened_at: the generation; what was never read is as old as that.
    """
    known = {read.share: read.at for read in reads if read.at <= now}
    waiting = [share for share in range(SHARES) if share not in known]
    waiting += sorted(known, key=lambda share: (known[share], share))
    packs = {one.share: one.packs for one in held}
    chosen: list[int] = []
    for share in waiting:
        overdue = now - known.get(share, opened_at) > OVERDUE
        if overdue or not any(packs[one] for one in chosen):
            chosen.append(share)
    return chosen


def with_reads(reads: Sequence[Read], new: Iterable[Read]) -> tuple[Read, ...]:
    """The reads after others, by share; what was recorded later stays, whatever its clock said."""
    known = {read.share: read for read in (*reads, *new)}
    return tuple(known[share] for share in sorted(known))


def coverage(generations: Iterable[Generation], *, now: datetime) -> Coverage:
    """Of the generations that hold recovery points."""
    live = [one for one in generations if one.points]
    each = [[read for read in one.reads if read.at <= now] for one in live]
    reads = [read for own in each for read in own]
    looked = [max((read.at for read in own), default=None) for own in each]
    times = [read.at for read in reads]
    return Coverage(
        shares=SHARES * len(live),
        read=len(reads),
        packs=sum(read.packs for read in reads),
        size_bytes=sum(read.size_bytes for read in reads),
        oldest_at=min(times, default=None),
        looked_at=None if None in looked else min(filter(None, looked), default=None),
        since=min((one.opened_at for one in live), default=None),
        damaged=sum(one.damaged for one in live),
    )


def shares_of(pack_bytes: Iterable[tuple[bytes, int]]) -> list[Share]:
    """What each share holds.

    Args:
        pack_bytes: ids of packs, and their sizes.
    """
    packs, sizes = [0] * SHARES, [0] * SHARES
    for pack_id, size in pack_bytes:
        share = share_of(pack_id)
        packs[share] += 1
        sizes[share] += size
    return [Share(share, packs[share], sizes[share]) for share in range(SHARES)]
