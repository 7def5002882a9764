"""The content of one file while it is read, and whether it held still meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from include.backup.errors import EntryUnreadable
from include.backup.sources.file_nodes import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.file_reading import FilesystemReading

GROWN: Final = "grown while it was read; read to the size it had at first"


def stamp(status: os.stat_result) -> tuple[int, int, int]:
    """What differs when a file was changed."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class FileContent:
    """One file while it is read."""

    def __init__(
        self, reading: FilesystemReading, fd: int, path: bytes, node: Node, begun: os.stat_result
    ) -> None:
        self._reading = reading
        self._fd = fd
        self._path = path
        self._node = node
        self._begun = begun
        self._left = begun.st_size

    def parts(self) -> Iterator[FileContent]:
        """See Content.parts."""
        yield self

    def stored(self, blobs: Sequence[bytes], size_bytes: int) -> None:
        """See Content.stored."""

    def readinto(self, buffer: memoryview) -> int:
        """See Part.readinto."""
        if not self._left:
            return 0
        try:
            count = os.readv(self._fd, [buffer[: self._left]])
        except OSError as error:
            raise EntryUnreadable(f"{shown(self._path)}: {error.strerror}") from error
        self._left -= count
        return count

    def settle(self, *, last: bool) -> Node | None:
        """See Content.settle."""
        ended = os.fstat(self._fd)
        if not self._left and ended.st_size > self._begun.st_size:
            self._reading.note(self._path, GROWN)
        elif self._left or stamp(ended) != stamp(self._begun):
            if not last:
                return None
            self._reading.accept_changing(self._path)
        return self._reading.complete_open(self._fd, self._path, self._node)
