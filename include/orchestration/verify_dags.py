"""DAGs that try restores, made from the policy: one for each class (3.4, 4.2).

due → verify (one task for each dataset) → summary → watcher
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import DAG, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.timetables.trigger import CronTriggerTimetable

from include.backup.cli.airflow_pools import pool_of
from include.backup.errors import ConfigurationInvalid
from include.backup.policy.durations import format_duration
from include.backup.policy.model import CLAUSES
from include.backup.policy.schedule import verification_schedule
from include.orchestration.alerts import ALERTS
from include.orchestration.names import verify_dag_id
from include.orchestration.runs import Run, of_context, unit_name

if TYPE_CHECKING:
    from include.backup.policy.model import DataClass, Policy

_CLAUSES: Final = ("3.4", "4.2")
_RETRIES: Final = 2  # of what could not be looked at; what is wrong stays wrong
_RETRY_DELAY: Final = timedelta(minutes=30)


def verify_dag(policy: Policy, data_class: DataClass) -> DAG:
    """The DAG of one class."""
    schedule = verification_schedule(policy, data_class)
    dag = DAG(
        dag_id=verify_dag_id(data_class.name),
        dag_display_name=f"Verify recovery · {data_class.name} ({', '.join(_CLAUSES)})",
        schedule=CronTriggerTimetable(
            schedule.tick_cron, timezone="UTC", run_immediately=timedelta()
        ),
        catchup=False,
        max_active_runs=1,
        max_consecutive_failed_dag_runs=0,  # a control must never be switched off by failing
        tags=["holdfast", f"class:{data_class.name}", *(f"clause:{one}" for one in _CLAUSES)],
        doc_md=_words(policy, data_class),
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
        _wire(data_class.name)
    return dag


def _wire(data_class: str) -> None:
    @task(retry_delay=timedelta(minutes=1))
    def due() -> list[list[dict[str, Any]]]:
        """Of which datasets restores are to be tried now."""
        from include.orchestration import verify_tasks  # noqa: PLC0415  heavy

        try:
            return verify_tasks.find_due(_run(data_class))
        except ConfigurationInvalid as error:
            raise AirflowFailException(str(error)) from error

    @task(pool=pool_of(data_class), map_index_template="{{ unit_name }}")
    def verify(unit: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Restore one dataset on trial, compare it, and judge it."""
        from include.orchestration import verify_tasks  # noqa: PLC0415  heavy

        context = get_current_context()
        context["unit_name"] = unit_name(unit)  # type: ignore[typeddict-unknown-key]
        run = _run(data_class)
        outcomes, errors = verify_tasks.verify_unit(run, unit)
        if unmet := verify_tasks.unmet(outcomes):
            raise AirflowFailException(f"{', '.join(unmet)} did not pass; the log above says why")
        if errors:
            told = "not everything could be tried; the log above says why"
            wrong = all(isinstance(error, ConfigurationInvalid) for error in errors)
            # A person who started it sees at once; and no attempt mends a configuration.
            raise (AirflowFailException if run.manual or wrong else AirflowException)(told)
        return outcomes

    @task(trigger_rule="all_done", retries=2)
    def summary(chosen: Any, done: Any) -> bool:  # noqa: ANN401  XCom
        """How restores of every dataset of the run stand, in one table."""
        from include.orchestration import verify_tasks  # noqa: PLC0415  heavy

        del done  # the ledgers know
        return verify_tasks.summarize(_run(data_class), chosen)

    @task(trigger_rule="all_done", retries=0)
    def watcher(ok: Any) -> None:  # noqa: ANN401  XCom
        """Make the run red if anything did not pass."""
        if not ok:
            raise AirflowFailException("not every restore passed; see the summary")

    chosen = due()
    done = verify.expand(unit=chosen)
    watcher(summary(chosen, done))


def _run(data_class: str) -> Run:
    """What the tasks need to know of the run they belong to."""
    return Run(**of_context(data_class, get_current_context()))


def _words(policy: Policy, data_class: DataClass) -> str:
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
