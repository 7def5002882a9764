"""How the replicas of every dataset stand, in one table (3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.table import WORST_FIRST, aligned
from include.backup.evidence.wording import moment, one_line
from include.backup.policy.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from include.backup.policy.objectives import Verdict

_HEADINGS: Final = (
    "verdict",
    "dataset",
    "replica in",
    "offsite",
    "held",
    "behind",
    "newest",
    "why",
)
_OFFSITE: Final = {True: "yes", False: "no", None: "nobody says"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStanding:
    """How one copy of a dataset stands."""

    verdict: Verdict
    data_class: str
    dataset: str
    vault: str  # its name
    offsite: bool | None  # None: nobody says
    held: int = 0  # recovery points
    behind: int = 0  # that it lacks
    lag: timedelta | None = None  # since the first of those was there; None: it lacks none
    newest_at: datetime | None = None  # consistency point of the newest that it holds
    at: datetime | None = None  # when it was last brought up to date
    what: str = ""


def replica_table(found: Sequence[ReplicaStanding]) -> str:
    """The rows, worst first and then by name."""
    ordered = sorted(
        found, key=lambda one: (WORST_FIRST.index(one.verdict), one.dataset, one.vault)
    )
    rows = [
        (
            str(one.verdict),
            f"{one.data_class}/{one.dataset}",
            one.vault,
            _OFFSITE[one.offsite],
            f"{one.held:,}",
            f"{one.behind:,}"
            if one.lag is None
            else f"{one.behind:,}, for {format_duration(one.lag)}",
            "" if one.newest_at is None else moment(one.newest_at),
            one_line(one.what),
        )
        for one in ordered
    ]
    return "\n".join(aligned([_HEADINGS, *rows]))
