"""What the tasks of an expiry DAG do (3.2). Imported in tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from include.backup.actions.due import DueDataset, due_expiries
from include.backup.actions.expire import expire, verdict_rows
from include.backup.actions.kept import standing
from include.backup.evidence.expiry_sentences import not_removed
from include.backup.evidence.expiry_table import expiry_table
from include.backup.evidence.table import aligned
from include.backup.policy.objectives import Verdict
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
    outcome, plan = expire(setting, dataset.name)
    if plan.verdicts:
        log.info("%s", "\n" + "\n".join(aligned(verdict_rows(plan))))
    for fate in plan.fates:
        log.info("generation %s %s: %s", fate.generation, fate.told, fate.why)
    log.info("%s", outcome.sentence)
    return outcome


def _not_begun(subject: Subject, reason: str, hint: str) -> str:
    return not_removed(subject, reason=reason, owner="", overdue=False, hint=hint)


def _is_unmet(outcome: dict[str, Any]) -> bool:
    return bool(outcome["details"].get("in_doubt"))


def _tell(setting: Setting, run: Run, names: Sequence[str]) -> bool:
    """Whether nothing is kept longer than it may."""
    del run
    found = [standing(setting, name) for name in names if name in setting.datasets.good]
    log.info("%s", "\n" + expiry_table(found))
    return len(found) == len(names) and all(one.verdict is Verdict.KEPT for one in found)


TASKS = Tasks(
    clauses="3.2",
    nothing="there is nothing that could expire",
    due=due_expiries,
    work=_work,
    not_begun=_not_begun,
    is_unmet=_is_unmet,
    tell=_tell,
)
