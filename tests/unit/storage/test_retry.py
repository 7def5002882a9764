"""The layer that does whole operations again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.backup.errors import (
    AccessRefused,
    BackupError,
    DamageFound,
    FileAbsent,
    NameTaken,
    StorageFull,
    StorageUnreachable,
)
from include.backup.storage.retry import Patience, WorthOneRetry, retried


class Time:
    """Seconds that pass only by sleeping, or by `spend`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Let that time pass."""
        self.waits.append(seconds)
        self.seconds += seconds

    def patience(self, chance: float = 0.999_999, **settings: timedelta) -> Patience:
        """Patience that lives in this time."""
        return Patience(
            sleep=self.sleep, monotonic=lambda: self.seconds, chance=lambda: chance, **settings
        )


class Flaky:
    """An operation that fails as told and then succeeds."""

    def __init__(self, *failures: BackupError) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> str:
        """Fail as told, else be done."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def test_what_heals_in_time_succeeds() -> None:
    """An operation is done again until it gives an answer."""
    time = Time()
    assert retried(Flaky(*[StorageUnreachable("no")] * 5), time.patience()) == "done"
    assert len(time.waits) == 5


def test_a_long_wait_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody takes it for a program that hangs; a hiccup is worth no line."""
    retried(Flaky(*[StorageUnreachable("no answer from x")] * 2), Time().patience())
    assert not caplog.messages
    retried(Flaky(*[StorageUnreachable("no answer from x")] * 4), Time().patience())
    assert caplog.messages == [
        "no answer from x; 3 tries in 3 s, again in 4 s",
        "no answer from x; 4 tries in 7 s, again in 8 s",
    ]


def test_waits_double_up_to_a_limit() -> None:
    """The first retry comes soon, the later ones spare a struggling store."""
    time = Time()
    retried(Flaky(*[StorageUnreachable("no")] * 8), time.patience())
    assert [round(wait) for wait in time.waits] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_chance_takes_at_most_half_of_a_wait() -> None:
    """Workers that failed together come back apart, and none at once."""
    patience = Time().patience(chance=0.0)
    assert patience.wait_seconds(1) == pytest.approx(0.5)
    assert patience.wait_seconds(1_000_000) == pytest.approx(15.0)


def test_the_deadline_ends_it_and_says_how_often() -> None:
    """After the deadline the last error comes out, with the number of tries."""
    time, operation = Time(), Flaky(*[StorageUnreachable("store is gone", hint="look")] * 1000)
    with pytest.raises(
        StorageUnreachable, match=r"store is gone \(\d+ tries in \d+ s\); hint"
    ) as e:
        retried(operation, time.patience(deadline=timedelta(minutes=15)))
    assert 850 < time.seconds <= 900
    assert f"({operation.calls} tries" in str(e.value)


@pytest.mark.parametrize(
    "answer",
    [AccessRefused, NameTaken, FileAbsent, StorageFull, DamageFound],
    ids=lambda kind: kind.__name__,
)
def test_an_answer_is_never_asked_for_again(answer: type[BackupError]) -> None:
    """Refused, taken, absent, full and damaged are answers."""
    time, operation = Time(), Flaky(answer("no"))
    with pytest.raises(answer):
        retried(operation, time.patience())
    assert operation.calls == 1
    assert time.waits == []


def test_a_wrong_clock_is_tried_once_more() -> None:
    """A request signed before a sleep deserves a second one; a wrong clock no third."""
    time = Time()
    assert retried(Flaky(WorthOneRetry("clock")), time.patience()) == "done"
    operation = Flaky(*[WorthOneRetry("clock")] * 9)
    with pytest.raises(StorageUnreachable):
        retried(operation, time.patience())
    assert operation.calls == 2
