"""Every dataset against its objectives, by the newest record of its ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.kept import standing_of
from include.backup.actions.offsite import counted
from include.backup.actions.replicas import standing_alone
from include.backup.actions.replicas import standing_of as replicas_of
from include.backup.actions.tested import class_forecast, tested
from include.backup.errors import BackupError
from include.backup.evidence.sentences import with_evidence
from include.backup.evidence.table import Row
from include.backup.evidence.tested import Tested, class_line
from include.backup.format.times import text_of_datetime
from include.backup.policy.model import Method
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from include.backup.actions.setting import Setting
    from include.backup.evidence.expiry_table import ExpiryStanding
    from include.backup.evidence.records import Record
    from include.backup.evidence.replica_table import ReplicaStanding
    from include.backup.policy.datasets import Datasets

_READERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """How one dataset stands."""

    row: Row
    head: Record | None = None  # the newest record
    sentence: str = ""  # its sentence, with its evidence
    points: int = 0
    generations: int = 0
    next_due_at: datetime | None = None
    time_left: timedelta | None = None  # until the newest copy is older than the RPO allows
    greatest_age: timedelta | None = None  # that the newest copy has ever had
    bytes_stored: int = 0  # what all live points took in the vault
    failures: int = 0
    failure: str = ""
    last_slots: Mapping[Method, datetime | None] = field(default_factory=dict)  # completed ones
    committed_at: datetime | None = None  # the newest recovery point
    tested: Tested  # how restores of it stand
    retention: ExpiryStanding | None = None  # None: nobody can know
    replicas: Sequence[ReplicaStanding] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``status --json`` prints it: see JSON.md."""
        row = self.row
        return {
            "dataset": row.dataset,
            "class": row.data_class,
            "verdict": str(row.verdict),
            "reason": row.what,
            "known": row.known,
            "newest_at": _text(row.newest_at),
            "age_seconds": _seconds(row.age),
            "rpo_seconds": _seconds(row.limit),
            "time_left_seconds": _seconds(self.time_left),
            "greatest_age_seconds": _seconds(self.greatest_age),
            "next_due_at": _text(self.next_due_at),
            "points": self.points,
            "generations": self.generations,
            "bytes_stored": self.bytes_stored,
            "failures": self.failures,
            "failure": self.failure,
            "sentence": self.sentence,
            "read_again": None
            if (read := self.tested.coverage) is None
            else {
                "shares": read.shares,
                "read": read.read,
                "damaged": read.damaged,
                "packs": read.packs,
                "bytes": read.size_bytes,
                "oldest_at": _text(read.oldest_at),
            },
            "retention": None
            if (kept := self.retention) is None
            else {
                "verdict": str(kept.verdict),
                "kept": kept.kept,
                "beyond": kept.beyond,
                "next_at": _text(kept.next_at),
                "why": kept.what,
            },
            "replicas": [
                {
                    "vault": one.vault,
                    "verdict": str(one.verdict),
                    "offsite": one.offsite,
                    "held": one.held,
                    "behind": one.behind,
                    "lag_seconds": _seconds(one.lag),
                    "newest_at": _text(one.newest_at),
                    "at": _text(one.at),
                    "why": one.what,
                }
                for one in self.replicas
            ],
            "tested": {
                "verdict": str(self.tested.verdict),
                "reason": self.tested.what,
                "at": _text(self.tested.at),
                "level": self.tested.level,
                "passed": self.tested.passed,
                "forecast_seconds": _seconds(self.tested.forecast),
                "rto_seconds": _seconds(self.tested.limit),
                "next_due_at": _text(self.tested.next_due_at),
            },
        }


def assess(setting: Setting, names: Sequence[str] | None = None) -> list[Assessment]:
    """Judge datasets by name; all of them, entries that are not valid included, if None."""
    wanted = [*setting.datasets.good, *setting.datasets.bad] if names is None else names
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda name: _assess(setting, name), sorted(wanted)))


def recovery_order(found: Sequence[Assessment]) -> list[Assessment]:
    """Who has the least time goes first; among equals what takes longest, as far as it is known."""
    return sorted(
        found,
        key=lambda one: (
            one.tested.limit or timedelta.max,
            -(one.tested.forecast or timedelta()),
            one.row.dataset,
        ),
    )


def owner_of(one: Assessment, datasets: Datasets) -> str:
    """Whom to call about a dataset; empty for an entry that is not valid."""
    dataset = datasets.good.get(one.row.dataset)
    return dataset.owner if dataset else ""


def class_lines(setting: Setting, found: Sequence[Assessment]) -> list[str]:
    """What a recovery of each class at once is forecast to take (4.2), in one line each."""
    recovery = setting.datasets.recovery
    lines = []
    for data_class in setting.policy.classes:
        own = [one.tested for one in found if one.tested.data_class == data_class.name]
        if own:
            forecast, unknown = class_forecast(own, recovery)
            lines.append(
                class_line(
                    data_class.name,
                    forecast,
                    data_class.rto,
                    workers=recovery.workers,
                    unknown=unknown,
                )
            )
    return lines


def _assess(setting: Setting, name: str) -> Assessment:
    now = setting.clock()
    try:
        place = DatasetVault.open(setting, name)
        place.require_history()
        head = place.ledger.head()
        state = place.state()
    except BackupError as error:
        row = _unknown(setting, name, str(error))
        return Assessment(
            row=row,
            failure=error.message,
            tested=_unknown_tested(row, setting),
            replicas=standing_alone(setting, name, error.message)
            if name in setting.datasets.good
            else (),
        )
    judged = place.judgement(state, now)
    counts = counted(setting, place.dataset, state, now)
    age = counts.age(now)
    copies = place.copies(state, now)
    return Assessment(
        row=Row(
            verdict=judged.verdict,
            data_class=place.data_class.name,
            dataset=name,
            newest_at=copies.newest_at,
            age=age,
            limit=copies.limit,
            what=judged.reason,
        ),
        head=head,
        sentence=with_evidence(head.sentence, head) if head and head.sentence else "",
        points=len(state.points),
        generations=sum(1 for generation in state.generations if generation.points),
        next_due_at=judged.next_due_at,
        time_left=None if age is None else copies.limit - age,
        greatest_age=counts.greatest_age(now),
        bytes_stored=sum(point.bytes_in_vault for point in state.points),
        failures=state.failures,
        failure=state.failure,
        last_slots={method: state.last_slot(method, now=now) for method in Method},
        committed_at=state.newest_point.committed_at if state.newest_point else None,
        tested=tested(place, state, now),
        retention=standing_of(place, state, now),
        replicas=replicas_of(place, state, now),
    )


def _unknown_tested(row: Row, setting: Setting) -> Tested:
    classes = {one.name: one for one in setting.policy.classes}
    known = classes.get(row.data_class)
    return Tested(
        verdict=Verdict.NOT_TESTED,
        data_class=row.data_class,
        dataset=row.dataset,
        limit=known.rto if known else None,
        what=row.what,
    )


def _unknown(setting: Setting, name: str, why: str) -> Row:
    """A dataset whose standing cannot be known is not protected as far as anyone can tell."""
    dataset = setting.datasets.good.get(name)
    data_class = setting.policy.data_class(dataset.data_class) if dataset else None
    return Row(
        verdict=Verdict.BROKEN,
        data_class=data_class.name if data_class else "?",
        dataset=name,
        newest_at=None,
        age=None,
        limit=data_class.rpo if data_class else None,
        known=False,
        what=why,
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else text_of_datetime(moment)


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()
