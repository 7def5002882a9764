"""The DAGs that try restores: their words, what parsing costs, and what a run does."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.dags.conftest import ROOT, entry, write_datasets
from tests.dags.test_back_up_dags import _HEAVY, load, run, states

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)
DAG = "holdfast_verify_recovery_critical"
EXPECTED = (
    "expectations: [{file: table.csv, expectation: expect_column_values_to_be_unique, column: id}]"
)


@pytest.fixture
def backed_up(site: Path, airflow_db: None) -> Path:
    """Two datasets with a recovery point each, and a place for their restores."""
    entries = {"crm": entry(site, "crm"), "mail": entry(site, "mail")}
    (site / "scratch").mkdir()
    (site / "config" / "expectations").mkdir()
    for name, text in {"crm": "id\n1\n2\n", "mail": "id\n7\n7\n"}.items():
        (site / "data" / name / "table.csv").write_text(text)
        (site / "config" / "expectations" / f"{name}.yaml").write_text(EXPECTED)
    place = {"filesystem": str(site / "scratch"), "encrypted": True}
    write_datasets(site, entries, verification=place)
    done, _ = run("holdfast_back_up_critical_full")
    assert done.state == "success"
    return site


def test_each_class_has_one_that_quotes_the_policy(site: Path, airflow_db: None) -> None:
    """Quarterly, with the clauses it carries out."""
    dags = {name: dag for name, dag in load().items() if "verify" in name}
    assert sorted(dags) == [
        "holdfast_verify_recovery_critical",
        "holdfast_verify_recovery_important",
        "holdfast_verify_recovery_non_essential",
    ]
    dag = dags[DAG]
    assert {"holdfast", "class:critical", "clause:3.4", "clause:4.2"} <= set(dag.tags)
    assert "every 90 days at 04:00 UTC" in dag.doc_md
    assert "quarterly" in dag.doc_md
    assert dag.max_active_runs == 1
    assert not dag.catchup


def test_parsing_imports_nothing_heavy(site: Path) -> None:
    """Great Expectations alone takes seconds."""
    script = (
        "import airflow.sdk, sys; before = set(sys.modules)\n"
        "import dags.verify_recovery\n"
        "import json; print(json.dumps(sorted({m.split('.')[0] for m in set(sys.modules)-before})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not set(json.loads(done.stdout.splitlines()[-1])) & _HEAVY


def test_one_that_does_not_pass_makes_the_run_red(backed_up: Path) -> None:
    """Alone; its fault stands in the log, and in the table of all. Nothing is left behind."""
    done, told = run(DAG)
    assert done.state == "failed"
    found = states(done)
    assert [found["verify", index] for index in range(2)] == ["success", "failed"]
    assert found["summary", -1] == "success"
    assert "KEPT 3.4 4.2 · critical/crm · 1 recovery point restored to" in told
    assert "fault: recovery point" in told
    assert "table.csv: expect_column_values_to_be_unique (column: id): 2 of 2 are not so" in told
    assert "1 of 2 tested" in told
    assert f"ALERT 5 · {DAG}.verify (mail) of run" in told
    assert list((backed_up / "scratch").iterdir()) == []


def test_a_run_takes_only_the_datasets_that_were_named(backed_up: Path) -> None:
    """As every DAG of ours."""
    done, told = run(DAG, datasets=["crm"])
    assert done.state == "success"
    assert "1 of 1 tested" in told
    assert "critical/mail" not in told


def test_a_place_that_cannot_be_used_is_not_tested(backed_up: Path) -> None:
    """It says nothing about the data; and is red."""
    (backed_up / "scratch").rmdir()
    done, told = run(DAG, datasets=["crm"])
    assert done.state == "failed"
    assert "NOT TESTED 3.4 · critical/crm · verification failed: " in told
