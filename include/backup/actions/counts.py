"""What one pass over a dataset found."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final

_PARTS: Final = 12  # of the directories at the top, those that are told of: the largest


@dataclass(slots=True)
class Counts:
    """What a pass found. The walk counts what it reuses, the workers (locked) what they read."""

    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    others: int = 0
    bytes_read: int = 0
    bytes_unmodified: int = 0
    _parts: list[tuple[int, bytes]] = field(default_factory=list)  # a heap, the smallest first

    def add_part(self, name: bytes, size_bytes: int) -> None:
        """Remember how much a directory at the top of the dataset holds, if it is a large one."""
        heapq.heappush(self._parts, (size_bytes, name))
        if len(self._parts) > _PARTS:
            heapq.heappop(self._parts)

    @property
    def parts(self) -> list[tuple[bytes, int]]:
        """The largest directories at the top of the dataset, and the size of their files."""
        return [(name, held) for held, name in sorted(self._parts, key=lambda one: (-one[0], one))]

    @property
    def bytes_all(self) -> int:
        """The size of all files in the recovery point."""
        return self.bytes_read + self.bytes_unmodified

    @property
    def files(self) -> int:
        """All files in the recovery point."""
        return self.files_new + self.files_changed + self.files_unmodified

    @property
    def entries(self) -> int:
        """Everything in the recovery point."""
        return self.files + self.dirs_new + self.dirs_changed + self.dirs_unmodified + self.others
