"""The contract of sources: read one dataset completely, or fail; put one back.

A dataset is a tree of directories and entries. A source is asked for one directory at a time and
then for the content of entries, from several threads at once. Entries are nodes of a tree without
content; the engine fills that in. Each source passes tests/suites/source_suite.py.

A recovery point exists only if every entry was read completely. What a source could not read it
either raises, or notes where the dataset's settings allow that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from include.backup.format.tree import Node


SMALL_BYTES: Final = 512 << 10  # below the smallest chunk: such a file is one blob
MOST_TRIES: Final = 3  # how often an entry is read that changes while it is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about one entry that a reader of the record should know."""

    path: str  # relative to the dataset; bytes that are no UTF-8 are escaped
    what: str  # "vanished", "grown", "skipped: permission denied", "kept changing"
    lost: bool = False  # of a restore: the entry itself is not there


class Content(Protocol):
    """The content of one entry while it is read, by one thread."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill the beginning of `buffer`; return how many bytes, 0 at the end.

        Raises:
            EntryUnreadable: the read failed.
        """

    def settle(self, *, last: bool) -> Node | None:
        """Say at the end what was read: the node with the metadata that belongs to it.

        None: it changed while it was read, and is to be read again. On the `last` try a changed
        entry is noted and returned, if the dataset allows that.

        Raises:
            EntryUnreadable: it changed on the last try as well.
        """


class Reading(Protocol):
    """One pass over a dataset at one consistency point."""

    @property
    def taken_at(self) -> datetime:
        """The consistency point: what was complete then is in the recovery point."""

    @property
    def root(self) -> Node:
        """The dataset's own directory; its name does not matter."""

    @property
    def notes(self) -> Sequence[Note]:
        """What was passed over so far."""

    def list(self, path: bytes) -> list[Node]:
        """The entries of a directory, ascending by name, without content.

        Args:
            path: relative to the dataset, parts joined by "/"; empty for the root.

        Raises:
            SourceGone: the root is not there.
            EntryUnreadable: the directory cannot be listed.
        """

    def unchanged(self, entry: Node, parent: Node) -> bool:
        """Say whether `entry` has the content that it had in the parent snapshot."""

    def read_small(self, path: bytes, entry: Node) -> tuple[Node, bytes | None] | None:
        """Read one file of at most SMALL_BYTES at once.

        Returns:
            The node as it was read, and its content, or no content if it is not small any more;
            None when it vanished or was passed over.

        Raises:
            EntryUnreadable.
        """

    def open(self, path: bytes, entry: Node) -> AbstractContextManager[Content | None]:
        """Open one file for reading; None when it vanished or was passed over.

        Raises:
            EntryUnreadable.
        """

    def complete(self, path: bytes, entry: Node) -> Node:
        """Add what is costly to find out to an entry that is new or changed (attributes)."""


class Source(Protocol):
    """Reads datasets of one kind."""

    def read(
        self, *, now: datetime, parent_taken_at: datetime | None
    ) -> AbstractContextManager[Reading]:
        """Begin a pass. `now` is the consistency point unless the source has a better one.

        Raises:
            SourceGone.
        """


class Sink(Protocol):
    """One file while it is restored. Several threads may write to it, each elsewhere."""

    def write(self, data: bytes, offset: int) -> None:
        """Write at `offset` bytes from the beginning.

        Raises:
            RestoreRefused, StorageFull.
        """

    def close(self) -> None:
        """Make it whole: everything was written.

        Raises:
            InTheWay: a directory stands in its place; nothing is left of the file.
            RestoreRefused, StorageFull.
        """

    def abort(self) -> None:
        """Leave nothing of it behind."""


class Destination(Protocol):
    """Where a recovery point is put back to."""

    def prepare(self) -> None:
        """Refuse a destination that must not be written to.

        Raises:
            RestoreRefused.
        """

    def make(self, path: bytes, node: Node) -> None:
        """Make a directory, a link or another entry without content.

        Raises:
            InTheWay: a directory stands in its place.
            RestoreRefused, StorageFull.
        """

    def create(self, path: bytes, node: Node) -> Sink:
        """Begin a file."""

    def link(self, path: bytes, target: bytes) -> None:
        """Make `path` another name of the file restored at `target`."""

    def finish(self) -> Sequence[Note]:
        """Set what must be set last, and make everything durable; return what could not be set."""
