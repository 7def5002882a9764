"""What a program writes, as a content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.sources.contents import Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.base import Part, Reused
    from include.backup.sources.postgresql.programs import Program


class Stream(Settled):
    """What a program writes.

    Args:
        note_size: told how many bytes that were.
    """

    def __init__(self, node: Node, program: Program, note_size: Callable[[int], None]) -> None:
        super().__init__(node)
        self._program = program
        self._note_size = note_size

    def parts(self) -> Iterator[Part | Reused]:
        """See Content.parts."""
        yield self

    def readinto(self, buffer: memoryview) -> int:
        """See Part.readinto."""
        return self._program.readinto(buffer)

    def stored(self, blobs: Sequence[bytes], size_bytes: int) -> None:
        """See Content.stored."""
        del blobs
        self._note_size(size_bytes)
