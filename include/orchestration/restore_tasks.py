"""What the tasks of the restore DAG do (4.2, 4.3). Imported in tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.backup.actions import approving
from include.backup.actions.outcome import sentence_of
from include.backup.actions.request import Form, Request, request_id
from include.backup.actions.requesting import Asker, names_of, request_restores
from include.backup.actions.restores import restoration
from include.backup.cli.environment import now
from include.backup.cli.stopping import sigterm_stops
from include.backup.errors import BackupError, ConfigurationInvalid, RestoreRefused
from include.backup.evidence.kinds import Kind
from include.backup.evidence.restoration import as_text
from include.backup.evidence.wording import one_line
from include.backup.policy.approval import Answer, Approval, Refusal, judge_answer
from include.orchestration.restore_words import body, plan_table, subject
from include.orchestration.setting import task_setting
from include.orchestration.watching import told_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.evidence.records import Record

log = logging.getLogger("holdfast")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRun:
    """One run of the DAG."""

    owner: str
    asked_at: datetime
    user: str  # who started it; empty: nobody knows


def plan(run: RestoreRun, values: Mapping[str, Any]) -> dict[str, Any]:
    """Plan and record what somebody wants restored.

    Returns:
        The requests, how many could not be one, and what the person who approves has to read.

    Raises:
        ConfigurationInvalid: the form is not what it has to be, or nothing of it can be done.
    """
    setting = task_setting(run.owner)
    asked_at = min(run.asked_at, now())
    form = Form.of(values, now=now())
    asker = Asker(user=run.user, at=asked_at, run=run.owner)
    found = request_restores(setting, form, asker)
    for sentence in found.sentences:
        log.info("%s", sentence)
    for sentence in found.refused:
        log.error("%s", sentence)
    if not found.requests:
        raise ConfigurationInvalid("nothing of it can be restored; the log above says why")
    log.info("\n%s", plan_table(found.requests))
    wait = setting.datasets.recovery.approve_within
    return {
        "requests": [one.to_json() for one in found.requests],
        "refused": len(found.refused),
        "subject": subject(found.requests),
        "body": body(found.requests, found.refused, wait),
        "wait_seconds": wait.total_seconds(),
    }


def judge(run: RestoreRun, planned: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    """Judge an answer as Airflow's scheduler hands it over, and record it for each request."""
    setting = task_setting(run.owner)
    requests = _requests(run, planned)
    judged = judge_answer(
        answer_of(event),
        requested_by=run.user,
        people=_people(setting),
        waited=timedelta(seconds=planned["wait_seconds"]),
    )
    for request in requests:
        try:
            _record(setting, request, judged)
        except BackupError as error:  # the others are not to suffer for it
            log.error("%s: not approved: %s", request.dataset, error)  # noqa: TRY400  says it all


def let_through(run: RestoreRun, planned: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The requests whose approval stands in the ledger; those that nobody answered are refused."""
    setting = task_setting(run.owner)
    approved = []
    for request in _requests(run, planned):
        is_approved = approving.is_approved(setting, request)
        if is_approved is None:
            ended = Refusal(
                why="the question ended without an answer",
                hint="ask again, and call somebody who may approve: `holdfast people`",
                nobody=True,
            )
            log.error("%s", approving.refuse(setting, request, ended))
        elif is_approved:
            approved.append(request.to_json())
    return approved


def carry_out(run: RestoreRun, document: Mapping[str, Any]) -> Outcome:
    """Restore what was approved, and compare it.

    Raises:
        BackupError: it was not restored; that is recorded, and logged.
    """
    setting = task_setting(run.owner)
    [request] = _requests(run, {"requests": [document]})
    try:
        with sigterm_stops(), told_progress(request.dataset) as progress:
            outcome = approving.carry_out(setting, request, progress)
    except KeyboardInterrupt as stopped:
        log.error("%s", sentence_of(stopped, f"{request.dataset}: stopped"))  # noqa: TRY400
        raise BackupError("the task was ended from outside") from None
    except BackupError as error:
        log.error("%s", sentence_of(error, str(error)))  # noqa: TRY400  it says all there is
        raise
    log.info("%s", outcome.sentence)
    for note in outcome.details["noted"]:
        log.info("note: %s", one_line(note))
    return outcome


def summarize(
    run: RestoreRun, planned: Mapping[str, Any] | None, values: Mapping[str, Any]
) -> bool:
    """Log the document about each restore; what ended without a word is ended now.

    Args:
        values: of the form, for a run whose plan came to nothing.

    Returns:
        Whether everything that was asked for is restored, within the RTO.
    """
    setting = task_setting(run.owner)
    if planned is None:
        log.error("NOT TESTED 4.2 · nothing was restored: see the log of `plan`")
        planned = {"requests": _left_open(run, setting, values), "refused": 1}
    restored = 0
    for request in _requests(run, planned):
        record, sentence = approving.end_of(setting, request)
        restored += record is not None and _in_time(record)
        log.info("%s", sentence)
        log.info("\n%s", as_text(restoration(setting, request.dataset, act=request.id)))
        log.info("as a page: holdfast restores %s --act %s --to FILE.html", request.dataset,
                 request.id)  # fmt: skip
    asked = len(planned["requests"]) + planned["refused"]
    log.info("%d of %d restored within the RTO", restored, asked)
    return restored == asked


def _in_time(record: Record) -> bool:
    body: Any = record.body
    return record.kind == Kind.RESTORED and body["clock_seconds"] <= body["limit_seconds"]


def _left_open(
    run: RestoreRun, setting: Setting, values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The requests that a plan had recorded before it came to nothing."""
    try:
        names = names_of(setting, Form.of(values, now=now()))
    except BackupError:
        return []
    found = (approving.find_request(setting, name, request_id(run.owner, name)) for name in names)
    return [request.to_json() for request in found if request is not None]


def _requests(run: RestoreRun, planned: Mapping[str, Any]) -> list[Request]:
    """The requests of this very run.

    Raises:
        RestoreRefused: one is another run's.
    """
    requests = [Request.of_json(one) for one in planned["requests"]]
    for request in requests:
        if request.id != request_id(run.owner, request.dataset):
            raise RestoreRefused(f"the request for {request.dataset} is not of this run")
    return requests


def _record(setting: Setting, request: Request, judged: Approval | Refusal) -> None:
    if isinstance(judged, Refusal):
        log.error("%s", approving.refuse(setting, request, judged))
    else:
        log.info("%s", approving.approve(setting, request, judged))


def _people(setting: Setting) -> Mapping[str, Any]:
    """Who may approve. A file that cannot be read names nobody: nobody may."""
    try:
        return setting.people()
    except ConfigurationInvalid as error:
        log.error("AT RISK 4.3 · nobody can approve: %s", error)  # noqa: TRY400  says it all
        return {}


def answer_of(event: Mapping[str, Any]) -> Answer:
    """What Airflow says of the answer. Of a time-out it is nobody's.

    Who asked is known by name alone (`triggering_user_name`), so the name of who answers counts:
    the id is another thing with most of Airflow's auth managers.
    """
    who = event.get("responded_by_user") or {}
    at = event.get("responded_at")
    return Answer(
        approved=list(event.get("chosen_options") or ()) == ["Approve"],
        by=str(who.get("name") or ""),
        at=at if isinstance(at, datetime) and at.tzinfo else now(),
    )
