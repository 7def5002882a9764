"""The DAG that restores: its form, its words, its deadlines, what parsing costs, a plan."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.orchestration.names import RESTORE_DAG
from tests.dags.conftest import ROOT, entry, write_datasets
from tests.dags.test_back_up_dags import _HEAVY, load, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)


def test_its_form_its_words_and_its_deadlines(site: Path, airflow_db: None) -> None:
    """It starts by hand alone, asks what is needed, and tells when an RTO has passed."""
    dag = load()[RESTORE_DAG]
    assert not dag.timetable.can_be_scheduled
    assert {"holdfast", "clause:4.2", "clause:4.3"} <= set(dag.tags)
    assert set(dag.params) == {
        *("datasets", "data_class", "recovery_point", "path", "destination", "overwrite"),
        *("into_source", "compare", "reason", "ticket", "incident_began"),
    }
    assert "4.3 Data Restoration Procedure" in (dag.doc_md or "")
    assert all(task.retries == 0 for name, task in dag.task_dict.items() if name != "summary")
    approve = dag.task_dict["approve"]
    assert approve.defaults == ["Reject"]
    assert approve.response_timeout is None  # datasets.yaml says it, when it is asked


def test_each_limit_has_a_deadline(site: Path) -> None:
    """One alert for each RTO of the policy."""
    script = (
        "from include.orchestration.restore_dag import restore_dag\n"
        "from include.orchestration.setting import policy_of_dags\n"
        "dag = restore_dag(policy_of_dags())\n"
        "print([(one.name, str(one.interval)) for one in dag.deadline])\n"
    )
    done = _python(script)
    for told in ("RTO of critical", "RTO of important", "RTO of non_essential"):
        assert told in done
    assert str(timedelta(hours=48)) in done


def test_parsing_imports_nothing_heavy(site: Path) -> None:
    """A DAG file is read every half minute, and at the start of every task."""
    ours = sorted(_HEAVY - {"cryptography", "zstandard"})  # Airflow's own operators need these
    script = f"import sys, dags.restore\nprint(sorted(set({ours!r}) & set(sys.modules)))"
    assert _python(script).strip() == "[]"


def _python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines()[-1]


def test_a_form_that_says_nothing_ends_at_once(
    site: Path, airflow_db: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is asked, nothing is restored; the run is red."""
    write_datasets(site, {"crm": entry(site, "crm")})
    done, _ = run(RESTORE_DAG)
    assert done.state == "failed"
    states = {one.task_id: str(one.state) for one in done.get_task_instances()}
    assert states["plan"] == states["gate"] == states["watcher"] == "failed"
    assert states["approve"] == states["restore"] == "upstream_failed"
