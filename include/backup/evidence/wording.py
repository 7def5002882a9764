"""Sizes, times and texts as people read them in logs and reports.

Sizes are binary (KiB, MiB, GiB), times UTC.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")
_STEP: Final = 1024
_THREE_DIGITS: Final = 100
_MOST_NAMED: Final = 2


def size(count_bytes: int) -> str:
    """A number of bytes for people: "12.3 GiB", "45 MiB", "0 bytes"."""
    if count_bytes < _STEP:
        return "1 byte" if count_bytes == 1 else f"{count_bytes} bytes"
    # By what will be shown: 1023.7 KiB is 1024 KiB when rounded, and that is 1 MiB.
    power = 1
    while round(count_bytes / _STEP**power) >= _STEP and power < len(_UNITS):
        power += 1
    amount, unit = count_bytes / _STEP**power, _UNITS[power - 1]
    # Three digits are enough, and 99.96 has more when it is rounded to one behind the point.
    digits = f"{amount:.1f}" if round(amount, 1) < _THREE_DIGITS else f"{amount:.0f}"
    return f"{digits.removesuffix('.0')} {unit}"


def count(number: int, noun: str, plural: str = "") -> str:
    """How many there are of something: "1 file", "1,204 files", "2 entries"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


class Several(NamedTuple):
    """Texts of one sort: the first by name, all by number."""

    texts: Sequence[str]
    total: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> Several:
        """All of them."""
        return cls(texts, len(texts))

    def and_more(self, others: Several) -> Several:
        """These and others."""
        return Several((*self.texts, *others.texts), self.total + others.total)


def some_of(several: Several) -> str:
    """The first two of many texts, and how many there are beside them: "a, b and 3 more"."""
    named = several.texts[:_MOST_NAMED]
    others = several.total - len(named)
    text = ", ".join(named)
    return f"{text} and {others:,} more" if others > 0 else text


def moment(when: datetime) -> str:
    """A time for people: "2026-11-23 01:00:04 UTC"."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(when: datetime) -> str:
    """A date for people, in UTC: "2026-12-23"."""
    return f"{when.astimezone(UTC):%Y-%m-%d}"


def one_line(text: str) -> str:
    """`text` without line breaks and other control characters, which could fake a log line."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
