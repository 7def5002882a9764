"""Trying again what a network spoils: whole operations, with growing waits, up to a deadline.

A storage says with StorageUnreachable that an operation got no usable answer: unreachable,
throttled, damaged on the way, body cut short. Then the whole operation is done again, its body
read again. Every other error is an answer, and trying again would only repeat it.

boto3 retries single requests below this. It does not retry bytes damaged in flight, bodies cut
short or answers that were lost after the store had acted; that is why this layer exists.
"""

from __future__ import annotations

import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from include.backup.errors import BackupError, DamageFound, StorageUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
log = logging.getLogger(__name__)
REREADS = 2  # of what turned out to be wrong
_SILENT_TRIES = 2  # a hiccup is worth no line


class WorthOneRetry(StorageUnreachable):
    """An answer that a second request may change, but no third one: a clock that was behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often to try. Sleeping, time and chance can be given by tests."""

    deadline: timedelta = timedelta(minutes=15)  # from the first try to the beginning of the last
    first_wait: timedelta = timedelta(seconds=1)  # doubles with each try
    longest_wait: timedelta = timedelta(seconds=30)
    sleep: Callable[[float], None] = time.sleep  # seconds
    monotonic: Callable[[], float] = time.monotonic  # seconds
    chance: Callable[[], float] = random.random  # noqa: S311 spreads waits; nothing secret

    def wait_seconds(self, tries: int) -> float:
        """How long to wait after so many tries: half of it fixed, half by chance.

        Many workers that failed together shall not all come back together.
        """
        doubled = self.first_wait.total_seconds() * 2.0 ** min(tries - 1, 30)
        longest = min(doubled, self.longest_wait.total_seconds())
        return longest * (0.5 + 0.5 * self.chance())


def retried(operation: Callable[[], Result], patience: Patience) -> Result:
    """Return what `operation` returns, doing it again as long as nothing usable comes back.

    Raises:
        StorageUnreachable: still nothing at the deadline; says how often it was tried.
        BackupError: any other error of the operation, at once.
    """
    begun = patience.monotonic()
    tries = 0
    while True:
        try:
            return operation()
        except StorageUnreachable as error:
            tries, told = tries + 1, error.message
            wait = patience.wait_seconds(tries)
            past = patience.monotonic() - begun
            hopeless = isinstance(error, WorthOneRetry) and tries > 1
            if hopeless or past + wait > patience.deadline.total_seconds():
                raise StorageUnreachable(
                    f"{error.message} ({tries} tries in {past:.0f} s)", hint=error.hint
                ) from error
        if tries > _SILENT_TRIES:
            log.warning("%s; %d tries in %.0f s, again in %.0f s", told, tries, past, wait)
        patience.sleep(wait)


def reread(
    read: Callable[[], Result],
    *,
    wrong: tuple[type[BackupError], ...] = (DamageFound,),
) -> Result:
    """Return what `read` returns, reading again twice where the bytes turn out to be wrong.

    A cable may have flipped a bit. What stays wrong is damage at rest.

    Raises:
        BackupError: as `read`, the third time.
    """
    for _ in range(REREADS):
        with suppress(*wrong):
            return read()
    return read()


def agreed(read: Callable[[], Result], *, first: Result | None = None) -> Result:
    """Return what two reads in a row agree on; the third, where no two do.

    For what no hash and no seal vouches for. Something that keeps changing is no error.

    Args:
        first: what was read already.

    Raises:
        BackupError: as `read`.
    """
    found = read() if first is None else first
    for _ in range(REREADS):
        before, found = found, read()
        if found == before:
            break
    return found
