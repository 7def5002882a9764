"""The DAGs that copy recovery points to other vaults: their words, and what a run does."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.dags.conftest import entry, write_datasets
from tests.dags.test_back_up_dags import load, run, states

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)
DAG = "holdfast_replicate_critical"


def test_each_class_has_one_that_follows_its_backups(site: Path, airflow_db: None) -> None:
    """After every backup of the class, and once a day; it quotes the policy."""
    dags = {name: dag for name, dag in load().items() if "_replicate_" in name}
    assert sorted(dags) == [
        "holdfast_replicate_critical",
        "holdfast_replicate_important",
        "holdfast_replicate_non_essential",
    ]
    dag = dags[DAG]
    assert {"holdfast", "class:critical", "clause:3.5"} <= set(dag.tags)
    assert "every day at 09:00 UTC" in dag.doc_md
    [asset] = [one for _, one in dag.timetable.asset_condition.iter_assets()]
    assert asset.name == "holdfast_critical"


def test_a_run_copies_what_is_behind_and_tells_what_is_not(site: Path, airflow_db: None) -> None:
    """One dataset has a replica; its vault fills, is up to date, and then cannot be written to."""
    entries = {name: entry(site, name) for name in ("crm", "mail")}
    entries["crm"]["replicas"] = ["second"]
    vaults = {
        "primary": {"url": f"file://{site}/vault", "offsite": False},
        "second": {"url": f"file://{site}/second", "offsite": True},
    }
    write_datasets(site, entries, vaults=vaults)
    done, _ = run("holdfast_back_up_critical_full")
    assert done.state == "success"
    done, told = run(DAG)
    assert done.state == "success", told
    copied = [state for (task, _), state in states(done).items() if task == "replicate"]
    assert copied == ["success"]
    assert "KEPT 3.5 · critical/crm · replica in file://" in told
    assert "critical/mail" not in told
    shutil.rmtree(site / "second")
    (site / "second").write_text("no folder")
    done, told = run(DAG)
    assert done.state == "failed", told
    assert "AT RISK 3.5 · critical/crm · not replicated to file://" in told
