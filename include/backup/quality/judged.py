"""What became of what is expected of restored data: counts, and no value of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.backup.policy.expectations import Expectation
    from include.backup.quality.comparing import Counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """On one expectation."""

    met: bool | None  # None: it could not be judged
    why: str = ""  # not; or how that is known without a look at the rows
    elements: int | None = None
    unexpected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One expectation, whose it is, and the verdict."""

    subject: str  # a table or a file
    text: str
    by_user: bool  # else it is made of facts
    verdict: Verdict

    @classmethod
    def of(cls, one: Expectation, verdict: Verdict) -> Judged:
        """Of one that a user wrote."""
        return cls(subject=one.subject, text=one.text, by_user=True, verdict=verdict)

    @classmethod
    def of_count(cls, one: Counted) -> Judged:
        """The fact that a table has as many rows as the recovery point counted."""
        met = one.rows == one.wanted
        return cls(
            subject=one.table,
            text=f"expect_table_row_count_to_equal (value: {one.wanted})",
            by_user=False,
            verdict=Verdict(met=met, why="" if met else f"there are {one.rows:,}"),
        )

    @property
    def told(self) -> str:
        """For people, of one that is not met, or could not be judged."""
        found = self.verdict
        if found.why:
            why = found.why
        elif found.unexpected is None or found.elements is None:
            why = "not met"
        else:
            why = f"{found.unexpected:,} of {found.elements:,} are not so"
        return f"{self.subject}: {self.text}: {why}"
