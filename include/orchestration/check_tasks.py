"""What the tasks of a check DAG do (3.2, 3.4). Imported in tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from include.backup.actions.assess import assess
from include.backup.actions.check import Reading, check
from include.backup.actions.due import DueDataset, due_checks
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.evidence.rescue_sentences import check_failed
from include.backup.evidence.sentences import Subject
from include.backup.evidence.tested import tested_table
from include.backup.evidence.wording import one_line
from include.orchestration.runs import chosen_of, units
from include.orchestration.setting import task_setting
from include.orchestration.watching import told_progress
from include.orchestration.working import work_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.orchestration.runs import Run, Unit

log = logging.getLogger("holdfast")


def find_due(run: Run) -> list[Unit]:
    """Say of which datasets a share is to be read again now, and log why, or why not.

    Raises:
        ConfigurationInvalid: a name that was asked for is no dataset of the class.
    """
    setting = task_setting(run.owner)
    found = due_checks(setting, data_class=run.data_class, tick=run.tick)
    chosen = chosen_of(found, run)
    for dataset in found:
        log.info("%s: %s", dataset.name, dataset.reason)
    if not chosen:
        log.info("3.2 · %s · nothing is to be read again now", run.data_class)
    return units([dataset.to_json() for dataset in chosen])


def work_on(run: Run, unit: Unit) -> tuple[list[dict[str, Any]], list[Exception]]:
    """Check each dataset of a unit, whatever becomes of the others.

    Returns:
        The outcomes as plain values, and why others could not be looked at.
    """
    setting = task_setting(run.owner)
    return work_through(
        unit,
        lambda dataset: _check_one(setting, dataset).to_json(),
        not_begun=lambda name, error: _not_begun(setting, name, error),
    )


def unmet(outcomes: Sequence[dict[str, Any]]) -> list[str]:
    """The datasets in which damage was found."""
    return [one["dataset"] for one in outcomes if one["details"]["damages"]]


def summarize(run: Run, chosen: Sequence[Unit] | None) -> bool:
    """Log what was read again of every dataset of the run, by the ledgers.

    Returns:
        Whether all of them were, and nothing is damaged.
    """
    if chosen is None:
        log.error("NOT TESTED 3.2 · %s · see the log of `due`", run.data_class)
        return False
    names = [DueDataset.of_json(document).name for unit in chosen for document in unit]
    if not names:
        log.info("nothing was to be read again in class %s", run.data_class)
        return True
    found = assess(task_setting(run.owner), names)
    log.info("%s", "\n" + tested_table([one.tested for one in found]))
    for one in found:
        if one.sentence:
            log.info("%s", one.sentence)
    reads = [one.tested.coverage for one in found]
    return all(
        read is not None
        and not read.damaged
        and (not read.shares or (read.looked_at is not None and read.looked_at >= run.tick))
        for read in reads
    )


def _check_one(setting: Setting, dataset: DueDataset) -> Outcome:
    with told_progress(dataset.name) as progress:
        outcome, damages = check(setting, dataset.name, reading=Reading.NEXT, progress=progress)
    for damage in damages:
        log.error("damage: %s", one_line(damage))
    log.info("%s", outcome.sentence)
    return outcome


def _not_begun(setting: Setting, name: str, error: Exception) -> str:
    dataset = setting.datasets.good.get(name)
    subject = Subject(data_class=dataset.data_class if dataset else "?", dataset=name)
    return check_failed(subject, reason=reason_of(error), damaged=False, hint=hint_of(error))
