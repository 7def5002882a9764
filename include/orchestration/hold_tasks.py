"""What the tasks of the hold DAG do (3.2). Imported in tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.backup.actions.hold import add_hold, lift_hold, refuse_hold, require_hold
from include.backup.actions.outcome import sentence_of
from include.backup.actions.two_people import TwoPeople
from include.backup.errors import BackupError, ConfigurationInvalid, NotApproved
from include.backup.evidence.wording import one_line
from include.backup.policy.approval import judge_four_eyes
from include.backup.policy.durations import format_duration
from include.orchestration.restore_tasks import answer_of
from include.orchestration.setting import task_setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting

log = logging.getLogger("holdfast")


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldForm:
    """What somebody wants held or lifted."""

    dataset: str
    points: tuple[str, ...]
    lifts: str  # the id of a hold; empty: it is a new one
    reason: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> HoldForm:
        """Read the form.

        Raises:
            ConfigurationInvalid: something is missing, or contradicts itself.
        """
        lifts = str(values.get("hold") or "").strip()
        form = cls(
            dataset=str(values.get("dataset") or "").strip(),
            points=tuple(str(one).strip() for one in values.get("recovery_points") or ()),
            lifts=lifts,
            reason=str(values.get("reason") or "").strip(),
        )
        if not form.dataset or not form.reason:
            raise ConfigurationInvalid("a hold needs a dataset and a reason")
        if (values.get("what") == "lift") != bool(lifts):
            raise ConfigurationInvalid(
                "to lift a hold takes its id, and a new one has none",
                hint="`holdfast holds` lists them",
            )
        return form

    @property
    def told(self) -> str:
        """For who is asked."""
        if self.lifts:
            return f"lift hold {self.lifts} of {self.dataset}"
        covers = ", ".join(self.points) or "everything"
        return f"put {self.dataset} on hold: {covers}"


def ask(run: tuple[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """See that it can be done; say what somebody has to decide.

    Raises:
        ConfigurationInvalid: the form is not what it has to be, or there is no such thing.
    """
    owner, user = run
    setting = task_setting(owner)
    form = HoldForm.of(values)
    require_hold(setting, form.dataset, points=form.points, hold=form.lifts)
    wait = setting.datasets.recovery.approve_within
    log.info("%s · %s", form.told, form.reason)
    return {
        "subject": form.told,
        "body": f"{user or 'somebody'} wants to {form.told}.\n\nReason: {one_line(form.reason)}\n\n"
        f"Somebody else answers, within {format_duration(wait)}.",
        "wait_seconds": wait.total_seconds(),
    }


def decide(run: tuple[str, str], values: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    """Judge an answer as Airflow's scheduler hands it over, and carry it out.

    Raises:
        NotApproved: it was refused, which is recorded.
        BackupError: it could not be done.
    """
    owner, user = run
    setting = task_setting(owner)
    form = HoldForm.of(values)
    answer = answer_of(event)
    waited = setting.datasets.recovery.approve_within
    refusal = judge_four_eyes(answer, requested_by=user, waited=waited)
    if refusal is not None:
        refused = refuse_hold(setting, form.dataset, what=form.told, why=refusal.why)
        log.error("%s", refused.sentence)
        raise NotApproved(refusal.why, hint=refusal.hint)
    order = TwoPeople(reason=form.reason, requested_by=user, approved_by=answer.by)
    try:
        outcome = _carried_out(setting, form, order)
    except BackupError as error:
        log.error("%s", sentence_of(error, str(error)))  # noqa: TRY400  it says all there is
        raise
    log.info("%s", outcome.sentence)


def _carried_out(setting: Setting, form: HoldForm, order: TwoPeople) -> Outcome:
    if form.lifts:
        return lift_hold(setting, form.dataset, form.lifts, order)
    return add_hold(setting, form.dataset, order, points=form.points)
