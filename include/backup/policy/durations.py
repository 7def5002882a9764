"""Lengths of time and frequencies, as people write them.

    duration   = number unit ...         # "30 days", "36h", "24 h 48 min"
    frequency  = hourly | daily | weekly | monthly | quarterly | annually
               | every [number] hours|days|weeks

Months and years have no fixed length. As a duration they are refused; as a frequency they stand
for two figures: the shortest calendar period that the word may mean, which is what a schedule is
derived from, and the longest, which is what a calendar schedule may reach without breaking the
word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from include.backup.errors import ConfigurationInvalid

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
LONGEST: Final = timedelta(days=36_525)  # a century: beyond it is a slip of the pen

_MINUTE = timedelta(minutes=1)
_EXAMPLES = 'write it as in "90 min", "48 hours" or "30 days"'
_UNITS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), HOUR),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), timedelta(weeks=1)),
}
_VAGUE: Final = {
    "m": "write min for minutes, or the days that the months have",
    **dict.fromkeys(
        ("mo", "month", "months", "y", "yr", "year", "years"),
        "its length varies with the calendar: write days",
    ),
}
_PART = re.compile(r"\s*([0-9]{1,9})\s*([a-z]+)", re.ASCII | re.IGNORECASE)
_EVERY = re.compile(r"every\s+(?:([0-9]{1,9})\s*)?([a-z]+)", re.ASCII | re.IGNORECASE)


def parse_duration(text: str) -> timedelta:
    """The length of time that `text` says; zero is a length.

    Raises:
        ConfigurationInvalid: no length of time, one whose length varies, or more than a century.
    """
    total, position = timedelta(), 0
    stripped = text.strip()
    while position < len(stripped):
        if (part := _PART.match(stripped, position)) is None:
            raise _no_duration(text)
        number, unit = int(part[1]), part[2].lower()
        if unit in _VAGUE:
            raise ConfigurationInvalid(
                f'"{text}" has no fixed length: {part[2]}', hint=_VAGUE[unit]
            )
        if unit not in _UNITS:
            raise ConfigurationInvalid(
                f'"{text}" is no length of time: no unit is called {part[2]}', hint=_EXAMPLES
            )
        if number * _UNITS[unit].total_seconds() > LONGEST.total_seconds():
            raise ConfigurationInvalid(f'"{text}" is more than a century', hint=_EXAMPLES)
        total += number * _UNITS[unit]
        position = part.end()
    if not stripped:
        raise _no_duration(text)
    if total > LONGEST:
        raise ConfigurationInvalid(f'"{text}" is more than a century', hint=_EXAMPLES)
    return total


def _no_duration(text: str) -> ConfigurationInvalid:
    if re.fullmatch(r"\s*[0-9]+\s*", text):
        return ConfigurationInvalid(
            f'"{text}" has no unit', hint=f'write "{text.strip()} hours" or "{text.strip()} days"'
        )
    return ConfigurationInvalid(f'"{text}" is no length of time', hint=_EXAMPLES)


def format_duration(length: timedelta) -> str:
    """Write a length of time for people: "24 h 48 min", "48 h", "1 day", "6 days 12 h".

    Up to 72 hours it counts in hours, because objectives of a few days are promised in hours; a
    single whole day is "1 day". From an hour on, the seconds are rounded up to a minute, so that
    an age just past its limit never reads as if it had kept it.
    """
    if length < timedelta():
        return f"-{format_duration(-length)}"
    if length < HOUR:
        minutes, seconds = divmod(-(-length // timedelta(seconds=1)), 60)
        return _join((minutes, "min"), (seconds, "s")) or "0 min"
    total_minutes = -(-length // _MINUTE)
    days, minutes = divmod(total_minutes, 24 * 60)
    if (days, minutes) == (1, 0):
        return "1 day"
    if total_minutes <= 72 * 60:
        days, minutes = 0, total_minutes
    hours, minutes = divmod(minutes, 60)
    return _join((days, "days"), (hours, "h"), (minutes, "min"))


def _join(*parts: tuple[int, str]) -> str:
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequency:
    """How often something is promised."""

    words: str  # "daily", "every 6 days"
    interval: timedelta  # shortest period that the words may mean; schedules are derived from it
    longest: timedelta  # longest period that still keeps the words

    def __str__(self) -> str:
        return self.words


_NAMED: Final = {
    "hourly": (HOUR, HOUR),
    "daily": (DAY, DAY),
    "weekly": (7 * DAY, 7 * DAY),
    "monthly": (28 * DAY, 31 * DAY),
    "quarterly": (90 * DAY, 92 * DAY),
    "annually": (365 * DAY, 366 * DAY),
    "yearly": (365 * DAY, 366 * DAY),
}
_FREQUENCY_HINT = f"write {', '.join(_NAMED)}, or as in 'every 6 days' or 'every 12 hours'"


def parse_frequency(text: str) -> Frequency:
    """The frequency that `text` says.

    Raises:
        ConfigurationInvalid: no frequency, more often than hourly, or less than once a century.
    """
    words = " ".join(text.lower().split())
    if named := _NAMED.get(words):
        return Frequency(words=words, interval=named[0], longest=named[1])
    every = _EVERY.fullmatch(words)
    unit = _UNITS.get(every[2]) if every else None
    # Whole hours only: slots fall on the ticks of Airflow, and those come hourly at most.
    if every is None or unit is None or unit < HOUR:
        raise ConfigurationInvalid(f'"{text}" is no frequency', hint=_FREQUENCY_HINT)
    number = int(every[1] or 1)
    if not 0 < number * unit.total_seconds() <= LONGEST.total_seconds():
        raise ConfigurationInvalid(
            f'"{text}" is not between once an hour and once a century', hint=_FREQUENCY_HINT
        )
    interval = number * unit
    return Frequency(words=every_words(interval), interval=interval, longest=interval)


def every_words(interval: timedelta) -> str:
    """An interval of whole hours as frequencies are written: "every day", "every 36 hours"."""
    number, unit = (interval // DAY, "day") if not interval % DAY else (interval // HOUR, "hour")
    return f"every {unit}" if number == 1 else f"every {number} {unit}s"
