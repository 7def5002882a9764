"""Calling something now and then while something else goes on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


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
