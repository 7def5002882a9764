"""How restores of a dataset stand: when they were tried, how long the next one takes (3.4, 4.2)."""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from include.backup.evidence.tested import Tested
from include.backup.evidence.wording import moment
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict
from include.backup.policy.schedule import verification_schedule
from include.backup.vault.coverage import coverage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.policy.recovery_fields import RecoverySettings
    from include.backup.vault.state import DatasetState
    from include.backup.vault.verification import Measured, Verification


def tested(place: DatasetVault, state: DatasetState, now: datetime) -> Tested:
    """Judge the newest verification of a dataset by what the policy promises."""
    policy, data_class = place.setting.policy, place.data_class
    last = state.verification
    schedule = verification_schedule(policy, data_class, dataset=place.dataset.name)
    forecast = None if last is None else forecast_of(last.restores)
    overdue = last is not None and now - last.at > policy.restore_tests.longest + data_class.rto
    verdict, what = _judged(last, forecast, data_class.rto, overdue=overdue)
    waits = schedule.next_slot(now) if last is not None and last.passed and not overdue else None
    return Tested(
        verdict=verdict,
        data_class=data_class.name,
        dataset=place.dataset.name,
        at=None if last is None else last.at,
        level="" if last is None else str(last.level),
        passed=last is not None and last.passed,
        forecast=forecast,
        limit=data_class.rto,
        next_due_at=waits,
        coverage=coverage(state.generations, now=now),
        now=now,
        what=what,
    )


def forecast_of(restores: Sequence[Measured], *, size_bytes: int | None = None) -> timedelta | None:
    """How long a restore takes, at the middle of the measured rates; None if none was measured.

    Args:
        size_bytes: of what is restored; None: as much as the newest.
    """
    if not restores:
        return None
    rate = median(max(one.size_bytes, 1) / one.seconds for one in restores)
    size = restores[-1].size_bytes if size_bytes is None else size_bytes
    return timedelta(seconds=round(max(size, 1) / rate))


def class_forecast(
    found: Sequence[Tested], recovery: RecoverySettings
) -> tuple[timedelta, list[str]]:
    """How long it takes to restore all of some datasets at once (4.2).

    The longest goes first to whichever worker is free, as who hurries would do it.

    Args:
        found: how each of them stands.

    Returns:
        The time from the request to the end, approval included; and the datasets whose restore
        nobody has measured, which are not in it.
    """
    free = [timedelta()] * recovery.workers
    lengths = sorted((one.forecast for one in found if one.forecast is not None), reverse=True)
    for length in lengths:
        free.sort()
        free[0] += length
    unknown = [one.dataset for one in found if one.forecast is None]
    return recovery.approval + max(free), unknown


def _judged(
    last: Verification | None, forecast: timedelta | None, rto: timedelta, *, overdue: bool
) -> tuple[Verdict, str]:
    if last is None:
        return Verdict.NOT_TESTED, "it was never verified"
    if overdue:
        return Verdict.NOT_TESTED, f"last tried {moment(last.at)}, longer ago than promised"
    if last.verdict is not Verdict.KEPT:
        return last.verdict, "see its newest verification: holdfast report"
    if forecast is not None and forecast > rto:
        limit = format_duration(rto)
        return Verdict.AT_RISK, f"a restore is forecast to take longer than {limit}"
    return Verdict.KEPT, "restored on trial, and as it was"
