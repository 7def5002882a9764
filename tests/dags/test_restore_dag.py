"""The DAG that restores: its form, its words, its deadlines, what parsing costs, a plan."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.restores import restores
from include.backup.cli.environment import now
from include.backup.errors import RestoreRefused
from include.orchestration import restore_tasks
from include.orchestration.names import RESTORE_DAG
from include.orchestration.restore_tasks import RestoreRun
from include.orchestration.setting import task_setting
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
        *("datasets", "data_class", "recovery_point", "from", "path", "destination", "overwrite"),
        *("into_source", "compare", "reason", "ticket", "incident_began"),
    }
    assert "4.3 Data Restoration Procedure" in (dag.doc_md or "")
    assert all(task.retries == 0 for name, task in dag.task_dict.items() if name != "summary")
    approve = dag.task_dict["approve"]
    assert approve.defaults == ["Reject"]
    assert approve.response_timeout is None  # datasets.yaml says it, when it is asked


def test_what_may_stay_empty_keeps_no_form_from_being_sent(site: Path, airflow_db: None) -> None:
    """Airflow's form takes an empty text for a missing one, unless null is allowed."""
    dag = load()[RESTORE_DAG]
    params = {name: dag.params.get_param(name) for name in dag.params}
    needed = {
        name
        for name, one in params.items()
        if one.value in ("", [], None) and "null" not in one.schema["type"]
    }
    assert needed == {"destination", "reason"}


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


FORM = {"datasets": ["crm"], "reason": "the disk died"}


@pytest.fixture
def asked(site: Path, airflow_db: None) -> tuple[RestoreRun, dict[str, Any], dict[str, Any]]:
    """A dataset with a recovery point, a run that asks for its restore, and its plan."""
    write_datasets(site, {"crm": entry(site, "crm")})
    (site / "config" / "people.yaml").write_text(
        "people: {bob: {name: Bob, role: operations, trainings: [{course: Restore, "
        "date: 2026-01-01, valid_for: 36500 days, certified_by: dora, evidence: x}]}}"
    )
    assert run("holdfast_back_up_critical_full")[0].state == "success"
    one = RestoreRun(owner="airflow/holdfast_restore/1", asked_at=now(), user="anna")
    form = {**FORM, "destination": str(site / "back")}
    return one, form, restore_tasks.plan(one, form)


def result() -> str:
    [one], _ = restores(task_setting("tests"), ["crm"])
    return one.result


def test_a_plan_that_came_to_nothing_leaves_no_request_open(
    asked: tuple[RestoreRun, dict[str, Any], dict[str, Any]],
) -> None:
    """Its task was killed after it had recorded the request."""
    one, form, _ = asked
    assert result() == "open"
    assert not restore_tasks.summarize(one, None, form)
    assert result() == "failed"
    assert not restore_tasks.summarize(one, None, {"datasets": ["nosuch"]})


def test_a_question_without_an_answer_is_a_refusal(
    asked: tuple[RestoreRun, dict[str, Any], dict[str, Any]],
) -> None:
    """Its task was ended by hand, or killed: that nobody answered in time is not said."""
    one, form, planned = asked
    assert restore_tasks.let_through(one, planned) == []
    [found], _ = restores(task_setting("tests"), ["crm"])
    assert "the question ended without an answer" in found.sentence
    assert not restore_tasks.summarize(one, planned, form)


def test_a_user_is_known_by_name(
    asked: tuple[RestoreRun, dict[str, Any], dict[str, Any]],
) -> None:
    """Ids are another thing with most of Airflow's auth managers."""
    one, form, planned = asked
    event = {"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "bob"}}
    other = replace(one, owner="airflow/holdfast_restore/2")
    with pytest.raises(RestoreRefused, match="is not of this run"):
        restore_tasks.judge(other, planned, event)
    restore_tasks.judge(one, planned, event)
    [request] = restore_tasks.let_through(one, planned)
    assert restore_tasks.carry_out(one, request).kind == "restored"
    assert restore_tasks.summarize(one, planned, form)


def test_the_one_who_asked_is_known_by_name_too(
    asked: tuple[RestoreRun, dict[str, Any], dict[str, Any]],
) -> None:
    """Whatever the id is."""
    one, _, planned = asked
    event = {"chosen_options": ["Approve"], "responded_by_user": {"id": "3", "name": "anna"}}
    restore_tasks.judge(one, planned, event)
    assert restore_tasks.let_through(one, planned) == []
    [found], _ = restores(task_setting("tests"), ["crm"])
    assert "four eyes" in found.sentence


def test_a_restore_that_comes_too_late_is_red(
    asked: tuple[RestoreRun, dict[str, Any], dict[str, Any]], site: Path
) -> None:
    """All of it is there, and 4.2 is broken all the same."""
    one, form, _ = asked
    late = replace(one, owner="airflow/holdfast_restore/late")
    form |= {
        "destination": str(site / "late"),
        "incident_began": (now() - timedelta(days=10)).isoformat(),
    }
    planned = restore_tasks.plan(late, form)
    event = {"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "bob"}}
    restore_tasks.judge(late, planned, event)
    [request] = restore_tasks.let_through(late, planned)
    assert restore_tasks.carry_out(late, request).sentence.startswith("BROKEN 4.2 · ")
    assert (site / "late" / "0.txt").exists()
    assert not restore_tasks.summarize(late, planned, form)
