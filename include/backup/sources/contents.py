"""Contents that need no reading: what is in memory, and what the parent snapshot has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.sources.base import Reused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.base import Part


class Settled:
    """A content whose node is known before it is read."""

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
