"""When each dataset is backed up: schedules derived from the promises of its class.

Taken by their words, two promises of the shipped policy cannot be kept together: a weekly backup
leaves no slack against an objective of 7 days. So the interval is derived, not copied:

    interval = min(frequency, RPO - complete within - 1 h)

rounded down to whole days, or below one day to whole hours. A month is 28 days, its shortest; the
hour of margin keeps the greatest age off the limit itself. `proof` says what a schedule promises.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from include.backup.errors import PolicyInvalid
from include.backup.policy.durations import DAY, HOUR, format_duration
from include.backup.policy.model import DataClass, Method, Policy
from include.backup.policy.slots import Cron, Grid, Schedule, grid, parse_schedule

if TYPE_CHECKING:
    from datetime import time, timedelta

MARGIN: Final = HOUR
SPREAD_DAYS: Final = 7  # the fulls of many datasets are spread over a week
VERIFICATION_HOURS: Final = 3  # after the backups
CHECK_HOURS: Final = 5  # the same
EXPIRY_HOURS: Final = 7  # the same: what is taken in time counts already
CHECK_INTERVAL: Final = 7 * DAY  # twelve of them are shorter than a quarter; see vault/coverage.py


class Underivable(PolicyInvalid):
    """No interval keeps the promises of a class, whatever the schedule."""


def derived_interval(data_class: DataClass) -> timedelta:
    """The longest interval that keeps frequency and RPO, in whole days (below one, whole hours).

    Raises:
        Underivable: message and path say which promises cannot be kept together.
    """
    bound = min(data_class.frequency.interval, longest_interval(data_class) - MARGIN)
    interval = bound // DAY * DAY or bound // HOUR * HOUR
    if interval < HOUR:
        raise Underivable(
            f"no schedule keeps an RPO of {format_duration(data_class.rpo)} when a run may take "
            f"{format_duration(data_class.complete_within)}",
            path=f"classes.{data_class.name}.rpo",
            hint="allow a longer rpo, or a shorter complete_within",
        )
    if data_class.complete_within >= interval:
        raise Underivable(
            f"a run may take {format_duration(data_class.complete_within)}, and would not be over "
            f"when the next one begins {format_duration(interval)} later",
            path=f"classes.{data_class.name}.complete_within",
            hint=f"make it shorter than {format_duration(interval)}",
        )
    return interval


def longest_interval(data_class: DataClass) -> timedelta:
    """The interval at which the greatest age equals the RPO; may be negative."""
    return data_class.rpo - data_class.complete_within


def schedule_of(data_class: DataClass, *, dataset: str = "") -> Schedule:
    """The schedule that keeps the frequency and the RPO of a class.

    It is that of the incrementals, or, where the method is full, of the fulls.

    Args:
        dataset: its name spreads the fulls over a week; ticks and intervals do not depend on it.

    Raises:
        PolicyInvalid: nothing can be derived. An explicit schedule is taken as it is: `prove` it.
    """
    if data_class.schedule:
        schedule = parse_schedule(data_class.schedule, start_at=data_class.start_at)
        if isinstance(schedule, Cron):
            return schedule
        interval = schedule.interval
    else:
        interval = derived_interval(data_class)
    if data_class.method is Method.FULL:
        return _spread(interval, data_class.start_at, dataset)
    return grid(interval, start_at=data_class.start_at)


def full_schedule(policy: Policy, data_class: DataClass, *, dataset: str = "") -> Schedule:
    """The schedule of the fulls of a dataset (3.3).

    A class whose method is full takes them by its own promises, the others by `full_backups`.

    Raises:
        PolicyInvalid: see schedule_of.
    """
    if data_class.method is Method.FULL:
        return schedule_of(data_class, dataset=dataset)
    return _spread(policy.full_backups.interval, data_class.start_at, dataset)


def full_interval(policy: Policy, data_class: DataClass) -> timedelta:
    """How far two fulls of a class lie apart: each of them opens a generation (3.3).

    Never more than was promised (3.1): by it generations are locked, and no lock is taken back
    because a schedule was a slip. It is the promise itself for a calendar, which has no such
    length, and for a class that no schedule can keep.
    """
    if data_class.method is not Method.FULL:
        return policy.full_backups.interval
    promised = data_class.frequency.interval
    try:
        schedule = schedule_of(data_class)
    except PolicyInvalid:
        return promised
    return min(schedule.interval, promised) if isinstance(schedule, Grid) else promised


def verification_schedule(policy: Policy, data_class: DataClass, *, dataset: str = "") -> Schedule:
    """When restores of a dataset are tried (3.4): some hours after its backups begin."""
    start_at = data_class.start_at
    later = start_at.replace(hour=(start_at.hour + VERIFICATION_HOURS) % 24)
    return _spread(policy.restore_tests.interval, later, dataset)


def check_schedule(data_class: DataClass, *, dataset: str = "") -> Schedule:
    """When a share of what is stored is read again: weekly, some hours after the backups begin."""
    start_at = data_class.start_at
    later = start_at.replace(hour=(start_at.hour + CHECK_HOURS) % 24)
    return _spread(CHECK_INTERVAL, later, dataset)


def expiry_schedule(data_class: DataClass) -> Schedule:
    """When what has expired is removed: daily, some hours after the backups begin (3.2)."""
    start_at = data_class.start_at
    return grid(DAY, start_at=start_at.replace(hour=(start_at.hour + EXPIRY_HOURS) % 24))


def replication_schedule(data_class: DataClass) -> Schedule:
    """When copies in other vaults are looked at besides, an hour after what has expired went."""
    start_at = data_class.start_at
    return grid(DAY, start_at=start_at.replace(hour=(start_at.hour + EXPIRY_HOURS + 1) % 24))


def _spread(interval: timedelta, start_at: time, dataset: str) -> Schedule:
    """A grid shifted by whole days, the same for a name at every time and on every machine."""
    days = max(1, min(SPREAD_DAYS, interval // DAY)) if not interval % DAY else 1
    digest = hashlib.sha256(dataset.encode()).digest()
    days_later = int.from_bytes(digest[:8], "big") % days if dataset else 0
    return grid(interval, start_at=start_at, days_later=days_later)
