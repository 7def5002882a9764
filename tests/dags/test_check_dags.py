"""The DAGs that read again what is stored: a share each week, and red while anything is damaged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.dags.conftest import entry, write_datasets
from tests.dags.test_back_up_dags import load, run, states

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)
DAG = "holdfast_check_critical"


@pytest.fixture
def backed_up(site: Path, airflow_db: None) -> Path:
    """Two datasets with a recovery point each, and one that has none yet."""
    entries = {name: entry(site, name) for name in ("crm", "mail")}
    write_datasets(site, entries)
    done, _ = run("holdfast_back_up_critical_full")
    assert done.state == "success"
    write_datasets(site, entries | {"late": entry(site, "late")})
    return site


def test_each_class_has_one_that_quotes_the_policy(site: Path, airflow_db: None) -> None:
    """Looked at daily, with the clause it carries out."""
    dags = {name: dag for name, dag in load().items() if "_check_" in name}
    assert sorted(dags) == [
        "holdfast_check_critical",
        "holdfast_check_important",
        "holdfast_check_non_essential",
    ]
    dag = dags[DAG]
    assert {"holdfast", "class:critical", "clause:3.2"} <= set(dag.tags)
    assert dag.timetable.summary == "0 6 * * *"
    assert "less than a quarter" in (dag.doc_md or "")
    assert dag.max_consecutive_failed_dag_runs == 0


def test_a_share_of_each_is_read_and_damage_is_red(backed_up: Path) -> None:
    """The damaged one alone fails; the summary names it."""
    done, told = run(DAG, datasets=["crm", "mail"])
    assert done.state == "success", told
    # Shares without a pack are read with the first that has one.
    assert len(re.findall(r"read again (so far: \d+ of 12 shares|since)", told)) == 4
    assert len(re.findall(r"(\d+ of 12 shares|all), today", told)) == 2
    for pack in (backed_up / "vault" / "datasets" / "crm").rglob("data/*/*"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:-1])
    done, told = run(DAG, datasets=["crm", "mail"])
    assert done.state == "failed"
    assert [state for (task, _), state in sorted(states(done).items()) if task == "check"] == [
        "failed",
        "success",
    ]
    assert "BROKEN 3.2 · critical/crm" in told
    assert "1 damaged generation" in told


def test_what_was_just_read_is_not_due(backed_up: Path) -> None:
    """Nor is what was never backed up; nothing due is green."""
    from airflow.sdk.timezone import utcnow

    assert run(DAG, datasets=["crm", "mail"])[0].state == "success"
    done, told = run(DAG, logical_date=utcnow())
    assert done.state == "success"
    assert "late: nothing of it is stored yet" in told
