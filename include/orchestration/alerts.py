"""Telling people that something failed (5).

The Airflow variable `holdfast_alerts` says whom: ``{"email": ["oncall@example.com"]}``, sent by the
connection `smtp_default`, or the one named under ``"connection"``. Without it an alert is a line in
the log, and Airflow's own colours.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from airflow.sdk import BaseNotifier

from include.backup.evidence.wording import one_line

log = logging.getLogger("holdfast")
VARIABLE: Final = "holdfast_alerts"


class BackupAlert(BaseNotifier):
    """Tells of a failed task or a failed run."""

    def notify(self, context: Any) -> None:  # noqa: ANN401  Airflow's context
        """Log, and send what the variable asks for."""
        where = _where(context)
        log.error("ALERT 5 · %s failed; its log and the summary of the run say why", where)
        targets = _targets()
        if recipients := targets.get("email"):
            _send(recipients, targets.get("connection", "smtp_default"), where, context)

    async def async_notify(self, context: Any) -> None:  # noqa: ANN401  Airflow's context
        """See `notify`."""
        self.notify(context)


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


def _send(recipients: list[str], connection: str, where: str, context: Any) -> None:  # noqa: ANN401
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
        subject=f"Holdfast: {where} failed",
        html_content=f"<p>{where} failed. The summary task of the run says why.</p>",
    ).notify(context)


ALERTS: Final = [BackupAlert()]
