"""Durations and frequencies as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.durations import format_duration, parse_duration, parse_frequency


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 days", timedelta(days=30)),
        ("48 hours", timedelta(hours=48)),
        ("7d", timedelta(days=7)),
        ("90 min", timedelta(minutes=90)),
        ("1 week", timedelta(days=7)),
        ("36h", timedelta(hours=36)),
        ("24 h 48 min", timedelta(hours=24, minutes=48)),
        (" 1 Day  12 Hours ", timedelta(hours=36)),
        ("45s", timedelta(seconds=45)),
        ("0 days", timedelta()),
    ],
)
def test_durations_are_read_as_written(text: str, expected: timedelta) -> None:
    """Every usual way to write a length of time is understood."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("48", '"48" has no unit; hint: write "48 hours" or "48 days"'),
        ("", '"" is no length of time'),
        ("days", '"days" is no length of time'),
        ("3 fortnights", "no unit is called fortnights"),
        ("1 month", "has no fixed length: month"),
        ("6m", "has no fixed length: m; hint: write min for minutes"),
        ("-1 day", "is no length of time"),
        ("1.5 h", "is no length of time"),
        ("999999999 weeks", "more than a century"),
        ("36525 days 1 s", "more than a century"),
        ("٣ days", "is no length of time"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_reason(text: str, message: str) -> None:
    """An error says what is wrong with the text and, where it can, what to write."""
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_duration(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (timedelta(hours=24, minutes=48), "24 h 48 min"),
        (timedelta(hours=48), "48 h"),
        (timedelta(days=30), "30 days"),
        (timedelta(days=6), "6 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=6, hours=12), "6 days 12 h"),
        (timedelta(hours=72), "72 h"),
        (timedelta(hours=48, seconds=1), "48 h 1 min"),
        (timedelta(minutes=12, seconds=30), "12 min 30 s"),
        (timedelta(), "0 min"),
        (timedelta(microseconds=1), "1 s"),
        (timedelta(hours=-3), "-3 h"),
    ],
)
def test_durations_are_written_for_people(length: timedelta, expected: str) -> None:
    """Objectives of a few days are shown in hours, longer ones in days."""
    assert format_duration(length) == expected


@pytest.mark.parametrize(
    ("text", "words", "shortest", "longest"),
    [
        ("hourly", "hourly", timedelta(hours=1), timedelta(hours=1)),
        ("Daily", "daily", timedelta(days=1), timedelta(days=1)),
        ("weekly", "weekly", timedelta(days=7), timedelta(days=7)),
        ("monthly", "monthly", timedelta(days=28), timedelta(days=31)),
        ("quarterly", "quarterly", timedelta(days=90), timedelta(days=92)),
        ("annually", "annually", timedelta(days=365), timedelta(days=366)),
        ("every 6 days", "every 6 days", timedelta(days=6), timedelta(days=6)),
        ("every 2 weeks", "every 14 days", timedelta(days=14), timedelta(days=14)),
        ("every 36 hours", "every 36 hours", timedelta(hours=36), timedelta(hours=36)),
        ("every day", "every day", timedelta(days=1), timedelta(days=1)),
    ],
)
def test_frequencies_are_read_as_written(
    text: str, words: str, shortest: timedelta, longest: timedelta
) -> None:
    """A frequency knows the shortest and the longest period that its words may mean."""
    frequency = parse_frequency(text)
    assert (frequency.words, frequency.interval, frequency.longest) == (words, shortest, longest)
    assert parse_frequency(frequency.words) == frequency


@pytest.mark.parametrize(
    "text", ["", "often", "every", "every 30 minutes", "every 2 months", "every 0 days", "6 days"]
)
def test_what_is_no_frequency_is_refused(text: str) -> None:
    """Frequencies that no tick can keep, or whose length varies, are refused with examples."""
    with pytest.raises(ConfigurationInvalid, match="hint: write hourly, daily"):
        parse_frequency(text)
