"""What the tasks of every control DAG do: find what is due, work through it, tell how it stands.

TASKS of verify_tasks, check_tasks, expire_tasks: what they are about, in words and functions
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from include.backup.actions.due import DueDataset
from include.backup.actions.outcome import hint_of, reason_of, sentence_of
from include.backup.cli.stopping import sigterm_stops
from include.backup.errors import BackupError
from include.backup.evidence.sentences import Subject
from include.orchestration.runs import chosen_of, units
from include.orchestration.setting import task_setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.orchestration.runs import Run, Unit

log = logging.getLogger("holdfast")
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """What one control is about."""

    clauses: str  # as in "3.2"
    nothing: str  # as in "nothing is to be read again now"
    due: Callable[..., list[DueDataset]]  # of a setting, data_class and tick
    work: Callable[[Setting, Run, DueDataset], Outcome]
    not_begun: Callable[[Subject, str, str], str]  # the sentence, by reason and hint
    is_unmet: Callable[[dict[str, Any]], bool]  # by what `work` came to, as plain values
    tell: Callable[[Setting, Run, Sequence[str]], bool]  # log how datasets stand; whether all do


def find_due(tasks: Tasks, run: Run) -> list[Unit]:
    """Say which datasets are to be looked at now, and log why, or why not.

    Raises:
        ConfigurationInvalid: a name that was asked for is no dataset of the class.
    """
    found = tasks.due(task_setting(run.owner), data_class=run.data_class, tick=run.tick)
    chosen = chosen_of(found, run)
    for dataset in found:
        log.info("%s: %s", dataset.name, dataset.reason)
    if not chosen:
        log.info("%s · %s · %s", tasks.clauses, run.data_class, tasks.nothing)
    return units([dataset.to_json() for dataset in chosen])


def work_on(
    tasks: Tasks, run: Run, unit: Unit
) -> tuple[list[dict[str, Any]], list[str], list[Exception]]:
    """Work on each dataset of a unit, whatever becomes of the others.

    Returns:
        The outcomes as plain values, the names of datasets that are not as they should be, and why
        others could not be looked at.
    """
    setting = task_setting(run.owner)

    def not_begun(name: str, error: Exception) -> str:
        dataset = setting.datasets.good.get(name)
        subject = Subject(data_class=dataset.data_class if dataset else "?", dataset=name)
        return tasks.not_begun(subject, reason_of(error), hint_of(error))

    outcomes, errors = work_through(
        unit, lambda dataset: tasks.work(setting, run, dataset).to_json(), not_begun=not_begun
    )
    unmet = [one["dataset"] for one in outcomes if tasks.is_unmet(one)]
    return outcomes, unmet, errors


def summarize(tasks: Tasks, run: Run, chosen: Sequence[Unit] | None) -> bool:
    """Log how every dataset of the run stands, by the ledgers.

    Returns:
        Whether all are as they should be.
    """
    if chosen is None:
        log.error("NOT TESTED %s · %s · see the log of `due`", tasks.clauses, run.data_class)
        return False
    names = [DueDataset.of_json(document).name for unit in chosen for document in unit]
    if not names:
        log.info("%s · %s · %s", tasks.clauses, run.data_class, tasks.nothing)
        return True
    return tasks.tell(task_setting(run.owner), run, names)


def work_through(
    unit: Unit,
    work: Callable[[DueDataset], Done],
    *,
    not_begun: Callable[[str, Exception], str],
) -> tuple[list[Done], list[Exception]]:
    """Work on each dataset of a unit, whatever becomes of the others.

    Args:
        not_begun: the sentence about a dataset, by its name, of which nothing was recorded.

    Returns:
        What came of those that ended well, and the errors of the others, which were logged.

    Raises:
        BackupError: the task was ended from outside.
    """
    done: list[Done] = []
    errors: list[Exception] = []
    for document in unit:
        dataset = DueDataset.of_json(document)
        try:
            with sigterm_stops():
                done.append(work(dataset))
        except KeyboardInterrupt as stopped:
            log.error("%s", sentence_of(stopped, f"{dataset.name}: stopped"))  # noqa: TRY400
            raise BackupError("the task was ended from outside") from None
        except Exception as error:  # noqa: BLE001  the others of the unit are not to suffer for it
            # No traceback: the sentence is for people, and says all there is to say.
            log.error("%s", sentence_of(error, not_begun(dataset.name, error)))  # noqa: TRY400
            errors.append(error)
    return done, errors
