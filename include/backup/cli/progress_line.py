"""Showing progress: a line that rewrites itself on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self, TextIO

from include.backup.evidence.wording import count, size
from include.backup.policy.durations import format_duration

if TYPE_CHECKING:
    from include.backup.repository.progress import Progress

_TERMINAL_SECONDS: Final = 0.25
_LOG_SECONDS: Final = 10.0

_LONGEST_SECONDS: Final = 10**9


def progress_text(progress: Progress, *, elapsed_seconds: float) -> str:
    """How far it is: entries, bytes, rate, and the time left where the total is known."""
    rate = progress.bytes_done / elapsed_seconds if elapsed_seconds > 0 else 0.0
    of_entries = f"{progress.entries:,} of " if progress.entries_total else ""
    of_bytes = f" of {size(progress.bytes_total)}" if progress.bytes_total else ""
    parts = [
        of_entries + count(progress.entries_total or progress.entries, "entry", "entries"),
        f"{size(progress.bytes_done)}{of_bytes}",
        f"{size(round(rate))}/s",
    ]
    if progress.bytes_stored:
        parts.append(f"{size(progress.bytes_stored)} stored")
    if progress.bytes_total and rate:
        seconds = round(max(progress.bytes_total - progress.bytes_done, 0) / rate)
        if seconds < _LONGEST_SECONDS:  # whoever wrote the snapshot can claim any size
            parts.append(f"{format_duration(timedelta(seconds=seconds))} left")
    return ", ".join(parts)


class ProgressLine:
    """Shows a progress while the `with` block lasts."""

    def __init__(self, progress: Progress, *, what: str, stream: TextIO | None = None) -> None:
        self._progress = progress
        self._what = what
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._begun = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _show(self) -> None:
        while not self._ended.wait(_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            text = progress_text(self._progress, elapsed_seconds=time.monotonic() - self._begun)
            line = f"{self._what}: {text}"
            self._stream.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
            self._stream.flush()
