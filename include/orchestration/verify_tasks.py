"""What the tasks of a verification DAG do (3.4). Imported in tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from include.backup.actions.assess import assess, class_lines
from include.backup.actions.due import DueDataset, due_verifications
from include.backup.actions.outcome import Outcome, hint_of, reason_of
from include.backup.actions.verify import VerifyOrder, verify
from include.backup.evidence.sentences import Subject
from include.backup.evidence.tested import tested_table
from include.backup.evidence.verify_sentences import verification_failed
from include.backup.evidence.wording import one_line
from include.orchestration.runs import chosen_of, units
from include.orchestration.setting import task_setting
from include.orchestration.watching import told_progress
from include.orchestration.working import work_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.setting import Setting
    from include.orchestration.runs import Run, Unit

log = logging.getLogger("holdfast")


def find_due(run: Run) -> list[Unit]:
    """Say of which datasets restores are to be tried now, and log why, or why not.

    Raises:
        ConfigurationInvalid: a name that was asked for is no dataset of the class.
    """
    setting = task_setting(run.owner)
    found = due_verifications(setting, data_class=run.data_class, tick=run.tick)
    chosen = chosen_of(found, run)
    for dataset in found:
        log.info("%s: %s", dataset.name, dataset.reason)
    if not chosen:
        log.info("3.4 · %s · no restore is to be tried now", run.data_class)
    return units([dataset.to_json() for dataset in chosen])


def work_on(run: Run, unit: Unit) -> tuple[list[dict[str, Any]], list[Exception]]:
    """Verify each dataset of a unit, whatever becomes of the others.

    Returns:
        The outcomes as plain values, and why others could not be looked at.
    """
    setting = task_setting(run.owner)
    return work_through(
        unit,
        lambda dataset: _verify_one(setting, run, dataset).to_json(),
        not_begun=lambda name, error: _not_begun(setting, name, error),
    )


def unmet(outcomes: Sequence[dict[str, Any]]) -> list[str]:
    """The datasets that did not pass."""
    return [one["dataset"] for one in outcomes if not one["details"]["passed"]]


def summarize(run: Run, chosen: Sequence[Unit] | None) -> bool:
    """Log how restores of every dataset of the run stand, worst first, by the ledgers.

    Returns:
        Whether all of them passed.
    """
    if chosen is None:
        log.error("NOT TESTED 3.4 · %s · see the log of `due`", run.data_class)
        return False
    names = [DueDataset.of_json(document).name for unit in chosen for document in unit]
    if not names:
        log.info("no restore was to be tried: none was due in class %s", run.data_class)
        return True
    setting = task_setting(run.owner)
    of_class = assess(setting, _of_class(setting, run.data_class))
    assessed = [one for one in of_class if one.row.dataset in names]
    found = [one.tested for one in assessed]
    log.info("%s", "\n" + tested_table(found))
    for one in assessed:
        if one.sentence:
            log.info("%s", one.sentence)
    for line in class_lines(setting, of_class):
        log.info("%s", line)
    return all(one.passed and one.at is not None and one.at >= run.tick for one in found)


def _of_class(setting: Setting, data_class: str) -> list[str]:
    datasets = setting.datasets.good.values()
    return [one.name for one in datasets if one.data_class == data_class and one.retired is None]


def _verify_one(setting: Setting, run: Run, dataset: DueDataset) -> Outcome:
    with told_progress(dataset.name) as progress:
        order = VerifyOrder(slot=None if run.manual else dataset.slot)
        outcome, faults = verify(setting, dataset.name, order, progress=progress)
    for fault in faults:
        log.error("fault: %s", one_line(fault))
    log.info("%s", outcome.sentence)
    return outcome


def _not_begun(setting: Setting, name: str, error: Exception) -> str:
    dataset = setting.datasets.good.get(name)
    subject = Subject(data_class=dataset.data_class if dataset else "?", dataset=name)
    return verification_failed(subject, reason=reason_of(error), hint=hint_of(error))
