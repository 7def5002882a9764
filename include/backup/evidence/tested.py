"""How restores of datasets stand (3.4, 4.2): one line each, worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.table import WORST_FIRST, aligned
from include.backup.evidence.wording import count, moment, one_line
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from include.backup.vault.coverage import Coverage

_MOST_NAMED: Final = 3
_HEADINGS = (
    *("verdict", "dataset", "last tested", "level", "forecast", "RTO", "read again"),
    "what is known",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One dataset."""

    verdict: Verdict
    data_class: str
    dataset: str
    at: datetime | None = None  # of the end of the newest verification
    level: str = ""
    passed: bool = False
    forecast: timedelta | None = None  # of a restore, from those that were measured
    limit: timedelta | None = None  # the RTO; None: nobody knows its class
    next_due_at: datetime | None = None
    coverage: Coverage | None = None  # what was read again; None: nobody knows
    now: datetime | None = None
    what: str


def tested_table(rows: Sequence[Tested]) -> str:
    """The rows, worst first and then by name, and how many are tested; see table.table."""
    ordered = sorted(
        rows, key=lambda row: (WORST_FIRST.index(row.verdict), row.data_class, row.dataset)
    )
    lines = aligned([_HEADINGS, *map(_cells, ordered)]) if rows else []
    tested = sum(row.verdict is Verdict.KEPT for row in rows)
    return "\n".join([*lines, f"{tested} of {len(rows)} tested"])


def class_line(
    data_class: str, forecast: timedelta, limit: timedelta, *, workers: int, unknown: Sequence[str]
) -> str:
    """What a recovery of a whole class at once is forecast to take (4.2), in one line."""
    within = forecast <= limit
    verdict = Verdict.NOT_TESTED if unknown and within else None
    verdict = verdict or (Verdict.KEPT if within else Verdict.AT_RISK)
    at_once = f"{count(workers, 'restore')} at a time, approval included"
    told = f"all of it at once is forecast to take {format_duration(forecast)} ({at_once})"
    missing = f"; never measured: {', '.join(unknown[:_MOST_NAMED])}" if unknown else ""
    more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
    limited = f"limit {format_duration(limit)}"
    return f"{verdict} 4.2 · {data_class} · {told}, {limited}{missing}{more}"


def _cells(row: Tested) -> tuple[str, ...]:
    return (
        str(row.verdict),
        f"{row.data_class}/{row.dataset}",
        "never" if row.at is None else moment(row.at),
        row.level,
        "" if row.forecast is None else format_duration(row.forecast),
        "" if row.limit is None else format_duration(row.limit),
        _read_again(row),
        one_line(row.what),
    )


def _read_again(row: Tested) -> str:
    """How much of what is stored was read again, and how long ago the oldest read is."""
    found = row.coverage
    if found is None or not found.shares:
        return ""
    if found.oldest_at is None or row.now is None:
        return "LATE: never" if row.now and found.is_late(row.now) else "never"
    if found.damaged:
        return count(found.damaged, "damaged generation")
    share = "all" if found.is_whole else f"{found.read} of {found.shares} shares"
    if found.is_late(row.now):
        share = f"LATE: {share}"
    days = (row.now - found.oldest_at).days
    return f"{share}, {count(days, 'day')} ago at most" if days else f"{share}, today"
