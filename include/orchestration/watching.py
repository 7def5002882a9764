"""Calling something now and then while something else goes on; telling how far it has come."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from include.backup.cli.environment import now
from include.backup.cli.progress_line import progress_text
from include.backup.repository.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger("holdfast")
_PROGRESS_SECONDS: Final = 10.0


@contextmanager
def told_progress(name: str) -> Iterator[Progress]:
    """The progress of the work on a dataset, logged every few seconds while the block lasts."""
    progress = Progress()
    begun = now()

    def tell() -> None:
        elapsed = (now() - begun).total_seconds()
        log.info("%s: %s", name, progress_text(progress, elapsed_seconds=elapsed))

    with Watching(tell, every_seconds=_PROGRESS_SECONDS):
        yield progress


class Watching:
    """Calls `tell` every few seconds for as long as the `with` block lasts."""

    def __init__(self, tell: Callable[[], None], *, every_seconds: float) -> None:
        self._tell = tell
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_seconds):
            self._tell()
