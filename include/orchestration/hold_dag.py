"""The DAG that puts datasets on hold, and lifts holds, on two people's word (3.2).

    ask → approve

`ask` touches nothing. The answer to `approve` is judged, and carried out, as the scheduler hands it
over, by the form of the run, which nobody can change: no result in between decides anything.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from include.backup.errors import BackupError
from include.backup.policy.model import CLAUSES
from include.orchestration.alerts import ALERTS
from include.orchestration.names import HOLD_DAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.policy.model import Policy

_TEXT: Final = {"type": "string"}


class Decision(HITLOperator):
    """Waits for an answer as long as datasets.yaml says; without one it is a rejection."""

    def execute(self, context: Any) -> Any:  # noqa: ANN401  Airflow's
        """Ask. Nothing of this runs while the task waits."""
        asked = context["ti"].xcom_pull(task_ids="ask")
        self.response_timeout = timedelta(seconds=asked["wait_seconds"])
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:  # noqa: ANN401
        """Judge who answered what, and do it."""
        from include.orchestration import hold_tasks  # noqa: PLC0415  heavy

        answer = super().execute_complete(context, event)
        with _failing():
            hold_tasks.decide(_run(), dict(context["params"]), event)
        return answer


def hold_dag(policy: Policy) -> DAG:
    """The DAG; one for all classes."""
    dag = DAG(
        dag_id=HOLD_DAG,
        dag_display_name="Hold · with approval (3.2)",
        schedule=None,
        catchup=False,
        max_consecutive_failed_dag_runs=0,  # a refused hold must not switch off the next one
        tags=["holdfast", "clause:3.2"],
        doc_md=_words(policy),
        params=_form(),
        default_args={"owner": "holdfast", "on_failure_callback": ALERTS, "retries": 0},
        on_failure_callback=ALERTS,
    )
    with dag:
        _wire()
    return dag


def _form() -> dict[str, Param]:
    return {
        "what": Param(
            "hold",
            type="string",
            enum=["hold", "lift"],
            title="What",
            description="Keep it until the hold is lifted; or lift a hold.",
        ),
        "dataset": Param("", **_TEXT, title="Dataset", description="Its name in datasets.yaml."),
        "recovery_points": Param(
            [],
            type="array",
            items=_TEXT,
            title="Recovery points",
            description="Only these, by the beginnings of their ids. Empty: everything of the "
            "dataset, what is to come included.",
        ),
        "hold": Param(
            None,
            type=["null", "string"],
            title="Hold",
            description="To lift one: its id, as `holdfast holds` lists it.",
        ),
        "reason": Param("", **_TEXT, title="Reason", description="It is recorded."),
    }


def _wire() -> None:
    @task
    def ask() -> dict[str, Any]:
        """What is to be held or lifted, and what that covers."""
        from include.orchestration import hold_tasks  # noqa: PLC0415  heavy

        with _failing():
            return hold_tasks.ask(_run(), dict(get_current_context()["params"]))

    approve = Decision(
        task_id="approve",
        subject="{{ ti.xcom_pull(task_ids='ask')['subject'] }}",
        body="{{ ti.xcom_pull(task_ids='ask')['body'] }}",
        options=["Approve", "Reject"],
        defaults="Reject",
    )
    ask() >> approve  # type: ignore[operator]


@contextmanager
def _failing() -> Iterator[None]:
    """Fail the task with the words of our errors, for good."""
    try:
        yield
    except BackupError as error:
        raise AirflowFailException(str(error)) from error


def _run() -> tuple[str, str]:
    """Who acts, and the user who started the run; empty: nobody knows."""
    dag_run: Any = get_current_context()["dag_run"]
    owner = f"airflow/{dag_run.dag_id}/{dag_run.run_id}"
    return owner, str(getattr(dag_run, "triggering_user_name", None) or "")


def _words(policy: Policy) -> str:
    """What the DAG is for, with the clause that it carries out."""
    return f"""\
**{policy.name}**

* 3.2 {CLAUSES["3.2"]}

Start it with a form: which dataset, or which recovery points of it, are to be kept whatever their
age, and why: a lawsuit, an investigation. Then somebody else answers under *Required actions*;
nobody's answer is a rejection. Nothing that is on hold expires, here or in replicas, nor by the
hand of who deletes in a bucket with Object Lock. The same form lifts a hold. `holdfast holds` lists
them.
"""
