"""What makes a backup suspicious (3.2): the data may have been lost, or encrypted by somebody.

    shrunk      it has lost more of its entries, or bytes, than it may since the recovery point
                before: `shrink_tolerance`, half of them if nobody says
    entropy     half of the data is new, and can hardly be compressed, where it could be before

Such a recovery point is taken all the same: who knows what is still there tomorrow. But nothing of
the dataset expires until a person has looked into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from include.backup.evidence.wording import size

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE: Final = 0.5  # the share that may be lost
_FEW_ENTRIES: Final = 10  # fewer say nothing
_LITTLE_BYTES: Final = 1 << 20
_NEW_SHARE: Final = 0.5  # of all, so that the whole looks different
_COMPRESSIBLE: Final = 0.8  # stored of new: text and rows are well below
_RANDOM: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one recovery point."""

    entries: int
    bytes_all: int  # 0: nobody has counted
    bytes_new: int
    bytes_stored: int  # what they took in the vault

    @property
    def ratio(self) -> float | None:
        """Stored of new; None where too little is new."""
        if self.bytes_new < _LITTLE_BYTES:
            return None
        return self.bytes_stored / self.bytes_new


class Taken(Protocol):
    """A recovery point, as far as figures are concerned; vault/generations.py has it."""

    @property
    def entries(self) -> int:
        """Files, folders and other entries in it."""
        ...

    @property
    def bytes_all(self) -> int:
        """Size of all its content."""
        ...

    @property
    def bytes_new(self) -> int:
        """Size of the content that no earlier one had."""
        ...

    @property
    def bytes_stored(self) -> int:
        """What that takes in the vault, compressed."""
        ...


def figures_of(points: Sequence[Taken]) -> list[Figures]:
    """The figures of recovery points, in their order."""
    return [
        Figures(
            entries=point.entries,
            bytes_all=point.bytes_all,
            bytes_new=point.bytes_new,
            bytes_stored=point.bytes_stored,
        )
        for point in points
    ]


def suspicion(now: Figures, before: Sequence[Figures], *, tolerance: float = TOLERANCE) -> str:
    """What is suspicious about a recovery point; empty: nothing.

    Args:
        before: earlier ones, the newest last.
        tolerance: the share of entries, or of bytes, that may be lost; 1: all of them.
    """
    if not before:
        return ""
    last, left = before[-1], 1 - tolerance
    if last.entries >= _FEW_ENTRIES and now.entries < last.entries * left:
        return f"{now.entries:,} entries are left of {last.entries:,}"
    if last.bytes_all >= _LITTLE_BYTES and now.bytes_all < last.bytes_all * left:
        return f"{size(now.bytes_all)} are left of {size(last.bytes_all)}"
    ratios = [one.ratio for one in before if one.ratio is not None]
    if (
        now.ratio is not None
        and now.ratio >= _RANDOM
        and now.bytes_new >= now.bytes_all * _NEW_SHARE
        and ratios
        and min(ratios) <= _COMPRESSIBLE
    ):
        return (
            f"{size(now.bytes_new)} of {size(now.bytes_all)} are new, and cannot be compressed "
            "as before: were they encrypted?"
        )
    return ""
