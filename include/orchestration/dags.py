"""Backup DAGs made from the policy: wiring, names and words. Parsed often, so it imports little.

    due → back_up (one task for each dataset) → summary → watcher

`due` looks into the ledgers, `summary` runs whatever happened, and `watcher` makes the run red if
anything failed: a run's colour is that of its last tasks, and the summary of a failure succeeds.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import DAG, Asset, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.timetables.trigger import CronTriggerTimetable

from include.backup.cli.airflow_pools import pool_of
from include.backup.errors import ConfigurationInvalid
from include.backup.policy.durations import DAY, HOUR, format_duration
from include.backup.policy.model import CLAUSES, Method
from include.backup.policy.schedule import full_schedule, schedule_of
from include.orchestration.alerts import ALERTS
from include.orchestration.names import backups_asset, dag_id
from include.orchestration.runs import of_context, unit_name

if TYPE_CHECKING:
    from include.backup.policy.model import DataClass, Policy
    from include.backup.policy.slots import Schedule
    from include.orchestration.tasks import BackUpRun

# 5, 10, 20, 40 and then 60 minutes apart, as long as the class has time to complete.
RETRY_DELAY: Final = timedelta(minutes=5)
MAX_RETRY_DELAY: Final = timedelta(hours=1)
_QUICK_RETRIES: Final = 4  # those before the delay is an hour
_DAILY: Final = "0 1 * * *"


def back_up_dags(policy: Policy, data_class: DataClass) -> list[DAG]:
    """The DAGs of one class: incrementals and fulls, or fulls alone."""
    methods = [Method.FULL]
    if data_class.method is Method.INCREMENTAL:
        methods.insert(0, Method.INCREMENTAL)
    return [_back_up_dag(policy, data_class, method) for method in methods]


def _back_up_dag(policy: Policy, data_class: DataClass, method: Method) -> DAG:
    own = method is data_class.method
    clauses = ("3.1", "3.3") if own else ("3.3",)
    schedule = _schedule(policy, data_class, method)  # its first task refuses one that is none
    dag = DAG(
        dag_id=dag_id(data_class.name, str(method)),
        dag_display_name=f"Backup · {data_class.name} · {method} ({', '.join(clauses)})",
        # Not at once for a tick that is past: Airflow would, or not, by the hour it is unpaused at.
        schedule=CronTriggerTimetable(
            schedule.tick_cron if schedule else _DAILY, timezone="UTC", run_immediately=timedelta()
        ),
        catchup=False,
        max_active_runs=1,
        max_consecutive_failed_dag_runs=0,  # a backup must never be switched off by failing
        tags=["holdfast", f"class:{data_class.name}", *(f"clause:{one}" for one in clauses)],
        doc_md=_words(policy, data_class, method),
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
            "retries": _retries(data_class),
            "retry_delay": RETRY_DELAY,
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": MAX_RETRY_DELAY,
        },
        on_failure_callback=ALERTS,
    )
    with dag:
        _wire(data_class.name, str(method))
    return dag


def _retries(data_class: DataClass) -> int:
    """So many that they last until the deadline; `worth_retrying` ends them there."""
    return _QUICK_RETRIES + -(-data_class.complete_within // MAX_RETRY_DELAY)


def _next_delay(attempt: int) -> timedelta:
    """How long Airflow waits after that attempt, counted from 1."""
    return min(RETRY_DELAY * 2 ** min(attempt - 1, 10), MAX_RETRY_DELAY)


def _wire(data_class: str, method: str) -> None:
    # No address of its own: for one with a scheme Airflow would load every provider at parse time.
    asset = Asset(name=backups_asset(data_class))

    @task(retry_delay=timedelta(minutes=1))
    def due() -> list[list[dict[str, Any]]]:
        """Which datasets are to be backed up now."""
        from include.orchestration import tasks  # noqa: PLC0415  heavy

        try:
            return tasks.find_due(_run(data_class, method))
        except ConfigurationInvalid as error:
            raise AirflowFailException(str(error)) from error

    @task(
        pool=pool_of(data_class),
        map_index_template="{{ unit_name }}",
        outlets=[asset],
    )
    def back_up(
        unit: list[dict[str, Any]],
        *,
        outlet_events: Any = None,  # noqa: ANN401  Airflow's
    ) -> list[dict[str, Any]]:
        """Take a recovery point of one dataset."""
        from include.orchestration import tasks  # noqa: PLC0415  heavy

        context = get_current_context()
        context["unit_name"] = unit_name(unit)  # type: ignore[typeddict-unknown-key]
        run = _run(data_class, method)
        outcomes, errors = tasks.back_up_unit(run, unit)
        if outlet_events is not None and outcomes:
            outlet_events[asset].extra = {"points": [_point(outcome) for outcome in outcomes]}
        if errors:
            told = tasks.failed_text(unit, errors)
            wait = _next_delay(context["ti"].try_number)
            if tasks.worth_retrying(run, unit, errors, wait=wait):
                raise AirflowException(told)
            raise AirflowFailException(told)
        return outcomes

    @task(trigger_rule="all_done", retries=2)
    def summary(chosen: Any, done: Any) -> bool:  # noqa: ANN401  XCom
        """How every dataset of the run stands, in one table."""
        from include.orchestration import tasks  # noqa: PLC0415  heavy

        return tasks.summarize(_run(data_class, method), chosen, list(done or []))

    @task(trigger_rule="all_done", retries=0)
    def watcher(ok: Any) -> None:  # noqa: ANN401  XCom
        """Make the run red if anything failed."""
        if not ok:
            raise AirflowFailException("not every dataset was backed up; see the summary")

    chosen = due()
    done = back_up.expand(unit=chosen)
    watcher(summary(chosen, done))


def _run(data_class: str, method: str) -> BackUpRun:
    """What the tasks need to know of the run they belong to."""
    from include.orchestration.tasks import BackUpRun  # noqa: PLC0415  heavy

    return BackUpRun(**of_context(data_class, get_current_context()), method=Method(method))


def _point(outcome: dict[str, Any]) -> dict[str, Any]:
    """What an asset event says of a recovery point."""
    wanted = ("snapshot", "generation", "method", "entries", "bytes_read", "bytes_new")
    wanted += ("bytes_stored", "bytes_found")
    details = outcome["details"]
    return {
        "dataset": outcome["dataset"],
        "verdict": outcome["verdict"],
        **{key: details[key] for key in wanted if key in details},
    }


def _schedule(policy: Policy, data_class: DataClass, method: Method) -> Schedule | None:
    """When slots are; None: nothing keeps the promises, and the first task will say so."""
    try:
        if method is Method.FULL:
            return full_schedule(policy, data_class)
        return schedule_of(data_class)
    except ConfigurationInvalid:
        return None


def _words(policy: Policy, data_class: DataClass, method: Method) -> str:
    """What the DAG is for, with the clauses that it carries out."""
    full_word = policy.full_backups.words
    complete_within = format_duration(data_class.complete_within)
    schedule = _schedule(policy, data_class, method)
    return f"""\
**{policy.name}**, class `{data_class.name}`

* 3.1 {CLAUSES["3.1"]}: {data_class.frequency.words} backups
* 3.2 {CLAUSES["3.2"]}: {format_duration(data_class.retention)} retention
* 3.3 {CLAUSES["3.3"]}: {data_class.method}; {full_word} full backups; encrypted
* 4.1 {CLAUSES["4.1"]}: {format_duration(data_class.rpo)}

This DAG takes the **{method}** backups: {_when(schedule, method)}. It looks {_tick(schedule)} which
datasets are due, by their ledgers; a run that finds none due is green. Each due dataset is a task
of its own: one that fails does not stop the others, is tried again within {complete_within} and
when the DAG looks next, and makes the run red. `summary` tells how each dataset stands.

Started by hand it backs up every dataset of the class, or those named in *Datasets*.
"""


def _when(schedule: Schedule | None, method: Method) -> str:
    if schedule is None:
        return "never, for its promises cannot be kept (`holdfast policy` says why)"
    if method is Method.FULL:
        return f"{schedule}, the datasets spread over a week"
    return f"{schedule}, which keeps 3.1 and 4.1"


def _tick(schedule: Schedule | None) -> str:
    if schedule is None or schedule.tick == DAY:
        return "every day"
    return "every hour" if schedule.tick == HOUR else "at the times of its schedule on every day"
