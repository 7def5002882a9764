"""What is expected of how many rows a table has: the comparison has counted them already.

    expect_table_row_count_to_equal        value
    expect_table_row_count_to_be_between   min_value, max_value, strict_min, strict_max

Only with these arguments; whatever else is asked, and of what nobody has counted, such as a view,
is for Great Expectations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.quality.judged import Judged, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.backup.policy.expectations import Expectation
    from include.backup.quality.comparing import Counted

_EQUAL: Final = "expect_table_row_count_to_equal"
_BETWEEN: Final = "expect_table_row_count_to_be_between"
_ARGUMENTS: Final = {
    _EQUAL: {"value"},
    _BETWEEN: {"min_value", "max_value", "strict_min", "strict_max"},
}


def is_of_count(one: Expectation) -> bool:
    """Whether a count of the rows of a table is all that it takes to judge it."""
    known = _ARGUMENTS.get(one.kind)
    return bool(one.table) and known is not None and set(one.arguments) <= known


def judge_counts(
    wanted: Iterable[Expectation], counted: Sequence[Counted]
) -> tuple[list[Judged], list[Expectation]]:
    """Judge by what was counted; return as well those of tables that were not.

    Args:
        wanted: of those that `is_of_count`.
    """
    judged, left = [], []
    for one in wanted:
        rows = _rows(one, counted)
        if rows is None:
            left.append(one)
        else:
            met = _is_met(one, rows)
            why = "" if met else f"there are {rows:,}"
            judged.append(Judged.of(one, Verdict(met=met, why=why)))
    return judged, left


def _is_met(one: Expectation, rows: int) -> bool:
    """Whether a table may have so many rows."""
    told = one.arguments
    if one.kind == _EQUAL:
        return bool(rows == told["value"])
    least, most = told.get("min_value"), told.get("max_value")
    above = least is None or rows > least or (rows == least and not told.get("strict_min"))
    below = most is None or rows < most or (rows == most and not told.get("strict_max"))
    return above and below


def _rows(one: Expectation, counted: Sequence[Counted]) -> int | None:
    """How many rows its table has; None: nobody has counted, or it may be one of several."""
    subject = one.subject
    exact = [each.rows for each in counted if each.table == subject]
    if exact:
        return exact[0] if len(exact) == 1 else None
    below = [each.rows for each in counted if each.table.partition(".")[2] == subject]
    return below[0] if len(below) == 1 else None
