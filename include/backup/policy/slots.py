"""Slots: the moments at which a backup of a dataset is scheduled.

A **slot** is a promise ("a backup is taken at this moment"), a **tick** an occasion: Airflow
starts the DAG of a class at every tick, and most ticks find nothing due. Every slot is a tick, and
there are at least daily ticks between slots, so that a failed dataset is tried again soon.

    Grid   slots at 1970-01-01T00:00Z + offset + n * interval, for every whole n
    Cron   slots where a cron expression matches, in UTC

Both are plain arithmetic on aware UTC datetimes; neither has a beginning, so the newest slot at
any moment exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.durations import DAY, HOUR, every_words, parse_frequency

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Slots at equal distances, anchored in 1970, so that no slot depends on an earlier one."""

    interval: timedelta
    offset: timedelta = timedelta()  # of one of the slots after EPOCH

    def newest_slot(self, moment: datetime) -> datetime:
        """The last slot at or before `moment`."""
        return moment - (moment - EPOCH - self.offset) % self.interval

    def next_slot(self, moment: datetime) -> datetime:
        """The first slot after `moment`."""
        return self.newest_slot(moment) + self.interval

    def slots(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Every slot from `since` on and before `until`."""
        slot = self.next_slot(since - timedelta.resolution)
        while slot < until:
            yield slot
            slot += self.interval

    @property
    def tick_cron(self) -> str:
        """The ticks as a cron expression in UTC: daily, or hourly when slots need it."""
        minute, hour = self._first.minute, self._first.hour
        return f"{minute} {hour} * * *" if self.tick == DAY else f"{minute} * * * *"

    @property
    def tick(self) -> timedelta:
        """The time from one tick to the next."""
        return HOUR if self.interval % DAY else DAY

    def next_tick(self, moment: datetime) -> datetime:
        """The first tick after `moment`."""
        return moment - (moment - EPOCH - self.offset) % self.tick + self.tick

    def __str__(self) -> str:
        at = f" at {self._first:%H:%M} UTC" if self.tick == DAY else " (UTC)"
        return every_words(self.interval) + at

    @property
    def _first(self) -> datetime:
        return EPOCH + self.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Slots where a cron expression of five fields matches, in UTC."""

    expression: str

    def newest_slot(self, moment: datetime) -> datetime:
        """The last slot at or before `moment`."""
        # croniter looks strictly before its start, and slots lie on whole minutes.
        found = croniter(self.expression, moment.replace(microsecond=0) + _SECOND)
        return _utc(found.get_prev(datetime))

    def next_slot(self, moment: datetime) -> datetime:
        """The first slot after `moment`."""
        return _utc(croniter(self.expression, moment.replace(microsecond=0)).get_next(datetime))

    def slots(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Every slot from `since` on and before `until`.

        Days are found by croniter, the times of each day by combining hours and minutes: ten
        years of an hourly schedule take a tenth of a second so.
        """
        times = self._times()
        day_fields = " ".join(self.expression.split()[2:])
        midnight = datetime.combine(since.date(), time(), UTC)
        days = croniter(f"0 0 {day_fields}", midnight - _SECOND)
        while True:
            day = _utc(days.get_next(datetime))
            if day >= until:
                return
            for of_day in times:
                if since <= (slot := datetime.combine(day.date(), of_day, UTC)) < until:
                    yield slot

    @property
    def tick_cron(self) -> str:
        """The ticks as a cron expression in UTC: the times of the slots, on every day."""
        return f"{' '.join(self.expression.split()[:2])} * * *"

    @property
    def tick(self) -> timedelta:
        """The longest time from one tick to the next."""
        minutes = [of_day.hour * 60 + of_day.minute for of_day in self._times()]
        following = [*minutes[1:], minutes[0] + 24 * 60]
        return timedelta(minutes=max(b - a for a, b in zip(minutes, following, strict=True)))

    def next_tick(self, moment: datetime) -> datetime:
        """The first tick after `moment`."""
        return Cron(expression=self.tick_cron).next_slot(moment)

    def __str__(self) -> str:
        return f'cron "{self.expression}" (UTC)'

    def _times(self) -> list[time]:
        minutes, hours = croniter.expand(self.expression)[0][:2]
        return [
            time(hour, minute)
            for hour in (range(24) if hours == ["*"] else hours)
            for minute in (range(60) if minutes == ["*"] else minutes)
        ]


Schedule: TypeAlias = Grid | Cron

_CRON_HINT: Final = 'write five fields as in "0 1 * * 0", or "every 6 days"'
_WORDS = re.compile(
    r"\b(sun|mon|tue|wed|thu|fri|sat|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\b"
)


def parse_schedule(text: str, *, start_at: time) -> Schedule:
    """The schedule that the user wrote: a cron expression, or `every N hours|days|weeks`.

    Raises:
        ConfigurationInvalid: neither, or a cron expression that never comes.
    """
    words = " ".join(text.lower().split())
    if words.startswith("every"):
        return grid(parse_frequency(words).interval, start_at=start_at)
    return _parse_cron(words)


def grid(interval: timedelta, *, start_at: time, days_later: int = 0) -> Grid:
    """The grid of that interval with a slot at `start_at`, `days_later` days after 1970-01-01."""
    since_midnight = timedelta(hours=start_at.hour, minutes=start_at.minute)
    return Grid(interval=interval, offset=(since_midnight + days_later * DAY) % interval)


def _parse_cron(words: str) -> Cron:
    if len(words.split()) != len(("minute", "hour", "day", "month", "weekday")):
        raise ConfigurationInvalid(f'"{words}" is no schedule', hint=_CRON_HINT)
    # croniter also takes R (random), H (hashed) and W (which it ignores): no proof is possible.
    if re.search(r"[^0-9*/,\-#?l ]", _WORDS.sub("", words)):
        raise ConfigurationInvalid(
            f'"{words}" uses letters that no proof can be made for', hint=_CRON_HINT
        )
    try:
        cron = Cron(expression=words)
        cron.next_slot(EPOCH)
        croniter(cron.tick_cron)
    except (CroniterBadCronError, CroniterBadDateError) as error:
        why = "it never comes" if isinstance(error, CroniterBadDateError) else "bad field"
        raise ConfigurationInvalid(f'"{words}" is no schedule: {why}', hint=_CRON_HINT) from error
    return cron


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
