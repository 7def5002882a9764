"""What the tasks of a check DAG do (3.2, 3.4). Imported in tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from include.backup.actions.assess import assess
from include.backup.actions.check import Reading, check
from include.backup.actions.due import DueDataset, due_checks
from include.backup.evidence.rescue_sentences import check_failed
from include.backup.evidence.tested import tested_table
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
    del run
    with told_progress(dataset.name) as progress:
        outcome, damages = check(setting, dataset.name, reading=Reading.NEXT, progress=progress)
    for damage in damages:
        log.error("damage: %s", one_line(damage))
    log.info("%s", outcome.sentence)
    return outcome


def _not_begun(subject: Subject, reason: str, hint: str) -> str:
    return check_failed(subject, reason=reason, damaged=False, hint=hint)


def _is_unmet(outcome: dict[str, Any]) -> bool:
    details = outcome["details"]
    return bool(details["damages"] or details.get("tampering"))


def _tell(setting: Setting, run: Run, names: Sequence[str]) -> bool:
    """Whether all were read again, and nothing is damaged."""
    found = assess(setting, names)
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


TASKS = Tasks(
    clauses="3.2",
    nothing="nothing is to be read again now",
    due=due_checks,
    work=_work,
    not_begun=_not_begun,
    is_unmet=_is_unmet,
    tell=_tell,
)
