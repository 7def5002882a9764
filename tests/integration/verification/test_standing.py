"""How restores stand: due, overdue, forecast, and the page about them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.actions.assess import Assessment, assess, recovery_order
from include.backup.actions.due import due_verifications
from include.backup.actions.report import report
from include.backup.actions.tested import class_forecast, forecast_of
from include.backup.errors import ConfigurationInvalid, DamageFound, KeyUnusable
from include.backup.evidence.table import Row
from include.backup.evidence.tested import Tested, class_line
from include.backup.policy.objectives import Verdict
from include.backup.policy.recovery_fields import RecoverySettings
from include.backup.vault.reports import report_name
from include.backup.vault.verification import Measured
from tests.integration.verification.test_files import Trial, plant

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.due import DueDataset

EXPECTED = (
    "expectations: [{file: customers.csv, expectation: expect_column_values_to_be_unique, "
    "column: id}]"
)


@pytest.fixture
def site(tmp_path: Path) -> Trial:
    made = Trial(tmp_path)
    (made.data / "customers.csv").write_text("id,name\n1,Ann\n2,Bob\n")
    made.expectations = EXPECTED
    return made


def standing(site: Trial) -> Tested:
    """How restores of the dataset stand."""
    [found] = assess(site.setting())
    return found.tested


def due(site: Trial) -> DueDataset:
    """Whether one is to be tried now."""
    [found] = due_verifications(site.setting(), data_class="critical", tick=site.now)
    return found


def test_a_dataset_is_due_until_it_passes_and_again_after_a_quarter(
    site: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a recovery point there is nothing to try."""
    assert "no sound recovery point" in due(site).reason
    assert not due(site).due
    site.back_up()
    assert due(site).due
    assert standing(site).verdict is Verdict.NOT_TESTED
    with monkeypatch.context() as patched:
        plant(patched, lambda folder: (folder / "contracts" / "a").unlink())
        site.verify()
    assert due(site).due
    assert "did not pass" in due(site).reason
    assert standing(site).verdict is Verdict.BROKEN
    site.verify()
    assert not due(site).due
    tested = standing(site)
    assert (tested.verdict, tested.level, tested.passed) == (Verdict.KEPT, "expectations", True)
    assert tested.next_due_at is not None
    assert timedelta() < tested.next_due_at - site.now <= timedelta(days=92)
    site.now = tested.next_due_at
    assert due(site).due
    site.wait(days=95)
    assert standing(site).verdict is Verdict.NOT_TESTED
    assert "longer ago than promised" in standing(site).what


def test_a_restore_is_forecast_by_those_that_were_measured(site: Trial) -> None:
    """At the middle of the rates, for the size of the newest."""
    assert forecast_of(()) is None
    slow, fast, usual = Measured(100, 100), Measured(100, 1), Measured(1000, 100)
    assert forecast_of((slow, fast, usual)) == timedelta(seconds=100)
    assert forecast_of((usual, Measured(5000, 500))) == timedelta(seconds=500)
    site.back_up()
    site.verify()
    assert standing(site).forecast == timedelta(seconds=1)


def test_the_page_says_what_the_record_says(site: Trial) -> None:
    """It fetches nothing, runs nothing and holds no value of a row."""
    with pytest.raises(ConfigurationInvalid, match="has no verification"):
        report(site.setting(), "crm")
    site.back_up()
    outcome, _ = site.verify()
    record, page = report(site.setting(), "crm", act=outcome.details["act"][:8])
    text = page.decode()
    assert record.body["report_sha256"] == outcome.details["report_sha256"]
    for told in ("KEPT", "critical/crm", "column values to be unique (column: id)", record.act):
        assert told in text
    assert not re.search(r"<script|https?://|src=|href=|@import|url\(", text)
    assert "Ann" not in text
    stored = site.storage.load(f"datasets/crm/{report_name(record.act)}")
    assert b"expect_column" not in stored


def test_a_page_that_was_changed_is_told(site: Trial) -> None:
    """Changed, another's, gone, sealed with another key."""
    site.back_up()
    first, _ = site.verify()
    second, _ = site.verify()
    names = [f"datasets/crm/{report_name(one.details['act'])}" for one in (first, second)]
    whole, others = (site.memory.load(name) for name in names)
    replace_file(site, names[0], others)
    with pytest.raises(DamageFound, match="not what was written"):
        report(site.setting(), "crm", act=first.details["act"])
    replace_file(site, names[0], whole)
    report(site.setting(), "crm", act=first.details["act"])
    site.memory.delete([names[1]])
    with pytest.raises(DamageFound, match="is gone"):
        report(site.setting(), "crm")
    site.keys["backup_master_key"] = site.keys["backup_signing_key"]
    with pytest.raises(KeyUnusable, match="opens with master key"):
        report(site.setting(), "crm", act=first.details["act"])


def replace_file(site: Trial, name: str, data: bytes) -> None:
    """Put something else into the vault."""
    site.memory.delete([name])
    site.memory.save(name, data)


@given(
    lengths=st.lists(st.integers(1, 10_000), max_size=30),
    workers=st.integers(1, 8),
    unknown=st.integers(0, 3),
)
def test_a_class_at_once_is_never_faster_than_its_parts(
    lengths: list[int], workers: int, unknown: int
) -> None:
    """Nor than all work shared evenly; nor slower than one after the other."""
    recovery = RecoverySettings(workers=workers, approval=timedelta(hours=2))
    found = [standing_of(timedelta(seconds=length)) for length in lengths]
    found += [standing_of(None)] * unknown
    forecast, missing = class_forecast(found, recovery)
    seconds = (forecast - recovery.approval).total_seconds()
    assert seconds >= max(lengths, default=0)
    assert seconds >= sum(lengths) / workers
    assert seconds <= sum(lengths)
    assert len(missing) == unknown


def standing_of(forecast: timedelta | None) -> Tested:
    """A dataset with that forecast."""
    return Tested(
        verdict=Verdict.KEPT, data_class="critical", dataset="x", forecast=forecast, what=""
    )


def test_the_line_of_a_class() -> None:
    """Too long is at risk; what nobody measured is not tested."""
    hour, day = timedelta(hours=1), timedelta(days=1)
    line = class_line("critical", hour, day, workers=2, unknown=[])
    assert line.startswith("KEPT 4.2 · critical · all of it at once is forecast to take 1 h (2")
    assert class_line("c", day, hour, workers=1, unknown=["a"]).startswith("AT RISK 4.2 · c")
    told = class_line("c", hour, day, workers=1, unknown=["a", "b", "c", "d"])
    assert told.startswith("NOT TESTED 4.2")
    assert told.endswith("never measured: a, b, c and 1 more")


def test_who_has_the_least_time_goes_first() -> None:
    """Among equals what takes longest; of whom nothing is known goes last of them."""
    hour = timedelta(hours=1)

    def one(name: str, limit: timedelta | None, forecast: timedelta | None) -> Assessment:
        tested = replace(standing_of(forecast), dataset=name, limit=limit)
        row = Row(
            verdict=Verdict.KEPT, data_class="c", dataset=name, newest_at=None, age=None,
            limit=None, what="",
        )  # fmt: skip
        return Assessment(row=row, tested=tested)

    found = [
        one("odd", None, None), one("late", 9 * hour, hour), one("short", hour, hour / 4),
        one("unknown", hour, None), one("long", hour, hour / 2),
    ]  # fmt: skip
    order = [each.row.dataset for each in recovery_order(found)]
    assert order == ["long", "short", "unknown", "late", "odd"]
