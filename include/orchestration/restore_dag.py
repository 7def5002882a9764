"""The DAG that restores, with the approval of a second, trained person (4.2, 4.3).

    plan → approve → gate → restore (one task for each dataset) → summary → watcher

`plan` touches nothing. `approve` waits for an answer in the UI or by the API, on no worker; the
answer is judged and recorded as the scheduler hands it over, before it becomes a result that anyone
may edit. `gate` lets through what has its approval in the ledger; that is restored, and compared.
`summary` runs whatever happened, and tells of each restore as one document.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import (
    DAG,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    Param,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowFailException

from include.backup.errors import BackupError
from include.backup.policy.durations import format_duration
from include.backup.policy.model import CLAUSES
from include.orchestration.alerts import ALERTS, OverdueAlert
from include.orchestration.names import RESTORE_DAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.policy.model import Policy
    from include.orchestration.restore_tasks import RestoreRun

_CLAUSES: Final = ("4.2", "4.3")
_TEXT: Final = {"type": "string"}
_OPTIONAL: Final = {"type": ["null", "string"]}  # an empty text is none to Airflow's form


class Approval(HITLOperator):
    """Waits for an answer as long as datasets.yaml says; without one it is a rejection."""

    def execute(self, context: Any) -> Any:  # noqa: ANN401  Airflow's
        """Ask. Nothing of this runs while the task waits."""
        planned = context["ti"].xcom_pull(task_ids="plan")
        self.response_timeout = timedelta(seconds=planned["wait_seconds"])
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:  # noqa: ANN401
        """Judge who answered what (4.3), and record it."""
        from include.orchestration import restore_tasks  # noqa: PLC0415  heavy

        answer = super().execute_complete(context, event)
        planned = context["ti"].xcom_pull(task_ids="plan")
        with _failing():
            restore_tasks.judge(_run(), planned, event)
        return answer


def restore_dag(policy: Policy) -> DAG:
    """The DAG; one for all classes."""
    dag = DAG(
        dag_id=RESTORE_DAG,
        dag_display_name=f"Restore · with approval ({', '.join(_CLAUSES)})",
        schedule=None,
        catchup=False,
        max_consecutive_failed_dag_runs=0,  # a refused restore must not switch off the next one
        tags=["holdfast", *(f"clause:{one}" for one in _CLAUSES)],
        doc_md=_words(policy),
        params=_form(policy),
        # Nothing is tried again by itself: what was half restored, somebody has to look at.
        default_args={"owner": "holdfast", "on_failure_callback": ALERTS, "retries": 0},
        on_failure_callback=ALERTS,
        deadline=_deadlines(policy),
    )
    with dag:
        _wire()
    return dag


def _form(policy: Policy) -> dict[str, Param]:
    classes = [data_class.name for data_class in policy.classes]
    return {
        "datasets": Param(
            None,
            type=["null", "array"],
            items=_TEXT,
            title="Datasets",
            description="These, by their names in datasets.yaml; or a class, below.",
        ),
        "data_class": Param(
            None,
            type=["null", "string"],
            enum=[None, *classes],
            title="Class",
            description="Every dataset of this class.",
        ),
        "recovery_point": Param(
            "latest",
            **_TEXT,
            title="Recovery point",
            description="`latest`; a time in UTC, as in `2026-11-23T01:00`: the newest until then; "
            "or the beginning of an id, as `holdfast recovery-points` lists them.",
        ),
        "from": Param(
            None,
            **_OPTIONAL,
            title="From",
            description="A vault that holds a copy, by its name in datasets.yaml. Empty: the home. "
            "If the home cannot be read at all, nothing can be approved: RUNBOOK.md.",
        ),
        "path": Param(
            None,
            **_OPTIONAL,
            title="Only",
            description="A pattern relative to the dataset, as in `contracts/*.pdf` or "
            "`crm/data/public.customers.copy`. Empty: everything.",
        ),
        "destination": Param(
            "",
            **_TEXT,
            title="Destination",
            description="A new or empty directory of the worker; or `connection:ID/NAME`, what the "
            "database or bucket is to be called there. `{dataset}` stands for each dataset's name.",
        ),
        "overwrite": Param(
            False,  # noqa: FBT003  Airflow's signature
            type="boolean",
            title="Overwrite",
            description="Replace what stands there. Who approves is told what that is.",
        ),
        "into_source": Param(
            None,
            **_OPTIONAL,
            title="Into the source",
            description="To restore into the very server that the data is from, its connection "
            "once more.",
        ),
        "compare": Param(
            True,  # noqa: FBT003  Airflow's signature
            type="boolean",
            title="Compare",
            description="Read again what was restored, and compare it, before it is handed over.",
        ),
        "reason": Param("", **_TEXT, title="Reason", description="It is documented (4.3)."),
        "ticket": Param(
            None, **_OPTIONAL, title="Ticket", description="Where more is written about it."
        ),
        "incident_began": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Incident began",
            description="The RTO runs from then (4.2). Empty: from now.",
        ),
    }


def _deadlines(policy: Policy) -> list[DeadlineAlert]:
    """One for each RTO there is: a run that is under way then may break 4.2."""
    by_rto: dict[timedelta, list[str]] = {}
    for data_class in policy.classes:
        by_rto.setdefault(data_class.rto, []).append(data_class.name)
    return [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=rto,
            callback=AsyncCallback(
                OverdueAlert,
                kwargs={"classes": ", ".join(names), "limit": format_duration(rto)},
            ),
            name=f"RTO of {', '.join(names)}",
        )
        for rto, names in by_rto.items()
    ]


def _wire() -> None:
    @task
    def plan() -> dict[str, Any]:
        """What would be restored, where to, over what, and how long it takes."""
        from include.orchestration import restore_tasks  # noqa: PLC0415  heavy

        with _failing():
            return restore_tasks.plan(_run(), dict(get_current_context()["params"]))

    approve = Approval(
        task_id="approve",
        subject="{{ ti.xcom_pull(task_ids='plan')['subject'] }}",
        body="{{ ti.xcom_pull(task_ids='plan')['body'] }}",
        options=["Approve", "Reject"],
        defaults="Reject",
    )

    @task(trigger_rule="all_done")
    def gate(planned: Any, answer: Any) -> list[dict[str, Any]]:  # noqa: ANN401  XCom
        """Let through what was approved, by the ledger."""
        from include.orchestration import restore_tasks  # noqa: PLC0415  heavy

        del answer  # anyone may write a result; the ledger is signed
        if not planned:
            raise AirflowFailException("nothing was planned; see the log of `plan`")
        with _failing():
            approved = restore_tasks.let_through(_run(), planned)
        if not approved:
            raise AirflowFailException("not approved; see the log of `approve`, and the summary")
        return approved

    @task(map_index_template="{{ unit_name }}")
    def restore(request: dict[str, Any]) -> None:
        """Restore one dataset, with progress, and compare it."""
        from include.orchestration import restore_tasks  # noqa: PLC0415  heavy

        get_current_context()["unit_name"] = request["dataset"]  # type: ignore[typeddict-unknown-key]
        with _failing():
            restore_tasks.carry_out(_run(), request)

    @task(trigger_rule="all_done", retries=2, retry_delay=timedelta(minutes=1))
    def summary(planned: Any, done: Any) -> bool:  # noqa: ANN401  XCom
        """Each restore as one document, whatever came of it."""
        from include.orchestration import restore_tasks  # noqa: PLC0415  heavy

        del done  # the ledgers know
        return restore_tasks.summarize(_run(), planned, dict(get_current_context()["params"]))

    @task(trigger_rule="all_done")
    def watcher(ok: Any) -> None:  # noqa: ANN401  XCom
        """Make the run red unless everything was restored."""
        if not ok:
            raise AirflowFailException("not everything was restored; see the summary")

    planned = plan()
    planned >> approve  # type: ignore[operator]
    approved = gate(planned, approve.output)
    done = restore.expand(request=approved)
    watcher(summary(planned, done))


@contextmanager
def _failing() -> Iterator[None]:
    """Fail the task with the words of our errors, for good."""
    try:
        yield
    except BackupError as error:
        raise AirflowFailException(str(error)) from error


def _run() -> RestoreRun:
    """What the tasks need to know of the run they belong to."""
    from include.orchestration.restore_tasks import RestoreRun  # noqa: PLC0415  heavy

    dag_run: Any = get_current_context()["dag_run"]
    return RestoreRun(
        owner=f"airflow/{dag_run.dag_id}/{dag_run.run_id}",
        asked_at=dag_run.run_after,
        user=str(getattr(dag_run, "triggering_user_name", None) or ""),
    )


def _words(policy: Policy) -> str:
    """What the DAG is for, with the clauses that it carries out."""
    times = "; ".join(f"{one.name} {format_duration(one.rto)}" for one in policy.classes)
    return f"""\
**{policy.name}**

* 4.2 {CLAUSES["4.2"]}: {times}
* 4.3 {CLAUSES["4.3"]}

Start it with a form: what is to be restored, where to, and why. `plan` chooses the recovery point,
looks at the destination and forecasts the time; it touches nothing. Then somebody else answers
under *Required actions*: a person of `include/config/people.yaml` whose training is valid, and not
the one who asked. Nobody's answer is a refusal. What was approved is restored, read again and
compared, and handed over within the RTO, counted from when the incident began. `summary` has the
restoration record; so has `holdfast restores`.

When Airflow is what was lost: `holdfast restore`, as RUNBOOK.md tells.
"""
