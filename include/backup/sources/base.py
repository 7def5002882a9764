"""The contract of sources: read one dataset completely, or fail; put one back.

A dataset is a tree of directories and entries. A source is asked for one directory at a time and
then for the content of entries, from several threads at once. Entries are nodes of a tree without
content; the engine fills that in. Each source passes tests/suites/source_suite.py.

    content = part, part, …    a part is read to its end and cut into blobs, or taken over from the
                               parent snapshot as the blobs that it has there: no blob holds bytes
                               of two parts

A recovery point exists only if every entry was read completely. What a source could not read it
either raises, or notes where the dataset's settings allow that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from include.backup.sources.noting import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from include.backup.format.tree import Node
    from include.backup.sources.erasing import ToErase


SMALL_BYTES: Final = 512 << 10  # below the smallest chunk: such a file is one blob
JOBS: Final = 2  # on two cores; uploads, which wait for the disk, have threads of their own
MOST_TRIES: Final = 3  # how often an entry is read that changes while it is read


class Parent(Protocol):
    """The recovery point that an incremental adds to."""

    @property
    def taken_at(self) -> datetime:
        """Its consistency point."""

    def load(self, name: str) -> bytes | None:
        """A file that `Reading.about` gave then; None when there is none.

        Raises:
            DamageFound, StorageError.
        """


class Part(Protocol):
    """A piece of a content that is read from its beginning to its end."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill the beginning of `buffer`; return how many bytes, 0 at the end.

        Raises:
            EntryUnreadable: the read failed.
        """


@dataclass(frozen=True, slots=True)
class Reused:
    """A piece of a content that is known to be what the parent snapshot holds."""

    blobs: tuple[bytes, ...]  # ids of data blobs, some neighbours of the parent's content


class Content(Protocol):
    """The content of one entry while it is read, by one thread."""

    def parts(self) -> Iterator[Part | Reused]:
        """The pieces in their order; each is dealt with before the next is asked for.

        Raises:
            EntryUnreadable: the read failed.
        """

    def stored(self, blobs: Sequence[bytes], size_bytes: int) -> None:
        """Learn which blobs a part became, and how many bytes they are, right after it."""

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
    def notes(self) -> Notes:
        """What was passed over so far."""

    @property
    def late(self) -> frozenset[bytes]:
        """Paths of files that have to be read after all others."""

    @property
    def jobs(self) -> int:
        """How many large files are read at a time."""

    @property
    def largest_first(self) -> bool:
        """Whether files are read in the order of their sizes, so that no long one begins last.

        Otherwise it is by name, so that what lies together is stored together.
        """

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

    def open(
        self, path: bytes, entry: Node, was: Node | None
    ) -> AbstractContextManager[Content | None]:
        """Open one file for reading; None when it vanished or was passed over.

        Args:
            was: the file in the parent snapshot, if all its blobs are there.

        Raises:
            EntryUnreadable.
        """

    def complete(self, path: bytes, entry: Node) -> Node:
        """Add what is costly to find out to an entry that is new or changed (attributes)."""

    def about(self) -> Mapping[str, bytes]:
        """Files about this recovery point, by name; asked for when everything was read.

        They lie beside the dataset, below `/.holdfast/`. What does not change from one recovery
        point to the next shall be the same bytes, which are stored once.

        Raises:
            SourceError: what was read cannot be trusted after all.
        """

    def contents(self, files: int) -> str:
        """What was read, for people, as in "48 tables"; of so many files."""

    def restore_steps(self) -> str:
        """How to put this data back with stock tools, in Markdown: after `restic` can be used.

        `$SNAPSHOT` is the id of the snapshot, `$TARGET` an empty directory.
        """


@runtime_checkable
class ReadsAhead(Protocol):
    """A reading whose files come from far away: it gains from knowing early what will be read."""

    def expect(self, path: bytes, entry: Node) -> None:
        """Learn that `read_small` will be asked for this file soon."""


@runtime_checkable
class Stoppable(Protocol):
    """A reading whose readers may wait long for something: a server, another reader."""

    def stop(self) -> None:
        """Wake them, with an error: the run has failed, or was cancelled. From any thread."""


class Source(Protocol):
    """Reads datasets of one kind."""

    def read(self, *, now: datetime, parent: Parent | None) -> AbstractContextManager[Reading]:
        """Begin a pass. `now` is the consistency point unless the source has a better one.

        Raises:
            SourceGone.
        """

    def preflight(self) -> str:
        """See that a backup could read everything, as far as a look tells; say what is there.

        Raises:
            BackupError: it could not; the hint says what to do.
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


class StoredFiles(Protocol):
    """A dataset in a recovery point, read in whatever order suits; from several threads."""

    def list(self, path: bytes) -> list[Node]:
        """The entries of a directory, ascending by name; b"" is the dataset's own."""

    def find(self, path: bytes) -> Node | None:
        """The entry at a path; None when there is none."""

    def load(self, path: bytes) -> bytes:
        """A file that is small enough to be held in memory.

        Raises:
            DamageFound, StorageError.
        """

    def stream(self, path: bytes) -> Iterator[bytes]:
        """The content of a file, in pieces.

        Raises:
            DamageFound, StorageError.
        """

    def about(self, name: str) -> bytes | None:
        """A file that `Reading.about` gave; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """What a server was given."""

    files: int
    bytes_written: int
    contents: str  # for people, as in "48 tables"
    notes: Notes = field(default_factory=Notes)


@runtime_checkable
class Server(Protocol):
    """A server that a recovery point is put back into: it takes what it wants, as it wants it."""

    def prepare(self) -> None:
        """Refuse a server that must not be written to.

        Raises:
            RestoreRefused.
        """

    def standing(self, files: StoredFiles) -> list[str]:
        """What is there that a restore would replace, for people; nothing is changed.

        Raises:
            RestoreRefused: it must not be written to.
            DamageFound, StorageError: the recovery point cannot be read.
        """

    def put(self, files: StoredFiles, progress: Callable[[int], None]) -> PutBack:
        """Put a dataset back; on return it is all there, and durable.

        Args:
            progress: told how many bytes were given to the server.

        Raises:
            RestoreRefused: the server did not take something.
            DamageFound, StorageError.
        """

    def erase(self, files: StoredFiles, requests: Sequence[ToErase]) -> list[int]:
        """Remove from what was put back what must not be in it; durable on return.

        Returns:
            How many files, objects or rows went, for each request. What is not there is no error.

        Raises:
            RestoreRefused: something could not be; no message quotes a request.
            DamageFound, StorageError.
        """


class Destination(Protocol):
    """A directory, or what is like one, that a recovery point is put back to."""

    def prepare(self) -> None:
        """Refuse a destination that must not be written to.

        Raises:
            RestoreRefused.
        """

    def standing(self, files: StoredFiles) -> list[str]:
        """See Server.standing."""

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

    def erase(self, files: StoredFiles, requests: Sequence[ToErase]) -> list[int]:
        """See Server.erase; after `finish`."""

    def finish(self) -> Notes:
        """Set what must be set last, and make everything durable; return what could not be set."""
