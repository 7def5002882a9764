"""What is judged by a count that is known is judged as Great Expectations judges it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.backup.policy.expectations import Expectation
from include.backup.quality.comparing import Counted
from include.backup.quality.gx import Judge
from include.backup.quality.row_counts import is_of_count, judge_counts

EQUAL, BETWEEN = "expect_table_row_count_to_equal", "expect_table_row_count_to_be_between"
FEW = st.integers(0, 4)


def of(kind: str, table: str = "shop.orders", **arguments: Any) -> Expectation:
    """What somebody has written."""
    return Expectation(table=table, kind=kind, arguments=arguments)


@st.composite
def betweens(draw: st.DrawFn) -> Expectation:
    """Any bounds; one of them has to be there."""
    least, most = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    low, high = sorted((draw(FEW), draw(FEW)))
    bounds: dict[str, Any] = {}
    if least:
        bounds |= {"min_value": low, "strict_min": draw(st.booleans())}
    if most:
        bounds |= {"max_value": high, "strict_max": draw(st.booleans())}
    return of(BETWEEN, **bounds)


@pytest.fixture(scope="module")
def judge() -> Judge:
    """It takes seconds to begin."""
    return Judge()


@settings(max_examples=15)
@given(asked=st.lists(betweens() | FEW.map(lambda n: of(EQUAL, value=n)), max_size=6), rows=FEW)
def test_as_great_expectations_judges(judge: Judge, asked: list[Expectation], rows: int) -> None:
    """Met or not, and why."""
    ours, left = judge_counts(asked, [Counted("shop.orders", rows, rows)])
    theirs = judge.of_frame(pd.DataFrame({"a": range(rows)}), asked)
    assert left == []
    assert [(one.verdict.met, one.verdict.why) for one in ours] == [
        (one.met, one.why) for one in theirs
    ]


@pytest.mark.parametrize(
    ("table", "database", "found"),
    [
        ("shop.orders", "", 1),
        ("orders", "", 1),
        ("items", "", None),  # in two schemas
        ("shop.items", "", 2),
        ("view", "", None),
        ("orders", "crm", 4),
    ],
)
def test_whose_count_it_is(table: str, database: str, found: int | None) -> None:
    """A table of that name, if there is one; who has none is left to be looked at."""
    counted = [
        Counted("shop.orders", 1, 1),
        Counted("shop.items", 2, 2),
        Counted("old.items", 3, 3),
        Counted("crm/orders", 4, 4),
    ]
    one = Expectation(table=table, database=database, kind=EQUAL, arguments={"value": found or 9})
    judged, left = judge_counts([one], counted)
    assert [each.verdict.met for each in judged] == ([] if found is None else [True])
    assert left == ([one] if found is None else [])


@pytest.mark.parametrize(
    "one",
    [
        of("expect_column_values_to_not_be_null", column="a"),
        of(EQUAL, value=3, row_condition="a > 1", condition_parser="great_expectations"),
        Expectation(file="a.csv", kind=EQUAL, arguments={"value": 3}),
    ],
)
def test_what_takes_more_than_a_count(one: Expectation) -> None:
    """That is for Great Expectations."""
    assert not is_of_count(one)
    assert is_of_count(of(EQUAL, value=3))
