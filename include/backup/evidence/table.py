"""One table of all datasets of a run, worst first, for the log of its `summary` task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.wording import moment, one_line
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

WORST_FIRST: Final = (Verdict.BROKEN, Verdict.AT_RISK, Verdict.NOT_TESTED, Verdict.KEPT)
_HEADINGS: Final = ("verdict", "dataset", "newest copy", "age", "limit", "what happened")
_BETWEEN: Final = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One dataset in the table."""

    verdict: Verdict
    data_class: str
    dataset: str
    newest_at: datetime | None  # consistency point of the newest recovery point
    age: timedelta | None
    limit: timedelta | None  # None: its entry is not valid, and nobody knows its class
    known: bool = True  # False: the ledger could not be read
    what: str  # in plain words: "incremental backup complete", "failed: …", "nothing due until …"


def table(rows: Sequence[Row]) -> str:
    """The rows, worst first and then by name, and how many are kept.

    No line ends in spaces; the last line is "N of M kept".
    """
    ordered = sorted(
        rows, key=lambda row: (WORST_FIRST.index(row.verdict), row.data_class, row.dataset)
    )
    lines = aligned([_HEADINGS, *map(_cells, ordered)])
    kept = sum(row.verdict is Verdict.KEPT for row in rows)
    return "\n".join([*(lines if rows else ()), f"{kept} of {len(rows)} kept"])


def aligned(cells: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines whose columns stand below one another; none ends in spaces."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        _BETWEEN.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        str(row.verdict),
        f"{row.data_class}/{row.dataset}",
        _newest(row),
        "" if row.age is None else format_duration(row.age),
        "" if row.limit is None else format_duration(row.limit),
        one_line(row.what),
    )


def _newest(row: Row) -> str:
    if not row.known:
        return "unknown"
    return "none" if row.newest_at is None else moment(row.newest_at)
