"""How far a piece of work is: numbers that threads add to and a watcher reads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Counts of entries and bytes. Totals are 0 while they are not known."""

    entries: int = 0
    bytes_done: int = 0
    bytes_stored: int = 0  # after deduplication, compression and sealing
    entries_total: int = 0
    bytes_total: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, entries: int = 0, bytes_done: int = 0, bytes_stored: int = 0) -> None:
        """Count some more."""
        with self._lock:
            self.entries += entries
            self.bytes_done += bytes_done
            self.bytes_stored += bytes_stored
