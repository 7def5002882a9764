"""The life of one dataset, tick by tick: queueing, failures, retries, and who is in the way.

It imports nothing of the project and knows no interval, slack or proof. It plays what happens:

- The class's run for a tick begins when the tick comes and the run before it is over; while a run
  goes on, ticks pass unused, and afterwards only the newest of them gets a run.
- A run asks `is_due` which slot the dataset owes, as the first task of the DAG does.
- If one is owed, the weather decides: how long the dataset waits in the queue, how many attempts
  fail, when the data is consistent, when the point is committed, or that the run is lost.
- Other datasets of the class may keep the run busy until its own time is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happens to one run, in parts of the time it has: 0 is its start, 1 its deadline."""

    attempts: tuple[float, ...] = (0.0,)  # when each attempt begins; the last one may succeed
    ends: float = 1.0  # when the last attempt ends, or the run is lost
    lost: bool = False


class Weather(Protocol):
    """Decides what the machines and networks do."""

    def outcome(self) -> Outcome:
        """What happens to a run that has something to do."""

    def others_busy(self) -> float:
        """How far into its time other datasets of the class keep a run going: 0 to 1."""


@dataclass(slots=True)
class Life:
    """What was measured."""

    greatest_age: timedelta = timedelta()  # of the newest point, from the first point on
    points: list[tuple[datetime, datetime]] = field(default_factory=list)  # consistent, committed
    runs: int = 0
    lost: int = 0


def ticks(cron: str, first_day: date, days: int) -> list[datetime]:
    """Every moment of some days at which "minutes hours * * *" matches, in UTC."""
    minutes, hours, *rest = cron.split()
    assert rest == ["*", "*", "*"], cron
    return [
        datetime.combine(first_day + timedelta(days=day), time(hour, minute), UTC)
        for day in range(days)
        for hour in _expand(hours, 24)
        for minute in _expand(minutes, 60)
    ]


def _expand(text: str, size: int) -> list[int]:
    def each() -> Iterator[int]:
        for part in text.split(","):
            span, _, step = part.partition("/")
            low, _, high = ("0-" + str(size - 1) if span == "*" else span).partition("-")
            yield from range(int(low), int(high or low) + 1, int(step or 1))

    return sorted(set(each()))


def play(
    moments: Sequence[datetime],
    *,
    is_due: Callable[[datetime, datetime | None], datetime | None],
    complete_within: timedelta,
    weather: Weather,
) -> Life:
    """Live through the ticks and measure how old the newest recovery point ever was."""
    life = Life()
    last_slot: datetime | None = None
    free_at, position = moments[0], 0
    while position < len(moments):
        while position + 1 < len(moments) and moments[position + 1] <= free_at:
            position += 1
        tick = moments[position]
        position += 1
        start = max(tick, free_at)
        slot = is_due(tick, last_slot)
        ended = start
        if slot is not None:
            # A first run is measured against its slot, whatever tick it had to wait for.
            deadline = (slot if start < slot + complete_within else tick) + complete_within
            room = deadline - start
            assert room > timedelta(), "the run before overstayed its deadline"
            outcome = weather.outcome()
            ended = start + outcome.ends * room
            life.runs += 1
            life.lost += outcome.lost
            if not outcome.lost:
                consistent_at = start + outcome.attempts[-1] * room
                if life.points:
                    life.greatest_age = max(life.greatest_age, ended - life.points[-1][0])
                life.points.append((consistent_at, ended))
                last_slot = slot
        free_at = max(ended, start + weather.others_busy() * (tick + complete_within - start))
    return life
