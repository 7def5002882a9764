"""A destination that keeps nothing: every block is read and compared with its id, and let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.sources.noting import Notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.base import StoredFiles
    from include.backup.sources.erasing import ToErase


class Nowhere:
    """See sources.base.Destination, and its Sink."""

    def prepare(self) -> None:
        """See Destination.prepare."""

    def standing(self, files: StoredFiles) -> list[str]:
        """See Destination.standing."""
        del files
        return []

    def make(self, path: bytes, node: Node) -> None:
        """See Destination.make."""

    def create(self, path: bytes, node: Node) -> Nowhere:
        """See Destination.create."""
        del path, node
        return self

    def link(self, path: bytes, target: bytes) -> None:
        """See Destination.link."""

    def finish(self) -> Notes:
        """See Destination.finish."""
        return Notes()

    def erase(self, files: StoredFiles, requests: Sequence[ToErase]) -> list[int]:
        """See Destination.erase: nothing is there."""
        del files
        return [0] * len(requests)

    def write(self, data: bytes, offset: int) -> None:
        """See Sink.write."""

    def close(self) -> None:
        """See Sink.close."""

    def abort(self) -> None:
        """See Sink.abort."""
