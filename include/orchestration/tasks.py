"""What the tasks of a backup DAG do. Imported inside tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from include.backup.actions.assess import Assessment, assess
from include.backup.actions.back_up import back_up
from include.backup.actions.due import DueDataset, due_datasets
from include.backup.actions.outcome import Outcome, hint_of, reason_of
from include.backup.cli.environment import now
from include.backup.cli.policy_in_force import keep
from include.backup.errors import AlreadyRunning, ConfigurationInvalid
from include.backup.evidence.kinds import Kind
from include.backup.evidence.sentences import AGE_CLAUSES, Subject, sentence
from include.backup.evidence.table import table
from include.backup.evidence.wording import moment
from include.backup.policy.objectives import SKEW, Verdict
from include.backup.policy.proof import prove
from include.orchestration.runs import Run, chosen_of, unit_name, units
from include.orchestration.setting import task_setting
from include.orchestration.watching import told_progress
from include.orchestration.working import work_through

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from include.backup.actions.setting import Setting
    from include.backup.evidence.records import Record
    from include.backup.policy.model import Method
    from include.orchestration.runs import Unit

log = logging.getLogger("holdfast")

_MADE_NONE: Final = "this run made no recovery point"
_WITHOUT_POINT: Final = frozenset({Kind.FAILED, Kind.REFUSED, Kind.INTERRUPTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUpRun(Run):
    """One run of a backup DAG."""

    method: Method


def find_due(run: BackUpRun) -> list[Unit]:
    """Say which datasets are to be backed up now, and log the rest.

    Raises:
        PolicyInvalid: the schedule of the class cannot keep the promises.
        ConfigurationInvalid: a name that was asked for is no dataset of the class.
    """
    setting = task_setting(run.owner)
    for warning in setting.warnings:
        log.warning("%s", warning)
    _require_proof(setting, run)
    found = due_datasets(setting, data_class=run.data_class, method=run.method, tick=run.tick)
    chosen = chosen_of(found, run)
    if not chosen:
        waits = [dataset.next_due_at for dataset in found if dataset.next_due_at]
        until = f"nothing due until {moment(min(waits))}" if waits else "no dataset has this class"
        log.info("KEPT 3.1 · %s · %s", run.data_class, until)
    for dataset in chosen:
        log.info("%s: %s", dataset.name, dataset.reason)
    return units([dataset.to_json() for dataset in chosen])


def back_up_unit(run: BackUpRun, unit: Unit) -> tuple[list[dict[str, Any]], list[Exception]]:
    """Back up each dataset of a unit, whatever becomes of the others.

    Returns:
        The outcomes as plain values, and the errors of those that failed.
    """
    setting = task_setting(run.owner)
    done, errors = work_through(
        unit,
        lambda dataset: _back_up_one(setting, run, dataset),
        not_begun=lambda name, error: _not_begun(setting, name, error),
    )
    # Whoever holds the lease may be dead, on a machine that nobody can ask: look again.
    held = [one for one in done if one.kind == Kind.REFUSED and not run.manual]
    errors += [AlreadyRunning(one.what) for one in held]
    return [one.to_json() for one in done if one not in held], errors


def worth_retrying(
    run: BackUpRun, unit: Unit, errors: Sequence[Exception], *, wait: timedelta
) -> bool:
    """Whether another attempt can help, and ends in time; a person who started it sees at once."""
    if run.manual or all(isinstance(error, ConfigurationInvalid) for error in errors):
        return False
    deadlines = [DueDataset.of_json(document).deadline for document in unit]
    return any(deadline is None or now() + wait < deadline for deadline in deadlines)


def summarize(
    run: BackUpRun, chosen: Sequence[Unit] | None, done: Sequence[Sequence[dict[str, Any]]]
) -> bool:
    """Log one table of all datasets of the run, worst first, and each one's sentence.

    Args:
        chosen: None when the run could not even find out what was due.

    Returns:
        Whether the run is what the policy wants: nothing failed, and the policy is valid.
    """
    if chosen is None:
        log.error("AT RISK 3.1 · %s · nothing was backed up: see the log of `due`", run.data_class)
        return False
    setting = task_setting(run.owner)
    datasets = [DueDataset.of_json(document) for unit in chosen for document in unit]
    names = [dataset.name for dataset in datasets]
    outcomes = {found["dataset"]: Outcome.of_json(found) for unit in done if unit for found in unit}
    found_now = {found.row.dataset: found for found in assess(setting, names)}
    completed = {
        dataset.name
        for dataset in datasets
        if dataset.name in outcomes or _is_completed(run, dataset, found_now[dataset.name])
    }
    standing = [_told(run, found, outcomes, completed) for found in found_now.values()]
    for warning in setting.warnings:
        log.warning("%s", warning)
    if names:
        log.info("%s", "\n" + table([found.row for found in standing]))
    else:
        log.info("nothing was due: no dataset of class %s had to be backed up", run.data_class)
    for found in standing:
        if found.sentence:
            log.info("%s", found.sentence)
    return not setting.warnings and completed >= set(names)


def _is_completed(run: BackUpRun, dataset: DueDataset, found: Assessment) -> bool:
    """Whether the ledger knows better than the tasks, which tell nothing when others failed."""
    if run.manual:
        return found.committed_at is not None and found.committed_at > run.tick
    last = found.last_slots.get(run.method)
    return dataset.slot is not None and last is not None and dataset.slot <= last


def failed_text(unit: Unit, errors: Sequence[Exception]) -> str:
    """What Airflow shows of a failed task: whom it is about; why stands in the log once."""
    if len(unit) == 1:
        return f"{unit_name(unit)} was not backed up; its sentence above says why"
    return f"{len(errors)} of {len(unit)} datasets were not backed up; the log above says why"


def _not_begun(setting: Setting, name: str, error: Exception) -> str:
    dataset = setting.datasets.good.get(name)
    subject = Subject(data_class=dataset.data_class if dataset else "?", dataset=name)
    what = f"backup not begun: {reason_of(error)}"
    return sentence(Verdict.BROKEN, AGE_CLAUSES, subject, what, hint=hint_of(error))


def _told(
    run: BackUpRun, found: Assessment, outcomes: dict[str, Outcome], completed: set[str]
) -> Assessment:
    """How a dataset stands, with what this run did about it."""
    row = found.row
    if (outcome := outcomes.get(row.dataset)) is not None:
        return replace(found, row=replace(row, what=outcome.what), sentence=outcome.sentence)
    if row.dataset in completed:
        return replace(found, row=replace(row, what="recovery point complete"))
    verdict = Verdict.AT_RISK if row.verdict is Verdict.KEPT else row.verdict
    subject = Subject(data_class=row.data_class, dataset=row.dataset)
    if not row.known:  # the reason ends with what to do about it
        told = sentence(verdict, AGE_CLAUSES, subject, f"{_MADE_NONE}: {row.what}")
        return replace(found, row=replace(row, what=f"{_MADE_NONE}: {row.what}"), sentence=told)
    if (head := found.head) is not None and _tells_of(run, head):
        what = f"{_MADE_NONE}: {head.body.get('reason', '')}"
        return replace(found, row=replace(row, verdict=verdict, what=what))
    what = f"{_MADE_NONE}: its task left no record of its end; see its log"
    told = sentence(verdict, AGE_CLAUSES, subject, what)
    return replace(found, row=replace(row, verdict=verdict, what=what), sentence=told)


def _tells_of(run: BackUpRun, head: Record) -> bool:
    """Whether the newest record is about the failure of this run, and not of an earlier one."""
    return head.kind in _WITHOUT_POINT and head.happened_at >= run.tick - SKEW


def _back_up_one(setting: Setting, run: BackUpRun, dataset: DueDataset) -> Outcome:
    with told_progress(dataset.name) as progress:
        outcome = back_up(
            setting,
            dataset.name,
            method=run.method,
            slot=None if run.manual else dataset.slot,
            deadline=dataset.deadline,
            progress=progress,
        )
    log.info("%s", outcome.sentence)
    return outcome


def _require_proof(setting: Setting, run: BackUpRun) -> None:
    """Keep the policy that is valid; of one that is not, and is all there is, prove this class."""
    if not setting.warnings:
        keep(setting)
    else:
        prove(setting.policy.data_class(run.data_class), start=run.tick.date()).require()
