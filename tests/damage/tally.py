"""How a campaign went, as a line of the table that `make torture` prints at its end."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEAD = "| fault | tried | survived | lost | how they ended |"
LOST = "LOST"


def tell(fault: str, ends: Mapping[str, int]) -> None:
    """Print a line.

    Args:
        ends: how many ended in which way; LOST where something acknowledged was lost or a success
            was told falsely.
    """
    tried, lost = sum(ends.values()), ends.get(LOST, 0)
    how = ", ".join(f"{number:,} {end}" for end, number in sorted(ends.items()))
    print(f"\n| {fault} | {tried:,} | {tried - lost:,} | {lost:,} | {how} |", flush=True)


@contextmanager
def telling(act: str, *, of: str) -> Iterator[defaultdict[str, Counter[str]]]:
    """Counters by kind of fault, each told as a line; also of a sweep that somebody ends early.

    Args:
        of: the kind of sweep, with which its lines begin.
    """
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    try:
        yield table
    finally:
        for kind, ends in table.items():
            tell(f"{of}: {kind}, {act}", ends)
