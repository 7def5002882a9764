"""Reading directories: files, links, devices, with their metadata and extended attributes.

A file counts as read when, at its end, the kernel says the same about it as at its beginning.
Vanished between listing and opening: noted. Grown: read to the size it had at opening, and noted.
Changed: read again, three times at most, then an error unless the dataset says ``changing: keep``.

The consistency point of a directory is the moment before listing begins. An entry is unchanged
when size, times and inode are those of the parent's node, and its change time lies before the
parent's consistency point: a file changed in the very moment in which it was read is read again.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from include.backup.errors import EntryUnreadable, SourceGone
from include.backup.format.times import text_of_datetime, text_of_nanoseconds
from include.backup.sources.base import MOST_TRIES, SMALL_BYTES, Note
from include.backup.sources.exclude import Exclusion, is_cache_folder
from include.backup.sources.file_nodes import attributes_of, node_of

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator
    from datetime import datetime

    from include.backup.format.tree import Node

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MOST_NOTES: Final = 10_000
_GROWN: Final = "grown while it was read; read to the size it had at first"


class FilesystemSource:
    """A directory with all that is below it.

    Args:
        path: of the directory, absolute.
        exclude: patterns as in a .gitignore, relative to `path`.
        one_file_system: leave out what is mounted below.
        exclude_caches: leave out the content of directories marked by a CACHEDIR.TAG.
        keep_changing: take the last of three reads of a file that never holds still.
        skip_unreadable: note what cannot be read, and go on.
    """

    def __init__(
        self,
        path: str,
        *,
        exclude: tuple[str, ...] = (),
        one_file_system: bool = False,
        exclude_caches: bool = False,
        keep_changing: bool = False,
        skip_unreadable: bool = False,
    ) -> None:
        self.path = os.fsencode(path)
        self.exclusion = Exclusion(exclude)
        self.one_file_system = one_file_system
        self.exclude_caches = exclude_caches
        self.keep_changing = keep_changing
        self.skip_unreadable = skip_unreadable

    @contextmanager
    def read(
        self, *, now: datetime, parent_taken_at: datetime | None
    ) -> Iterator[FilesystemReading]:
        """See Source.read."""
        try:
            status = os.stat(self.path)  # noqa: PTH116  paths are bytes: names need not be text
        except OSError as error:
            raise SourceGone(
                f"{os.fsdecode(self.path)}: {error.strerror}",
                hint="is the volume mounted, and may this user read it?",
            ) from error
        if not stat.S_ISDIR(status.st_mode):
            raise SourceGone(f"{os.fsdecode(self.path)} is not a directory")
        yield FilesystemReading(self, status, now, parent_taken_at)


class FilesystemReading:
    """One pass over a directory."""

    def __init__(
        self,
        source: FilesystemSource,
        status: os.stat_result,
        taken_at: datetime,
        parent_taken_at: datetime | None,
    ) -> None:
        self.taken_at = taken_at
        self._source = source
        self._device = status.st_dev
        self.root = node_of(b"root", status)._replace(
            extended_attributes=attributes_of(source.path)
        )
        # Compared as text: whole seconds without the "Z", so that any fraction counts as later.
        self._horizon = "" if parent_taken_at is None else text_of_datetime(parent_taken_at)[:19]
        self.notes: builtins.list[Note] = []
        self._lock = threading.Lock()

    def list(self, path: bytes) -> builtins.list[Node]:
        """See Reading.list."""
        folder = self._full(path)
        try:
            if self._source.one_file_system and os.lstat(folder).st_dev != self._device:
                self.note(path, "left out: another file system is mounted there")
                return []
            with os.scandir(folder) as found:
                entries = [(entry.name, entry) for entry in found]
        except OSError as error:
            if not path:
                raise SourceGone(f"{os.fsdecode(folder)}: {error.strerror}") from error
            return self._unreadable_folder(path, error)
        entries.sort(key=lambda named: named[0])
        if self._source.exclude_caches and any(name == b"CACHEDIR.TAG" for name, _ in entries):
            entries = self._without_cache(folder, entries)
        exclusion = self._source.exclusion
        nodes = []
        for name, entry in entries:
            inner = path + b"/" + name if path else name
            try:
                status = entry.stat(follow_symlinks=False)
                if exclusion and exclusion.covers(inner, is_folder=stat.S_ISDIR(status.st_mode)):
                    continue
                target = _target(entry) if stat.S_ISLNK(status.st_mode) else b""
            except FileNotFoundError:
                self.note(inner, "vanished between listing and reading")
                continue
            except OSError as error:
                self._unreadable(inner, error)
                continue
            nodes.append(node_of(name, status, linktarget=target))
        return nodes

    def unchanged(self, entry: Node, parent: Node) -> bool:
        """See Reading.unchanged."""
        return (
            entry.mtime == parent.mtime
            and entry.ctime == parent.ctime
            and entry.size == parent.size
            and entry.inode == parent.inode
            and entry.type == parent.type
            and entry.ctime < self._horizon
        )

    def complete(self, path: bytes, entry: Node) -> Node:
        """See Reading.complete."""
        try:
            attributes = attributes_of(self._full(path))
        except FileNotFoundError:
            return entry
        except OSError as error:
            if not self._source.skip_unreadable:
                raise EntryUnreadable(f"{_shown(path)}: {error.strerror}") from error
            self.note(path, f"attributes skipped: {error.strerror}")
            return entry
        return entry._replace(extended_attributes=attributes) if attributes else entry

    def read_small(self, path: bytes, entry: Node) -> tuple[Node, bytes | None] | None:
        """See Reading.read_small."""
        if (fd := self._open(path)) is None:
            return None
        try:
            data = os.read(fd, SMALL_BYTES + 1)
            ended = os.fstat(fd)
            # What the listing said is as good as a look before reading, and saves that look.
            if len(data) == ended.st_size == entry.size and (
                text_of_nanoseconds(ended.st_ctime_ns) == entry.ctime
            ):
                return self.complete(path, entry), data
            return self._read_again(path, entry.name, fd)
        except OSError as error:
            self._unreadable(path, error)
            return None
        finally:
            os.close(fd)

    def _read_again(self, path: bytes, name: bytes, fd: int) -> tuple[Node, bytes | None] | None:
        """Read a file that is not what the listing said, until it holds still."""
        for _ in range(MOST_TRIES):
            begun = os.fstat(fd)
            if not self._is_file(path, begun):
                return None
            node = node_of(name, begun)
            if begun.st_size > SMALL_BYTES:
                return node, None
            data = os.pread(fd, begun.st_size, 0)
            ended = os.fstat(fd)
            if len(data) == begun.st_size < ended.st_size:
                self.note(path, _GROWN)
                return self.complete(path, node), data
            if len(data) == begun.st_size and _stamp(begun) == _stamp(ended):
                return self.complete(path, node), data
        self.accept_changing(path)
        return self.complete(path, node._replace(size=len(data))), data

    @contextmanager
    def open(self, path: bytes, entry: Node) -> Iterator[FileContent | None]:
        """See Reading.open."""
        if (fd := self._open(path)) is None:
            yield None
            return
        try:
            status = os.fstat(fd)
            if self._is_file(path, status):
                yield FileContent(self, fd, path, node_of(entry.name, status), status)
            else:
                yield None
        finally:
            os.close(fd)

    def accept_changing(self, path: bytes) -> None:
        """Note that an entry never held still, or refuse it.

        Raises:
            EntryUnreadable: the dataset does not allow it.
        """
        if not self._source.keep_changing:
            raise EntryUnreadable(
                f"{_shown(path)} changed each of the {MOST_TRIES} times it was read",
                hint="back up from a file system snapshot, or set changing: keep",
            )
        self.note(path, "kept changing; the last of three reads was kept")

    def note(self, path: bytes, what: str) -> None:
        """Remember something about an entry."""
        with self._lock:
            if len(self.notes) < _MOST_NOTES:
                self.notes.append(Note(path=_shown(path), what=what))

    def _open(self, path: bytes) -> int | None:
        full = self._full(path)
        try:
            try:
                return os.open(full, _FLAGS | os.O_NOATIME)
            except PermissionError:  # only owners may leave the access time alone
                return os.open(full, _FLAGS)
        except FileNotFoundError:
            self.note(path, "vanished between listing and reading")
            return None
        except OSError as error:
            self._unreadable(path, error)
            return None

    def _is_file(self, path: bytes, status: os.stat_result) -> bool:
        if not stat.S_ISREG(status.st_mode):
            self.note(path, "replaced by something that is no file between listing and reading")
            return False
        return True

    def _full(self, path: bytes) -> bytes:
        return self._source.path + b"/" + path if path else self._source.path

    def _without_cache(
        self, folder: bytes, entries: builtins.list[tuple[bytes, os.DirEntry[bytes]]]
    ) -> builtins.list[tuple[bytes, os.DirEntry[bytes]]]:
        if not is_cache_folder(folder):
            return entries
        return [named for named in entries if named[0] == b"CACHEDIR.TAG"]

    def _unreadable_folder(self, path: bytes, error: OSError) -> builtins.list[Node]:
        if isinstance(error, FileNotFoundError):
            self.note(path, "vanished between listing and reading")
        else:
            self._unreadable(path, error)
        return []

    def _unreadable(self, path: bytes, error: OSError) -> None:
        if not self._source.skip_unreadable:
            raise EntryUnreadable(
                f"{_shown(path)}: {error.strerror}",
                hint="give this user the right to read it, or set unreadable: skip",
            ) from error
        self.note(path, f"skipped: {error.strerror}")


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

    def readinto(self, buffer: memoryview) -> int:
        """See Content.readinto."""
        if not self._left:
            return 0
        try:
            count = os.readv(self._fd, [buffer[: self._left]])
        except OSError as error:
            raise EntryUnreadable(f"{_shown(self._path)}: {error.strerror}") from error
        self._left -= count
        return count

    def settle(self, *, last: bool) -> Node | None:
        """See Content.settle."""
        ended = os.fstat(self._fd)
        if not self._left and ended.st_size > self._begun.st_size:
            self._reading.note(self._path, _GROWN)
        elif self._left or _stamp(ended) != _stamp(self._begun):
            if not last:
                return None
            self._reading.accept_changing(self._path)
        return self._reading.complete(self._path, self._node)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _target(entry: os.DirEntry[bytes]) -> bytes:
    return os.readlink(entry.path)  # noqa: PTH115  paths are bytes: names need not be text
