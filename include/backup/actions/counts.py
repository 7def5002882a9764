"""What one pass over a dataset found."""

from __future__ import annotations

from dataclasses import dataclass


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
