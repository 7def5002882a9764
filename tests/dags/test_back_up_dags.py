"""The backup DAGs: their names, their words, what parsing costs, and what a run does."""

from __future__ import annotations

import configparser
import json
import logging
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.orchestration.dags import MAX_RETRY_DELAY, RETRY_DELAY
from tests.dags.conftest import ROOT, entry, write_datasets

pytestmark = pytest.mark.timeout(180)
_HEAVY = {"boto3", "cryptography", "great_expectations", "numpy", "pandas", "zstandard"}


def load() -> Any:
    """The DAGs as Airflow finds them now."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


class Heard(logging.Handler):
    """Keeps what a logger says, whatever Airflow does with its handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())


def run(dag_id: str, *, logical_date: Any = None, **conf: object) -> tuple[Any, str]:
    """Run a DAG as a person would; return the run and what it logged as `holdfast`."""
    dag = load()[dag_id]
    heard = Heard()
    logger = logging.getLogger("holdfast")
    logger.addHandler(heard)
    try:
        done = dag.test(logical_date=logical_date, run_conf=conf or None)
    finally:
        logger.removeHandler(heard)
    return done, "\n".join(heard.lines)


def states(done: Any) -> dict[tuple[str, int], str]:
    """The state of each task instance of a run."""
    return {(ti.task_id, ti.map_index): str(ti.state) for ti in done.get_task_instances()}


def test_each_class_has_the_dags_that_its_method_needs(site: Path, airflow_db: None) -> None:
    """Incrementals and fulls for incremental classes, fulls alone for the others."""
    assert sorted(name for name in load() if "back_up" in name) == [
        "holdfast_back_up_critical_full",
        "holdfast_back_up_critical_incremental",
        "holdfast_back_up_important_full",
        "holdfast_back_up_important_incremental",
        "holdfast_back_up_non_essential_full",
    ]


def test_what_fails_is_tried_again_until_the_class_has_no_more_time(
    site: Path, airflow_db: None
) -> None:
    """A few quick retries and then hourly ones; the last task tells what happened, once."""
    dag = load()["holdfast_back_up_critical_incremental"]
    retries = {name: dag.get_task(name).retries for name in ("due", "summary", "watcher")}
    mapped = dag.get_task("back_up")
    assert retries == {"due": mapped.retries, "summary": 2, "watcher": 0}
    assert mapped.retries >= timedelta(hours=12) / MAX_RETRY_DELAY
    assert (mapped.retry_delay, mapped.max_retry_delay) == (RETRY_DELAY, MAX_RETRY_DELAY)
    assert mapped.retry_exponential_backoff == 2.0


def test_a_dag_says_which_clauses_it_carries_out(site: Path, airflow_db: None) -> None:
    """Names, tags and documentation quote the policy."""
    dag = load()["holdfast_back_up_critical_incremental"]
    assert dag.dag_display_name == "Backup · critical · incremental (3.1, 3.3)"
    assert {"holdfast", "class:critical", "clause:3.1", "clause:3.3"} <= set(dag.tags)
    assert "30 days retention" in dag.doc_md
    assert "**incremental** backups: every day at 01:00 UTC, which keeps 3.1 and 4.1. It looks" in (
        dag.doc_md
    )
    weekly = load()["holdfast_back_up_important_full"].doc_md
    assert "every 28 days at 01:00 UTC, the datasets spread over a week" in weekly
    assert "most ticks" not in weekly
    assert dag.max_active_runs == 1
    assert not dag.catchup


def test_a_new_dag_waits_for_its_next_tick(site: Path, airflow_db: None) -> None:
    """Airflow's default runs a tick that is past if the DAG is unpaused soon enough after it."""
    for dag in load().values():
        if not dag.timetable.can_be_scheduled:
            continue  # started by hand alone
        own = getattr(dag.timetable, "timetable", dag.timetable)  # the other half waits for assets
        assert timedelta(seconds=own.serialize()["run_immediately"]) == timedelta()


def test_parsing_imports_nothing_heavy_and_reads_no_datasets(site: Path) -> None:
    """A DAG file is parsed before every task: it costs the same for any number of datasets."""
    (site / "config" / "datasets.yaml").write_text(": not yaml [")
    script = (
        "import airflow.sdk, sys; before = set(sys.modules)\n"
        "import dags.back_up\n"
        "import json; print(json.dumps(sorted({m.split('.')[0] for m in set(sys.modules)-before})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert not imported & _HEAVY


def test_an_unreadable_policy_leaves_the_last_valid_one_in_force(
    site: Path, airflow_db: None
) -> None:
    """The DAGs stay, datasets are backed up, and every run is red and says why."""
    write_datasets(site, {"crm": entry(site, "crm")})
    done, _ = run("holdfast_back_up_critical_incremental")
    assert done.state == "success"
    (site / "config" / "policy.yaml").write_text("classes: [")
    done, told = run("holdfast_back_up_critical_incremental")
    assert done.state == "failed"
    assert states(done)["back_up", 0] == "success"
    assert "policy.yaml is not valid, the last valid policy is in force" in told


def test_the_vault_remembers_the_policy_for_a_machine_that_does_not(
    site: Path, airflow_db: None
) -> None:
    """Without its own copy, a machine takes the last valid policy from the vault."""
    write_datasets(site, {"crm": entry(site, "crm")})
    run("holdfast_back_up_critical_incremental")
    (site / "config" / "policy.yaml").write_text("classes: [")
    (site / "state" / "policy.last-valid.json").unlink()
    assert "holdfast_back_up_critical_incremental" in load()


def test_a_failing_dataset_fails_alone_and_makes_the_run_red(site: Path, airflow_db: None) -> None:
    """Good datasets are kept, the others each say why, and the summary counts them."""
    gone = entry(site, "gone")
    for path in Path(gone["source"]["path"]).iterdir():  # type: ignore[index]
        path.unlink()
    Path(gone["source"]["path"]).rmdir()  # type: ignore[index]
    write_datasets(
        site,
        {
            "crm": entry(site, "crm"),
            "gone": gone,
            "mail": entry(site, "mail"),
            "odd": {**entry(site, "odd"), "class": "critcal"},
        },
    )
    done, told = run("holdfast_back_up_critical_incremental")
    assert done.state == "failed"
    found = states(done)
    assert [found["back_up", index] for index in range(4)] == [
        "success",
        "failed",
        "success",
        "failed",
    ]
    assert found["summary", -1] == "success"
    assert "2 of 4 kept" in told
    assert "ALERT 5 · holdfast_back_up_critical_incremental.back_up (gone) of run" in told
    assert "back_up (odd) of run" in told
    summary = told[told.index("\nverdict") :]
    assert "AT RISK 3.1 4.1 · critical/gone · full backup failed: " in summary
    [of_gone] = [line for line in summary.splitlines() if "· critical/gone ·" in line]
    assert "; hint: is the volume mounted" in of_gone
    assert " · evidence gone/" in of_gone
    assert "BROKEN 3.1 4.1 · ?/odd · this run made no recovery point: " in summary
    assert "No such file or directory" in told
    assert "; hint: is the volume mounted" in told
    assert '"critcal" is no class of the policy' in told


def test_a_tick_with_nothing_due_is_green(site: Path, airflow_db: None) -> None:
    """A run without any dataset does nothing, and says so."""
    write_datasets(site, {})
    done, told = run("holdfast_back_up_critical_incremental")
    assert done.state == "success"
    assert "nothing was due" in told


def test_a_run_takes_only_the_datasets_that_were_named(site: Path, airflow_db: None) -> None:
    """The parameter `datasets` narrows a run; an unknown name fails it and names the known ones."""
    write_datasets(site, {"crm": entry(site, "crm"), "mail": entry(site, "mail")})
    done, told = run("holdfast_back_up_critical_incremental", datasets=["mail"])
    assert done.state == "success"
    assert "critical/mail" in told
    assert "critical/crm" not in told
    done, _ = run("holdfast_back_up_critical_incremental", datasets=["male"])
    assert done.state == "failed"


def test_units_are_batches_above_five_hundred() -> None:
    """No more than 500 tasks, and every dataset in one of them."""
    from include.orchestration.runs import MOST_UNITS, unit_name, units

    assert [len(unit) for unit in units([{"name": "a"}])] == [1]
    many = units([{"name": f"d{number:04d}"} for number in range(1201)])
    assert len(many) <= MOST_UNITS
    assert sum(map(len, many)) == 1201
    assert unit_name(many[0]) == "3 datasets, d0000 … d0002"


def test_every_setting_of_the_example_is_one_of_airflow() -> None:
    """A key that Airflow does not know would do nothing, silently."""
    from airflow.configuration import conf

    example = configparser.ConfigParser(interpolation=None)
    example.read(ROOT / "airflow.cfg.example")
    for section in example.sections():
        for key in example[section]:
            assert key in conf.configuration_description[section]["options"], f"[{section}] {key}"
