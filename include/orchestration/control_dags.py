"""DAGs that control what backups have stored, made from the policy: one for each class and control.

    verify   restores are tried each quarter (3.4, 4.2)
    check    a share of all that is stored is read again each week (3.2)
    expire   what has expired is removed each day, and nothing else (3.2)
    replicate  what a backup has stored is copied to other vaults (3.5)

due → one task for each dataset → summary → watcher
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import DAG, Asset, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.trigger import CronTriggerTimetable

from include.backup.cli.airflow_pools import pool_of
from include.backup.errors import ConfigurationInvalid
from include.backup.policy.durations import format_duration
from include.backup.policy.model import CLAUSES
from include.backup.policy.schedule import (
    check_schedule,
    expiry_schedule,
    replication_schedule,
    verification_schedule,
)
from include.orchestration.alerts import ALERTS
from include.orchestration.names import (
    backups_asset,
    check_dag_id,
    expire_dag_id,
    replicate_dag_id,
    verify_dag_id,
)
from include.orchestration.runs import Run, of_context, unit_name

if TYPE_CHECKING:
    from include.backup.policy.model import DataClass, Policy

_RETRIES: Final = 2  # of what could not be looked at; what is wrong stays wrong
_RETRY_DELAY: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What is looked at, and how it is called."""

    dag_id: str
    title: str
    clauses: tuple[str, ...]
    tick_cron: str
    words: str  # what the DAG is for
    task_id: str
    module: str  # imported in tasks only; its TASKS say what they do, see working.py
    unmet: str  # as in "crm did not pass"
    red: str  # what the watcher says
    after: str = ""  # the asset whose updates start it as well


def verify_dag(policy: Policy, data_class: DataClass) -> DAG:
    """The DAG that tries restores of one class."""
    schedule = verification_schedule(policy, data_class)
    control = Control(
        dag_id=verify_dag_id(data_class.name),
        title="Verify recovery",
        clauses=("3.4", "4.2"),
        tick_cron=schedule.tick_cron,
        words=_words_of_verify(policy, data_class),
        task_id="verify",
        module="include.orchestration.verify_tasks",
        unmet="did not pass",
        red="not every restore passed; see the summary",
    )
    return _control_dag(data_class, control)


def check_dag(policy: Policy, data_class: DataClass) -> DAG:
    """The DAG that reads again what is stored of one class."""
    control = Control(
        dag_id=check_dag_id(data_class.name),
        title="Check",
        clauses=("3.2",),
        tick_cron=check_schedule(data_class).tick_cron,
        words=_words_of_check(policy, data_class),
        task_id="check",
        module="include.orchestration.check_tasks",
        unmet="is damaged",
        red="not everything is whole; see the summary",
    )
    return _control_dag(data_class, control)


def expire_dag(policy: Policy, data_class: DataClass) -> DAG:
    """The DAG that removes what has expired of one class."""
    control = Control(
        dag_id=expire_dag_id(data_class.name),
        title="Expire",
        clauses=("3.2",),
        tick_cron=expiry_schedule(data_class).tick_cron,
        words=_words_of_expire(policy, data_class),
        task_id="expire",
        module="include.orchestration.expire_tasks",
        unmet="is in doubt, and nothing of it expires",
        red="not everything that has expired is gone; see the summary",
    )
    return _control_dag(data_class, control)


def replicate_dag(policy: Policy, data_class: DataClass) -> DAG:
    """The DAG that copies recovery points of one class to other vaults."""
    control = Control(
        dag_id=replicate_dag_id(data_class.name),
        title="Replicate",
        clauses=("3.5",),
        tick_cron=replication_schedule(data_class).tick_cron,
        words=_words_of_replicate(policy, data_class),
        task_id="replicate",
        module="include.orchestration.replicate_tasks",
        unmet="is not in every vault as it should be",
        red="not every replica holds what it should; see the summary",
        after=backups_asset(data_class.name),
    )
    return _control_dag(data_class, control)


def _control_dag(data_class: DataClass, control: Control) -> DAG:
    dag = DAG(
        dag_id=control.dag_id,
        dag_display_name=f"{control.title} · {data_class.name} ({', '.join(control.clauses)})",
        schedule=_schedule(control),
        catchup=False,
        max_active_runs=1,
        max_consecutive_failed_dag_runs=0,  # a control must never be switched off by failing
        tags=[
            "holdfast",
            f"class:{data_class.name}",
            *(f"clause:{one}" for one in control.clauses),
        ],
        doc_md=control.words,
        params={
            "datasets": Param(
                [],
                type="array",
                items={"type": "string"},
                title="Datasets",
                description="Only these. Empty: all of the class when you start the run, "
                "the due ones when the schedule does.",
            )
        },
        default_args={
            "owner": "holdfast",
            "on_failure_callback": ALERTS,
            "on_retry_callback": ALERTS,
            "retries": _RETRIES,
            "retry_delay": _RETRY_DELAY,
        },
        on_failure_callback=ALERTS,
    )
    with dag:
        _wire(data_class.name, control)
    return dag


def _schedule(control: Control) -> Any:  # noqa: ANN401  one of two kinds of Airflow's
    daily = CronTriggerTimetable(control.tick_cron, timezone="UTC", run_immediately=timedelta())
    if not control.after:
        return daily
    return AssetOrTimeSchedule(timetable=daily, assets=[Asset(name=control.after)])


def _wire(data_class: str, control: Control) -> None:
    def run() -> Run:
        return Run(**of_context(data_class, get_current_context()))

    @task(retry_delay=timedelta(minutes=1))
    def due() -> list[list[dict[str, Any]]]:
        """Which datasets are to be looked at now."""
        try:
            tasks, working = _heavy(control)
            found: list[list[dict[str, Any]]] = working.find_due(tasks, run())
        except ConfigurationInvalid as error:
            raise AirflowFailException(str(error)) from error
        return found

    @task(task_id=control.task_id, pool=pool_of(data_class), map_index_template="{{ unit_name }}")
    def work(unit: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Look at one dataset."""
        tasks, working = _heavy(control)
        get_current_context()["unit_name"] = unit_name(unit)  # type: ignore[typeddict-unknown-key]
        outcomes: list[dict[str, Any]]
        outcomes, unmet, errors = working.work_on(tasks, run(), unit)
        if unmet:
            raise AirflowFailException(
                f"{', '.join(unmet)} {control.unmet}; the log above says why"
            )
        if errors:
            told = "not everything could be looked at; the log above says why"
            wrong = all(isinstance(error, ConfigurationInvalid) for error in errors)
            # A person who started it sees at once; and no attempt mends a configuration.
            raise (AirflowFailException if run().manual or wrong else AirflowException)(told)
        return outcomes

    @task(trigger_rule="all_done", retries=2)
    def summary(chosen: Any, done: Any) -> bool:  # noqa: ANN401  XCom
        """How every dataset of the run stands, in one table."""
        tasks, working = _heavy(control)
        # How things stand, the ledgers know; a task that failed has left no result.
        worked = len(list(done or ())) == len(chosen or ())
        return bool(working.summarize(tasks, run(), chosen)) and worked

    @task(trigger_rule="all_done", retries=0)
    def watcher(ok: Any) -> None:  # noqa: ANN401  XCom
        """Make the run red if anything is not as it should be."""
        if not ok:
            raise AirflowFailException(control.red)

    chosen = due()
    done = work.expand(unit=chosen)
    watcher(summary(chosen, done))


def _heavy(control: Control) -> tuple[Any, Any]:
    """What the tasks of a control do; imported in tasks only."""
    working = import_module("include.orchestration.working")
    return import_module(control.module).TASKS, working


def _words_of_verify(policy: Policy, data_class: DataClass) -> str:
    """What the DAG is for, with the clauses that it carries out."""
    schedule = verification_schedule(policy, data_class)
    return f"""\
**{policy.name}**, class `{data_class.name}`

* 3.4 {CLAUSES["3.4"]}: {policy.restore_tests.words}
* 4.2 {CLAUSES["4.2"]}: {format_duration(data_class.rto)}

This DAG **tries restores**: {schedule}, the datasets spread over a week. Of each dataset the newest
recovery point, of each other generation the newest that was never verified, and one by lot are
restored to a place of their own, compared with what was backed up, judged by what users expect of
their data (`include/config/expectations/`), timed against the RTO, and removed again. What did not
pass is tried again on the next day; a restore that takes longer than
{format_duration(data_class.rto)} does not pass. `summary` tells how each dataset stands.

Started by hand it tries every dataset of the class, or those named in *Datasets*.
"""


def _words_of_check(policy: Policy, data_class: DataClass) -> str:
    """What the DAG is for, with the clause that it carries out."""
    return f"""\
**{policy.name}**, class `{data_class.name}`

* 3.2 {CLAUSES["3.2"]}: {format_duration(data_class.retention)}

This DAG **reads again what is stored**: {check_schedule(data_class)}, the datasets spread over a
week, of each generation the twelfth that nobody has read for the longest time: each pack against
its name, each block against its id. After twelve weeks, less than a quarter, all of it has been
read. What is damaged is named and recorded, nothing builds on it any more, and the next backup is a
full. `status` tells how much was read again, and when.

Started by hand it looks at every dataset of the class, or those named in *Datasets*.
"""


def _words_of_expire(policy: Policy, data_class: DataClass) -> str:
    """What the DAG is for, with the clause that it carries out."""
    return f"""\
**{policy.name}**, class `{data_class.name}`

* 3.2 {CLAUSES["3.2"]}: {format_duration(data_class.retention)}

This DAG **removes what has expired**, and nothing else: {expiry_schedule(data_class)}, of every
dataset, retired ones too. Each recovery point gets a verdict with its reason, in the log of its
task and in the record, even when nothing expires. A snapshot goes when it has expired; a generation
goes whole, its key first, when its last recovery point has expired and nobody can add to it. The
newest two recovery points and the newest verified one never expire, nor what is on hold (`holds`),
nor anything of a dataset that is in doubt (`suspicions`).

Started by hand it looks at every dataset of the class, or those named in *Datasets*.
"""


def _words_of_replicate(policy: Policy, data_class: DataClass) -> str:
    """What the DAG is for, with the clause that it carries out."""
    return f"""\
**{policy.name}**, class `{data_class.name}`

* 3.5 {CLAUSES["3.5"]}

This DAG **copies recovery points to other vaults**: after each backup of the class, and
{replication_schedule(data_class)}, of every dataset with `replicas:` in its entry. Each file is
compared with its name, a sample of what was stored is read again, and records come after what they
name. In the copies goes what the ledger says has expired, and nothing that is merely absent at
home. `status` tells what each copy lacks, and since when.

Started by hand it looks at every dataset of the class that has replicas, or those named in
*Datasets*.
"""
