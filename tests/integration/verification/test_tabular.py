"""What users expect of files and objects that hold tables."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.quality.scratch_folder import FolderScratch
from tests.integration.verification.test_files import Trial, plant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.backup.actions.outcome import Outcome

CSV = "id,name,placed\n1,Ann,2026-11-23 10:00\n2,Bob,2026-11-20\n3,,2026-11-19\n"
EXPECTED = """
expectations:
  - {file: sub/customers.csv, expectation: expect_column_values_to_be_unique, column: id}
  - {file: sub/customers.csv, expectation: expect_table_row_count_to_equal, value: 3}
  - {file: sub/customers.csv, expectation: newest, column: placed, not_older_than: 2 days}
  - {file: packed.tsv.gz, expectation: expect_column_values_to_not_be_null, column: b}
  - {file: lines.jsonl, expectation: expect_column_max_to_be_between, column: n, max_value: 9}
"""


@pytest.fixture
def site(tmp_path: Path) -> Trial:
    made = Trial(tmp_path)
    made.write(
        sub__customers__csv="",
        lines__jsonl="",
    )
    folder = made.data
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "customers.csv").write_text(CSV)
    (folder / "packed.tsv.gz").write_bytes(gzip.compress(b"a\tb\n1\t2\n"))
    (folder / "lines.jsonl").write_text('{"n": 1}\n{"n": 9}\n')
    (folder / "outside.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    made.expectations = EXPECTED
    made.back_up()
    return made


def judged(outcome: Outcome) -> list[dict[str, Any]]:
    """What became of each expectation."""
    found: list[dict[str, Any]] = outcome.details["points"][0]["expectations"]
    return found


def test_what_users_expect_of_files_is_met(site: Trial) -> None:
    """CSV, TSV that is packed, lines of JSON."""
    outcome, faults = site.verify()
    assert faults == []
    assert [one["met"] for one in judged(outcome)] == [True] * 5
    assert outcome.details["level"] == "expectations"
    assert outcome.sentence.startswith("KEPT 3.4 4.2 ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[:-30], "expect_table_row_count_to_equal (value: 3): there are"),
        (lambda text: text.replace("2,Bob", "1,Bob"), "(column: id): 2 of 3 are not so"),
        (lambda text: text.replace("2026-11-2", "2025-11-2"), "the newest is older"),
    ],
)
def test_what_is_not_met_is_named(
    site: Trial, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str], told: str
) -> None:
    """A file that was cut, a key that is there twice, data of last year."""

    def fault(folder: Path) -> None:
        path = folder / "sub" / "customers.csv"
        path.write_text(change(path.read_text()))

    plant(monkeypatch, fault)
    outcome, faults = site.verify()
    assert any(told in fault for fault in faults), faults
    assert "Ann" not in json.dumps(outcome.details)


@pytest.mark.parametrize(
    ("file", "met", "why"),
    [
        ("gone.csv", False, "is not there"),
        ("../../secret.csv", False, "is not there"),
        ("outside.csv", False, "is not there"),  # a link that leads out is not followed
        ("sub", False, "is not there"),
        ("contracts/b", None, "it is no CSV, TSV, JSON lines or Parquet, by its name"),
        ("packed.tsv.gz", None, "there is no column id"),
        ("broken.csv", None, "it cannot be read as a table (EmptyDataError)"),
    ],
)
def test_a_file_that_is_no_table(site: Trial, file: str, met: bool | None, why: str) -> None:
    """What is not there is wrong; what cannot be read as a table is not judged."""
    (site.data / "broken.csv").write_text("")
    site.expectations = (
        f"expectations: [{{file: {file}, expectation: expect_column_values_to_be_unique, "
        "column: id}]"
    )
    outcome = site.back_up()
    outcome, _ = site.verify(outcome.details["snapshot"])
    [found] = judged(outcome)
    assert (found["met"], found["why"]) == (met, why)


def test_nothing_is_left_when_judging_fails(site: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that fails there."""

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(FolderScratch, "data", fail)
    with pytest.raises(MemoryError):
        site.verify()
    assert site.left() == []


def tables(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """The facts of files, by their paths."""
    return {one["of"]: one for one in outcome.details["points"][0]["tables"]}


def test_facts_of_files_are_recorded_without_a_value(site: Trial) -> None:
    """Rows, columns by number, empty and unique values; names only where the format has some."""
    site.write(odd__csv="not, a table\n1\n2,3,4,5\n")
    site.wait(days=1)
    site.back_up()
    outcome, faults = site.verify()
    assert faults == []
    found = tables(outcome)
    assert set(found) == {"lines.jsonl", "packed.tsv.gz", "sub/customers.csv"}
    customers = found["sub/customers.csv"]
    assert customers["rows"] == 3
    assert customers["columns"] == [
        {"column": "1", "empty": 0, "unique": True},
        {"column": "2", "empty": 1, "unique": True},
        {"column": "3", "empty": 0, "unique": True},
    ]
    assert [one["column"] for one in found["lines.jsonl"]["columns"]] == ["n"]
    record = json.dumps(list(site.place().ledger.read())[-1].body)
    for value in ("Ann", "Bob", "placed", "2026-11-23 10:00"):
        assert value not in record.replace("column: placed", "").replace('"column: placed"', "")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("id,name,placed\n1,Ann,2026-11-23 10:00\n", "1 rows, and 3 at the last verification"),
        (CSV.replace("2,Bob", "1,Bob"), "column 1 was unique at the last verification"),
        (CSV.replace("2,Bob", ",Bob"), "other columns than at the last verification"),
        (CSV.replace("2026-11-19", ""), "column 3 had no empty value at the last verification"),
        (CSV.replace("name", "nom"), "other columns than at the last verification"),
    ],
)
def test_what_differs_from_the_last_verification_is_noted(
    site: Trial, text: str, note: str
) -> None:
    """It may well be wanted: it is no fault."""
    site.expectations = "expectations: []\n"
    site.verify()
    (site.data / "sub" / "customers.csv").write_text(text)
    site.back_up()
    outcome, faults = site.verify()
    assert faults == []
    newest = outcome.details["points"][0]
    assert f"sub/customers.csv: {note}" in newest["noted"]
    outcome, _ = site.verify()  # against what is known now
    assert not any("last verification" in one for one in outcome.details["points"][0]["noted"])
