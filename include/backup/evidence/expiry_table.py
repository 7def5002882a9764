"""How the retention of every dataset stands, in one table (3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.table import WORST_FIRST, aligned
from include.backup.evidence.wording import moment, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from include.backup.policy.objectives import Verdict

_HEADINGS: Final = ("verdict", "dataset", "kept", "beyond", "next expires", "why")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryStanding:
    """How the retention of one dataset stands."""

    verdict: Verdict
    data_class: str
    dataset: str
    kept: int = 0  # recovery points
    beyond: int = 0  # of those, past their expiry
    next_at: datetime | None = None
    what: str = ""


def expiry_table(found: Sequence[ExpiryStanding]) -> str:
    """The rows, worst first and then by name."""
    ordered = sorted(found, key=lambda one: (WORST_FIRST.index(one.verdict), one.dataset))
    rows = [
        (
            str(one.verdict),
            f"{one.data_class}/{one.dataset}",
            f"{one.kept:,}",
            f"{one.beyond:,}",
            "" if one.next_at is None else moment(one.next_at),
            one_line(one.what),
        )
        for one in ordered
    ]
    return "\n".join(aligned([_HEADINGS, *rows]))
