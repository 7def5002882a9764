"""What the tasks of a replication DAG do (3.5). Imported in tasks only: the engine is heavy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from include.backup.actions.outcome import sentence_of
from include.backup.actions.replicas import due_replications, replicate_all, standings
from include.backup.errors import BackupError
from include.backup.evidence.replica_sentences import not_replicated
from include.backup.evidence.replica_table import replica_table
from include.backup.policy.objectives import Verdict
from include.orchestration.working import Tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.due import DueDataset
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.evidence.sentences import Subject
    from include.orchestration.runs import Run

log = logging.getLogger("holdfast")


def _work(setting: Setting, run: Run, dataset: DueDataset) -> Outcome:
    """Bring every replica of a dataset up to date; what becomes of one stops no other."""
    del run
    outcomes: list[Outcome] = []
    errors: list[BackupError] = []
    for found in replicate_all(setting, dataset.name):
        if isinstance(found, BackupError):
            errors.append(found)
        else:
            log.info("%s", found.sentence)
            outcomes.append(found)
    for error in errors[1:]:
        log.error("%s", sentence_of(error, f"{dataset.name}: {error}"))
    if errors:
        raise errors[0]
    return max(outcomes, key=lambda one: bool(one.details.get("unmet")))


def _not_begun(subject: Subject, reason: str, hint: str) -> str:
    return not_replicated(subject, vault="any vault", reason=reason, newest_at=None, hint=hint)


def _is_unmet(outcome: dict[str, Any]) -> bool:
    return bool(outcome["details"].get("unmet"))


def _tell(setting: Setting, run: Run, names: Sequence[str]) -> bool:
    """Whether every replica holds what it should."""
    del run
    listed = [name for name in names if name in setting.datasets.good]
    found = [one for name in listed for one in standings(setting, name)]
    log.info("%s", "\n" + replica_table(found))
    if gone := sorted(set(names).difference(listed)):
        log.error("no valid entry names them any more: %s", ", ".join(gone))
    return not gone and all(one.verdict is Verdict.KEPT for one in found)


TASKS = Tasks(
    clauses="3.5",
    nothing="every replica holds what its home does",
    due=due_replications,
    work=_work,
    not_begun=_not_begun,
    is_unmet=_is_unmet,
    tell=_tell,
)
