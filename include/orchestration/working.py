"""One task that works through the datasets of a unit, whatever becomes of each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from include.backup.actions.due import DueDataset
from include.backup.cli.stopping import sigterm_stops
from include.backup.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.orchestration.runs import Unit

log = logging.getLogger("holdfast")
Done = TypeVar("Done")


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
            told = getattr(stopped, "outcome", None)
            log.error("%s", told.sentence if told else f"{dataset.name}: stopped")  # noqa: TRY400
            raise BackupError("the task was ended from outside") from None
        except Exception as error:  # noqa: BLE001  the others of the unit are not to suffer for it
            told = getattr(error, "outcome", None)
            # No traceback: the sentence is for people, and says all there is to say.
            log.error("%s", told.sentence if told else not_begun(dataset.name, error))  # noqa: TRY400
            errors.append(error)
    return done, errors
