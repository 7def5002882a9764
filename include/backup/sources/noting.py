"""What a reader of the record should know of an act: the first notes by name, all by number."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.evidence.wording import Several

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_KEPT: Final = 10_000  # by name, of what is lost as well as of the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about one entry that a reader of the record should know."""

    path: str  # relative to the dataset; bytes that are no UTF-8 are escaped
    what: str  # "vanished", "grown", "skipped: permission denied", "kept changing"
    lost: bool = False  # of a restore: the entry itself is not there

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.path}: {self.what}" if self.path else self.what


class Notes:
    """Notes from several threads. Many of one sort never push out those of the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[bool, list[Note]] = {False: [], True: []}
        self._total = {False: 0, True: 0}

    def __iter__(self) -> Iterator[Note]:
        return iter([*self._kept[True], *self._kept[False]])

    def __bool__(self) -> bool:
        return any(self._total.values())

    def add(self, path: bytes | str, what: str, *, lost: bool = False) -> None:
        """Remember something about an entry.

        Args:
            lost: the entry itself could not be put back.
        """
        named = path if isinstance(path, str) else path.decode("utf-8", "backslashreplace")
        with self._lock:
            self._total[lost] += 1
            if len(self._kept[lost]) < MOST_KEPT:
                self._kept[lost].append(Note(path=named, what=what, lost=lost))

    def extend(self, notes: Iterable[Note]) -> None:
        """Remember several."""
        for note in notes:
            self.add(note.path, note.what, lost=note.lost)

    def told(self, *, lost: bool = False) -> Several:
        """Those of entries that are lost, or all others, for people."""
        with self._lock:
            return Several([note.text for note in self._kept[lost]], self._total[lost])
