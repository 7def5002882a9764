"""What the tasks of a verification DAG do (3.4). Imported in tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from include.backup.actions.assess import assess, class_lines
from include.backup.actions.due import DueDataset, due_verifications
from include.backup.actions.verify import VerifyOrder, verify
from include.backup.evidence.tested import tested_table
from include.backup.evidence.verify_sentences import verification_failed
from include.backup.evidence.wording import one_line
from include.orchestration.watching import told_progress
from include.orchestration.working import Tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.evidence.sentences import Subject
    from include.orchestration.runs import Run

log = logging.getLogger("holdfast")


def _work(setting: Setting, run: Run, dataset: DueDataset) -> Outcome:
    with told_progress(dataset.name) as progress:
        order = VerifyOrder(slot=None if run.manual else dataset.slot)
        outcome, faults = verify(setting, dataset.name, order, progress=progress)
    for fault in faults:
        log.error("fault: %s", one_line(fault))
    log.info("%s", outcome.sentence)
    return outcome


def _not_begun(subject: Subject, reason: str, hint: str) -> str:
    return verification_failed(subject, reason=reason, hint=hint)


def _is_unmet(outcome: dict[str, Any]) -> bool:
    return not outcome["details"]["passed"]


def _tell(setting: Setting, run: Run, names: Sequence[str]) -> bool:
    """Whether all passed; worst first, and what a recovery of the whole class would take."""
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


TASKS = Tasks(
    clauses="3.4",
    nothing="no restore is to be tried now",
    due=due_verifications,
    work=_work,
    not_begun=_not_begun,
    is_unmet=_is_unmet,
    tell=_tell,
)
