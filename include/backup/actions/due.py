"""Which datasets of a class a tick finds due, by what their ledgers say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.errors import BackupError
from include.backup.policy.due import due
from include.backup.policy.model import Method
from include.backup.policy.schedule import full_schedule, schedule_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.actions.setting import Setting

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
    good = [
        name
        for name, dataset in setting.datasets.good.items()
        if dataset.data_class == data_class and dataset.retired is None
    ]
    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(lambda name: _judge(setting, name, method, tick), good))
    own_method = method is setting.policy.data_class(data_class).method
    bad = [
        DueDataset(name=name, due=True, reason=str(error))
        for name, error in setting.datasets.bad.items()
        if own_method and error.data_class in {"", data_class}
    ]
    return sorted([*found, *bad], key=lambda dataset: dataset.name)


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
    judged = due(
        schedule,
        last_completed_slot=last_slot,
        tick=tick,
        complete_within=own.complete_within,
        now=now,
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
