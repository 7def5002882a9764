"""What the constraints of a database already say of an expectation."""

from __future__ import annotations

import pytest

from include.backup.policy.expectations import Expectation
from include.backup.quality.enforced import Enforced

HELD = Enforced.of([
    ("orders", "filled", ["id"]),
    ("orders", "filled", ["line"]),
    ("orders", "unique", ["id", "line"]),
    ("orders", "unique", ["number"]),
    ("orders", "unique", ["id", "note"]),
])
NOT_NULL = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_values_to_be_unique"
COMPOUND = "expect_compound_columns_to_be_unique"


@pytest.mark.parametrize(
    ("table", "kind", "arguments", "holds"),
    [
        ("orders", NOT_NULL, {"column": "id"}, True),
        ("orders", NOT_NULL, {"column": "number"}, False),
        ("items", NOT_NULL, {"column": "id"}, False),
        ("orders", UNIQUE, {"column": "number"}, True),
        ("orders", UNIQUE, {"column": "number", "mostly": 0.9}, True),
        ("orders", UNIQUE, {"column": "id"}, False),
        ("orders", COMPOUND, {"column_list": ["line", "id"]}, True),
        ("orders", COMPOUND, {"column_list": ["id", "note"]}, False),
        ("orders", COMPOUND, {"column_list": ["id"]}, False),
        ("orders", "expect_column_values_to_be_null", {"column": "id"}, False),
        ("orders", "unexpected_rows_expectation", {}, False),
    ],
)
def test_only_what_certainly_holds(
    table: str, kind: str, arguments: dict[str, object], *, holds: bool
) -> None:
    """No verdict is one that only a look at the rows can give."""
    verdict = HELD.verdict(table, Expectation(table=table, kind=kind, arguments=arguments))
    assert (verdict is not None and verdict.met is True) == holds
    assert verdict is None or verdict.why == "the database enforces it"
