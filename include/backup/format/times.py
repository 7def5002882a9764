"""Times as restic writes them: RFC 3339 with nanoseconds and no trailing zeros.

Written times are always UTC ("Z"). Read times may carry any offset and are compared as text,
so a time never loses a digit on its way through Python.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from include.backup.errors import DamageFound

ZERO_TIME = "0001-01-01T00:00:00Z"
_NANOSECONDS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_ONE_SECONDS = -62_135_596_800
_YEAR_9999_SECONDS = 253_402_300_799
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)


@lru_cache(maxsize=4096)
def _whole_seconds(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def text_of_nanoseconds(nanoseconds: int) -> str:
    """Format nanoseconds since 1970 as restic does.

    Years outside 1 to 9999, which the format cannot hold, become the nearest it can.
    """
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS)
    if not _YEAR_ONE_SECONDS <= seconds <= _YEAR_9999_SECONDS:
        seconds, fraction = min(max(seconds, _YEAR_ONE_SECONDS), _YEAR_9999_SECONDS), 0
    if not fraction:
        return f"{_whole_seconds(seconds)}Z"
    return f"{_whole_seconds(seconds)}.{fraction:09d}".rstrip("0") + "Z"


def nanoseconds_of_text(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time.

    Raises:
        DamageFound: not a time.
    """
    if (match := _RFC3339.fullmatch(text)) is None:
        raise DamageFound(f"{text[:80]!r} is not an RFC 3339 time")
    whole, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone))
    except ValueError as error:
        raise DamageFound(f"{text[:80]!r} is not an RFC 3339 time: {error}") from error
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * _NANOSECONDS + int(
        (fraction or "0").ljust(9, "0")
    )


def text_of_datetime(moment: datetime) -> str:
    """Format an aware datetime (microseconds kept) as restic does."""
    elapsed = moment - _EPOCH
    seconds = elapsed.days * 86_400 + elapsed.seconds
    return text_of_nanoseconds(seconds * _NANOSECONDS + elapsed.microseconds * 1000)


def datetime_of_text(text: str) -> datetime:
    """The aware UTC datetime of an RFC 3339 time; digits below microseconds are dropped.

    Raises:
        DamageFound: not a time.
    """
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds_of_text(text) // 1000)
    except OverflowError:  # the first or last day of the calendar, seen from elsewhere
        raise DamageFound(f"{text!r} is not a time between the years 1 and 9999 in UTC") from None
