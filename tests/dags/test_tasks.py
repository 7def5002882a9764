"""What the tasks of a backup DAG decide, on days that are not like the others."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.due import due_datasets
from include.backup.cli import environment
from include.backup.cli.environment import load_setting
from include.backup.errors import AlreadyRunning, DeadlinePassed, PolicyInvalid, StorageUnreachable
from include.backup.policy.model import Method
from include.backup.vault.leases import Lease
from include.backup.vault.owners import Owner
from include.orchestration import setting as orchestration_setting
from include.orchestration import tasks
from include.orchestration.dags import MAX_RETRY_DELAY, _next_delay, _retries
from include.orchestration.tasks import BackUpRun
from tests.dags.conftest import entry, write_datasets

if TYPE_CHECKING:
    from pathlib import Path

WAIT = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def _without_airflow(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections from the environment, as the command line takes them."""
    del site
    monkeypatch.setattr(orchestration_setting, "connection", environment.connection)


def scheduled(*, hours_ago: float = 0.0, method: Method = Method.INCREMENTAL) -> BackUpRun:
    """A run of the schedule, begun after its tick."""
    tick = datetime.now(UTC) - timedelta(hours=hours_ago)
    return BackUpRun(
        data_class="critical", method=method, owner="airflow/tests", tick=tick, manual=False
    )


def test_a_late_run_has_its_whole_time(site: Path) -> None:
    """A machine that was off at one o'clock is backed up when it is on."""
    write_datasets(site, {"crm": entry(site, "crm")})
    run = scheduled(hours_ago=30)
    [unit] = tasks.find_due(run)
    outcomes, errors = tasks.back_up_unit(run, unit)
    assert errors == []
    assert outcomes[0]["kind"] == "recovery-point"
    assert tasks.worth_retrying(run, unit, [DeadlinePassed("late")], wait=WAIT)


def test_a_refused_scheduled_run_is_tried_again(site: Path) -> None:
    """The holder of the lease may be dead where nobody can ask; a green run would lose the day."""
    write_datasets(site, {"crm": entry(site, "crm")})
    place = DatasetVault.open(load_setting(site / "config"), "crm")
    elsewhere = Owner(name="dead elsewhere", boot="b", namespace="n", pid=1, started=1)
    run = scheduled()
    units = tasks.find_due(run)
    Lease.acquire(place.folder, "full", owner=elsewhere, now=datetime.now(UTC))
    outcomes, errors = tasks.back_up_unit(run, units[0])
    assert outcomes == []
    assert [type(error) for error in errors] == [AlreadyRunning]
    assert tasks.worth_retrying(run, units[0], errors, wait=WAIT)
    assert not tasks.summarize(run, units, [])


def test_the_first_vault_may_be_away(site: Path) -> None:
    """Datasets in other vaults are none the worse for it."""
    write_datasets(site, {"crm": {**entry(site, "crm"), "vault": "second"}})
    path = site / "config" / "datasets.yaml"
    document = json.loads(path.read_text())
    document["vaults"] = {
        "primary": {"url": f"file://{site}/data/crm-no-folder"},
        "second": {"url": f"file://{site}/vault"},
    }
    (site / "data" / "crm-no-folder").write_text("a file is no folder")
    path.write_text(json.dumps(document))
    run = scheduled()
    units = tasks.find_due(run)
    assert tasks.back_up_unit(run, units[0])[1] == []
    assert tasks.summarize(run, units, [])


def test_a_ledger_that_cannot_be_read_is_no_order_for_a_full(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task looks again, and finds the slot completed."""
    write_datasets(site, {"crm": entry(site, "crm")})
    first = scheduled(method=Method.FULL)
    tasks.back_up_unit(first, tasks.find_due(first)[0])

    def hiccup(_: object) -> None:
        raise StorageUnreachable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(DatasetVault, "require_history", hiccup)
        again = scheduled(method=Method.FULL)
        [unit] = tasks.find_due(again)
    assert unit[0]["due"]
    assert unit[0]["slot"]
    assert unit[0]["deadline"]
    outcomes, errors = tasks.back_up_unit(again, unit)
    assert errors == []
    assert outcomes[0]["kind"] == "nothing-due"


def test_in_a_batch_each_dataset_is_told_for_itself(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch that fails tells Airflow nothing; the ledger knows which of it are kept."""
    entries: dict[str, dict[str, Any]] = {n: entry(site, n) for n in ("a", "gone", "z")}
    entries["gone"]["source"]["path"] = str(site / "data" / "nowhere")
    write_datasets(site, entries)
    run = scheduled()
    batch = [dataset for unit in tasks.find_due(run) for dataset in unit]
    outcomes, errors = tasks.back_up_unit(run, batch)
    assert len(outcomes) == 2
    assert len(errors) == 1
    with caplog.at_level(logging.INFO, logger="holdfast"):
        assert not tasks.summarize(run, [batch], [])
    assert "2 of 3 kept" in caplog.text
    assert "ended without a word" not in caplog.text


def test_a_failure_is_told_once(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By its sentence, with what to do at its end; what Airflow shows names the dataset alone."""
    gone = entry(site, "gone")
    gone["source"] = {"type": "filesystem", "path": str(site / "data" / "nowhere")}
    write_datasets(site, {"gone": gone})
    run = scheduled()
    [unit] = tasks.find_due(run)
    with caplog.at_level(logging.INFO):
        _, errors = tasks.back_up_unit(run, unit)
    assert caplog.text.count("No such file or directory") == 1
    [sentence] = [line for line in caplog.messages if "No such file" in line]
    told, _, hint = sentence.partition("; hint: ")
    assert "(limit 48 h)" in told
    assert " · evidence gone/" in hint
    assert tasks.failed_text(unit, errors) == (
        "gone was not backed up; its sentence above says why"
    )


def test_a_task_that_left_no_record_is_not_blamed_for_an_older_failure(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The summary says that nobody knows, and where to look."""
    gone = entry(site, "gone")
    gone["source"] = {"type": "filesystem", "path": str(site / "data" / "nowhere")}
    write_datasets(site, {"gone": gone})
    first = scheduled(hours_ago=2)
    tasks.back_up_unit(first, tasks.find_due(first)[0])
    later = BackUpRun(
        data_class="critical",
        method=Method.INCREMENTAL,
        owner="airflow/tests",
        tick=datetime.now(UTC) + timedelta(hours=1),
        manual=False,
    )
    units = tasks.find_due(later)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="holdfast"):
        assert not tasks.summarize(later, units, [])
    assert "No such file" not in caplog.text
    assert "its task left no record of its end; see its log" in caplog.text


def test_one_fault_of_ours_does_not_stop_a_batch(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The datasets behind it are backed up all the same."""
    write_datasets(site, {name: entry(site, name) for name in ("a", "b")})
    back_up = tasks.back_up

    def fail_first(setting: Any, name: str, **options: Any) -> Any:
        if name == "a":
            raise ValueError(name)
        return back_up(setting, name, **options)

    monkeypatch.setattr(tasks, "back_up", fail_first)
    run = scheduled()
    batch = [dataset for unit in tasks.find_due(run) for dataset in unit]
    outcomes, errors = tasks.back_up_unit(run, batch)
    assert [outcome["dataset"] for outcome in outcomes] == ["b"]
    assert [type(error) for error in errors] == [ValueError]


def test_each_class_is_proved_whatever_the_others_promise(site: Path) -> None:
    """The fault of another class hides none of one's own."""
    policy = (site / "config" / "policy.yaml").read_text()
    policy = policy.replace("rpo: 48 hours", "rpo: 12 hours")
    policy = policy.replace("    rpo: 7 days", '    rpo: 7 days\n    schedule: "0 1 1 * *"')
    (site / "config" / "policy.yaml").write_text(policy)
    write_datasets(site, {"crm": {**entry(site, "crm"), "class": "important"}})
    run = BackUpRun(
        data_class="important",
        method=Method.INCREMENTAL,
        owner="airflow/tests",
        tick=datetime.now(UTC),
        manual=False,
    )
    with pytest.raises(PolicyInvalid, match="important"):
        tasks.find_due(run)


def test_attempts_last_until_the_deadline(site: Path) -> None:
    """Their waits add up to more than the class has to complete."""
    for data_class in load_setting(site / "config").policy.classes:
        waits = [_next_delay(attempt) for attempt in range(1, _retries(data_class) + 1)]
        assert sum(waits, timedelta()) >= data_class.complete_within
        assert max(waits) == MAX_RETRY_DELAY


def test_a_policy_that_cannot_be_kept_leaves_the_last_valid_one_in_force(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It can be read, so DAGs are made from it; the tasks work by the one that was proved."""
    write_datasets(site, {"crm": entry(site, "crm")})
    tasks.find_due(scheduled())
    policy = site / "config" / "policy.yaml"
    policy.write_text(policy.read_text().replace("rpo: 48 hours", "rpo: 12 hours"))
    run = scheduled()
    units = tasks.find_due(run)
    assert tasks.back_up_unit(run, units[0])[1] == []
    assert not tasks.summarize(run, units, [])
    assert "policy.yaml cannot be kept, the last valid policy is in force" in caplog.text
    setting = orchestration_setting.task_setting("tests")
    assert setting.policy.data_class("critical").rpo == timedelta(hours=48)


def test_an_entry_that_is_wrong_is_told_by_the_dag_of_its_class_alone(site: Path) -> None:
    """One slip is one red run; an entry whose class nobody can read is told in every class."""
    wrong = {**entry(site, "crm"), "typo": "x"}
    nameless = {**entry(site, "crm"), "class": "critcal"}
    write_datasets(site, {"wrong": wrong, "nameless": nameless})

    def found(data_class: str, method: Method) -> list[str]:
        setting = orchestration_setting.task_setting("tests")
        due = due_datasets(setting, data_class=data_class, method=method, tick=datetime.now(UTC))
        return [dataset.name for dataset in due]

    assert found("critical", Method.INCREMENTAL) == ["nameless", "wrong"]
    assert found("critical", Method.FULL) == []
    assert found("important", Method.INCREMENTAL) == ["nameless"]
    assert found("non_essential", Method.FULL) == ["nameless"]
