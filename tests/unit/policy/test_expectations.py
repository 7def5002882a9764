"""What users write down of their data: how it is read, and each way to get it wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.expectations import Expectation, load_expectations

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: Path, text: str) -> tuple[Expectation, ...]:
    (folder / "crm.yaml").write_text(text)
    return load_expectations(folder, "crm")


def test_nothing_is_expected_where_nothing_is_written(tmp_path: Path) -> None:
    """No file, an empty one, another dataset's."""
    assert load_expectations(tmp_path, "crm") == ()
    assert load(tmp_path, "") == ()
    assert load_expectations(tmp_path, "erp") == ()


def test_arguments_are_what_they_look_like(tmp_path: Path) -> None:
    """Numbers, flags and nothing; a date stays text, and so does what is quoted."""
    [one] = load(
        tmp_path,
        "expectations:\n"
        "  - {table: public.orders, database: shop, expectation: expect_x, column: total,\n"
        "     min_value: 0, mostly: 0.95, strict_min: true, max_value: null, day: 2026-01-01,\n"
        "     code: '007', value_set: [1, a, no], deep: {a: 1e3}}\n",
    )
    assert one.subject == "shop/public.orders"
    assert one.arguments == {
        "column": "total", "min_value": 0, "mostly": 0.95, "strict_min": True, "max_value": None,
        "day": "2026-01-01", "code": "007", "value_set": [1, "a", "no"], "deep": {"a": 1000.0},
    }  # fmt: skip
    assert one.where == "expectations/crm.yaml line 2"


def test_the_newest_value_has_an_age(tmp_path: Path) -> None:
    """Our own, for freshness."""
    [one] = load(
        tmp_path,
        "expectations:\n"
        "  - {file: a.csv, expectation: newest, column: placed, not_older_than: 2 days}\n",
    )
    assert one.not_older_than == timedelta(days=2)
    assert one.text == "newest (column: placed, not older than: 48 h)"


def test_a_suite_of_great_expectations(tmp_path: Path) -> None:
    """In the form of today, and in that of before 1.0."""
    suite = {"expectations": [
        {"type": "expect_a", "kwargs": {"column": "x"}},
        {"expectation_type": "expect_b", "kwargs": {}},
    ]}  # fmt: skip
    (tmp_path / "items.json").write_text(json.dumps(suite))
    found = load(tmp_path, "expectations: [{table: items, suite: items.json}]")
    assert [(one.table, one.kind, dict(one.arguments)) for one in found] == [
        ("items", "expect_a", {"column": "x"}),
        ("items", "expect_b", {}),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "is no list|not a file"),
        ("expectations: {}", "is no list"),
        ("expectations: [{expectation: expect_x}]", "has to name a table or a file"),
        ("expectations: [{table: a, file: b, expectation: x}]", "has to name a table or a file"),
        ("expectations: [{table: a}]", "has to name an expectation or a suite"),
        ("expectations: [{table: a, expectation: x, suite: y}]", "an expectation or a suite"),
        ("expectations: [{table: a, table: b, expectation: x}]", "is written twice"),
        ("expectations: [{table: a, expectation: newest}]", "takes a column and not_older_than"),
        (
            "expectations: [{table: a, expectation: newest, column: c, not_older_than: soon}]",
            "soon",
        ),
        ("expectations: [{table: a, expectation: x, not_older_than: 1 day}]", "belongs to"),
        ("expectations: [{table: a, suite: ../x.json}]", "does not lie beside"),
        ("expectations: [{table: a, suite: gone.json}]", "cannot be read"),
        ("expectations: [{table: a, suite: crm.yaml}]", "is no suite"),
    ],
)
def test_each_slip_is_told(tmp_path: Path, text: str, told: str) -> None:
    """With its file, and mostly its line."""
    with pytest.raises(ConfigurationInvalid, match=told):
        load(tmp_path, text)
