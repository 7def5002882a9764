"""The DAGs that remove what has expired: their words, and what a run does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dags.conftest import entry, write_datasets
from tests.dags.test_back_up_dags import load, run, states

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)
DAG = "holdfast_expire_critical"


def test_each_class_has_one_that_quotes_the_policy(site: Path, airflow_db: None) -> None:
    """Daily, after the backups of the day."""
    dags = {name: dag for name, dag in load().items() if "_expire_" in name}
    assert sorted(dags) == [
        "holdfast_expire_critical",
        "holdfast_expire_important",
        "holdfast_expire_non_essential",
    ]
    dag = dags[DAG]
    assert {"holdfast", "class:critical", "clause:3.2"} <= set(dag.tags)
    assert "every day at 08:00 UTC" in dag.doc_md
    assert "30 days" in dag.doc_md


def test_every_dataset_gets_its_verdicts_each_day(site: Path, airflow_db: None) -> None:
    """A retired one too; in the log of its task, and in one table."""
    entries = {name: entry(site, name) for name in ("crm", "mail")}
    write_datasets(site, entries)
    done, _ = run("holdfast_back_up_critical_full")
    assert done.state == "success"
    entries["mail"]["retired"] = {"date": "2026-01-01", "reason": "replaced", "by": "anna"}
    write_datasets(site, entries)
    done, told = run(DAG)
    assert done.state == "success", told
    assert [state for (task, _), state in states(done).items() if task == "expire"] == [
        "success",
        "success",
    ]
    assert "KEPT 3.2 · critical/crm · 1 recovery point kept, each for 30 days" in told
    assert "KEPT 3.2 · critical/mail · 1 recovery point kept, each for 30 days" in told
    assert "kept for 30 days" in told
    assert "nothing has expired" in told
