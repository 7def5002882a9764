"""Contents that are not rows: what is at hand, what a program writes, what the parent has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.sources.base import Reused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.base import Part
    from include.backup.sources.postgresql.programs import Program


class Settled:
    """A content whose end changes nothing about it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def stored(self, blobs: Sequence[bytes], size_bytes: int) -> None:
        """See Content.stored."""

    def settle(self, *, last: bool) -> Node:
        """See Content.settle."""
        del last
        return self._node


class Kept(Settled):
    """What the parent has."""

    def parts(self) -> Iterator[Part | Reused]:
        """See Content.parts."""
        yield Reused(self._node.content or ())


class Bytes(Settled):
    """What is in memory."""

    def __init__(self, node: Node, data: bytes) -> None:
        super().__init__(node)
        self._left = memoryview(data)

    def parts(self) -> Iterator[Part | Reused]:
        """See Content.parts."""
        yield self

    def readinto(self, buffer: memoryview) -> int:
        """See Part.readinto."""
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


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
