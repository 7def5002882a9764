"""Telling people that something failed (5).

The Airflow variable `holdfast_alerts` says whom: ``{"email": ["oncall@example.com"]}``, sent by the
connection `smtp_default`, or the one named under ``"connection"``. Without it an alert is a line in
the log, and Airflow's own colours.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from airflow.sdk import BaseNotifier
from asgiref.sync import sync_to_async

from include.backup.evidence.wording import one_line

log = logging.getLogger("holdfast")
VARIABLE: Final = "holdfast_alerts"


class BackupAlert(BaseNotifier):
    """Tells of a failed task or a failed run."""

    def notify(self, context: Any) -> None:  # noqa: ANN401  Airflow's context
        """Log, and send what the variable asks for."""
        where = _where(context)
        log.error("ALERT 5 · %s failed; its log and the summary of the run say why", where)
        self.send(f"{where} failed", context)

    def send(self, told: str, context: Any) -> None:  # noqa: ANN401  Airflow's context
        """Send it to whomever the variable names."""
        targets = _targets()
        if recipients := targets.get("email"):
            _send(recipients, targets.get("connection", "smtp_default"), told, context)

    async def async_notify(self, context: Any) -> None:  # noqa: ANN401  Airflow's context
        """See `notify`: in a thread, for it asks Airflow for the variable."""
        await sync_to_async(self.notify)(context)


class OverdueAlert(BackupAlert):
    """Tells that a restore is under way, or waits for approval, when the RTO has passed (4.2).

    Airflow runs it in the triggerer, which is to be there for it.

    Args:
        classes: whose RTO it is.
        limit: the RTO, for people.
    """

    def __init__(self, classes: str, limit: str, **more: Any) -> None:  # noqa: ANN401  Airflow's
        super().__init__(**more)
        self.classes = classes
        self.limit = limit

    def notify(self, context: Any) -> None:  # noqa: ANN401  Airflow's context
        """Log, and send what the variable asks for."""
        dag_run = context.get("dag_run")
        if isinstance(dag_run, dict) and dag_run.get("state") in {"success", "failed"}:
            return  # it has ended, and its end was told
        where = f"a restore, {_run_of(context)},"
        told = f"is not handed over {self.limit} after it was asked for, the RTO of {self.classes}"
        log.error("ALERT 4.2 · %s %s", where, told)
        self.send(f"{where} {told}", context)


def _run_of(context: Any) -> str:  # noqa: ANN401  Airflow's context
    """The run, as a deadline knows it: a mapping."""
    dag_run = context.get("dag_run") or {}
    run_id = dag_run.get("dag_run_id") or dag_run.get("run_id") if isinstance(dag_run, dict) else ""
    return f"run {one_line(str(run_id))}" if run_id else "a run"


def _where(context: Any) -> str:  # noqa: ANN401  Airflow's context
    instance = context.get("ti") or context.get("task_instance")
    dag_run = context.get("dag_run")
    run = f"run {dag_run.run_id}" if dag_run is not None else "a run"
    if instance is None:
        return run
    # The name is in the context before Airflow has rendered it, and on the instance afterwards.
    name = context.get("unit_name") or getattr(instance, "rendered_map_index", None)
    of_dataset = f" ({one_line(str(name))})" if name else ""
    return f"{instance.dag_id}.{instance.task_id}{of_dataset} of {run}"


def _targets() -> dict[str, Any]:
    from airflow.sdk import Variable  # noqa: PLC0415  asked for only when something failed

    found = Variable.get(VARIABLE, default=None, deserialize_json=True)
    return found if isinstance(found, dict) else {}


def _send(recipients: list[str], connection: str, told: str, context: Any) -> None:  # noqa: ANN401
    try:
        from airflow.providers.smtp.notifications.smtp import (  # noqa: PLC0415  optional
            SmtpNotifier,
        )
    except ImportError:
        log.error("no mail was sent; hint: pip install apache-airflow-providers-smtp")  # noqa: TRY400
        return
    SmtpNotifier(
        to=recipients,
        smtp_conn_id=connection,
        subject=f"Holdfast: {told}",
        html_content=f"<p>{told}. The summary task of the run says why.</p>",
    ).notify(context)


ALERTS: Final = [BackupAlert()]
