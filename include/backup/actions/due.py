"""Which datasets of a class a tick finds due for a backup or a verification, by their ledgers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.errors import BackupError
from include.backup.evidence.wording import moment
from include.backup.policy.due import due
from include.backup.policy.model import Method
from include.backup.policy.schedule import (
    check_schedule,
    full_schedule,
    schedule_of,
    verification_schedule,
)
from include.backup.vault.coverage import coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.backup.actions.setting import Setting
    from include.backup.policy.slots import Schedule

_READERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDataset:
    """What a tick means for one dataset."""

    name: str
    due: bool
    slot: datetime | None = None  # what a run at this tick completes
    deadline: datetime | None = None  # of that run, all attempts included
    next_due_at: datetime | None = None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "due": self.due,
            "slot": _text(self.slot),
            "deadline": _text(self.deadline),
            "next_due_at": _text(self.next_due_at),
            "reason": self.reason,
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> DueDataset:
        """Read what `to_json` made."""
        return cls(
            name=document["name"],
            due=document["due"],
            slot=_moment(document["slot"]),
            deadline=_moment(document["deadline"]),
            next_due_at=_moment(document["next_due_at"]),
            reason=document["reason"],
        )


def due_datasets(
    setting: Setting, *, data_class: str, method: Method, tick: datetime
) -> list[DueDataset]:
    """Judge every dataset of a class, by name.

    An entry that is not valid, and one whose ledger cannot be read, is due: its own task shall
    say what is wrong with it, in red. Where not even its class can be read, that is in every class.
    """
    found = _each(setting, data_class, lambda name: _judge(setting, name, method, tick))
    own_method = method is setting.policy.data_class(data_class).method
    bad = [
        DueDataset(name=name, due=True, reason=str(error))
        for name, error in setting.datasets.bad.items()
        if own_method and error.data_class in {"", data_class}
    ]
    return sorted([*found, *bad], key=lambda dataset: dataset.name)


def due_verifications(setting: Setting, *, data_class: str, tick: datetime) -> list[DueDataset]:
    """Judge of every dataset of a class whether restores of it are to be tried (3.4), by name.

    One that did not pass is due again: a control that fails stays red until it passes.
    """
    return _each(setting, data_class, lambda name: _judge_verification(setting, name, tick))


def due_checks(setting: Setting, *, data_class: str, tick: datetime) -> list[DueDataset]:
    """Judge of every dataset of a class whether a share of it is to be read again, by name."""
    return _each(setting, data_class, lambda name: _judge_check(setting, name, tick))


def due_expiries(setting: Setting, *, data_class: str, tick: datetime) -> list[DueDataset]:
    """Every dataset of a class, retired ones too, each day: its task says what expires."""
    good = [
        DueDataset(name=name, due=True, slot=tick, reason="looked at each day")
        for name, dataset in setting.datasets.good.items()
        if dataset.data_class == data_class
    ]
    bad = [
        DueDataset(name=name, due=True, reason=f"nothing of it expires: {error}")
        for name, error in setting.datasets.bad.items()
        if error.data_class in {"", data_class}
    ]
    return sorted([*good, *bad], key=lambda dataset: dataset.name)


def _judge_check(setting: Setting, name: str, tick: datetime) -> DueDataset:
    now = setting.clock()
    own = setting.policy.data_class(setting.datasets.good[name].data_class)
    schedule = check_schedule(own, dataset=name)
    last_slot, trouble = None, ""
    try:
        place = DatasetVault.open(setting, name)
        place.require_history()
        found = coverage(place.state().generations, now=now)
    except BackupError as error:
        trouble = f"its ledger cannot be read: {error}"
    else:
        if not found.shares:
            return DueDataset(name=name, due=False, reason="nothing of it is stored yet")
        if found.looked_at is not None:
            last_slot = schedule.newest_slot(found.looked_at)
        else:
            trouble = "nothing of one of its generations was ever read again"
    return _due_dataset(name, schedule, last_slot, tick, now, within=own.rto, trouble=trouble)


def _each(
    setting: Setting, data_class: str, judge: Callable[[str], DueDataset]
) -> list[DueDataset]:
    good = sorted(
        name
        for name, dataset in setting.datasets.good.items()
        if dataset.data_class == data_class and dataset.retired is None
    )
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(judge, good))


def _judge_verification(setting: Setting, name: str, tick: datetime) -> DueDataset:
    now = setting.clock()
    own = setting.policy.data_class(setting.datasets.good[name].data_class)
    schedule = verification_schedule(setting.policy, own, dataset=name)
    last_slot, trouble = None, ""
    try:
        place = DatasetVault.open(setting, name)
        place.require_history()
        state = place.state()
    except BackupError as error:
        trouble = f"its ledger cannot be read: {error}"
    else:
        last = state.verification
        if not state.sound_points:
            reason = "there is no sound recovery point; the DAG of its backups says why"
            return DueDataset(name=name, due=False, reason=reason)
        if last is not None and last.passed:
            last_slot = schedule.newest_slot(last.at)
        elif last is not None:
            trouble = f"the verification of {moment(last.at)} did not pass"
        else:
            trouble = "it was never verified"
    return _due_dataset(name, schedule, last_slot, tick, now, within=own.rto, trouble=trouble)


def _judge(setting: Setting, name: str, method: Method, tick: datetime) -> DueDataset:
    now = setting.clock()
    own = setting.policy.data_class(setting.datasets.good[name].data_class)
    schedule = (
        full_schedule(setting.policy, own, dataset=name)
        if method is Method.FULL
        else schedule_of(own, dataset=name)
    )
    last_slot, trouble = None, ""
    try:
        place = DatasetVault.open(setting, name)
        place.require_history()
        last_slot = place.state().last_slot(method, now=now)
    except BackupError as error:
        # Its task looks again, and does nothing if the slot is completed.
        trouble = f"its ledger cannot be read: {error}"
    return _due_dataset(
        name, schedule, last_slot, tick, now, within=own.complete_within, trouble=trouble
    )


def _due_dataset(
    name: str,
    schedule: Schedule,
    last_slot: datetime | None,
    tick: datetime,
    now: datetime,
    *,
    within: timedelta,
    trouble: str,
) -> DueDataset:
    judged = due(
        schedule, last_completed_slot=last_slot, tick=tick, complete_within=within, now=now
    )
    return DueDataset(
        name=name,
        due=judged.due,
        slot=judged.slot,
        deadline=judged.deadline,
        next_due_at=judged.next_due_at,
        reason=trouble or judged.reason,
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
