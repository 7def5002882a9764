"""One pass over a directory: see filesystem.py for what counts as read, and as unchanged."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import contextmanager
from errno import ELOOP, ENOENT, ENOTDIR, ENXIO
from typing import TYPE_CHECKING, Final

from include.backup.errors import EntryUnreadable, SourceGone
from include.backup.format.times import text_of_datetime, text_of_nanoseconds
from include.backup.sources.base import JOBS, MOST_TRIES, SMALL_BYTES
from include.backup.sources.exclude import is_cache_folder
from include.backup.sources.file_content import GROWN, FileContent, stamp
from include.backup.sources.file_nodes import attributes_of, node_of, shown
from include.backup.sources.noting import Notes

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from include.backup.format.tree import Node
    from include.backup.sources.filesystem import FilesystemSource
    from include.backup.sources.folders import Folders

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# What the kernel answers for an entry that is not there any more, or not what it was.
_GONE: Final = frozenset({ENOENT, ENOTDIR, ELOOP, ENXIO})
STEPS: Final = """\
Put all of it below `$TARGET/$DATASET`; run as root, this restores owners as well:

    restic restore "$SNAPSHOT" --no-lock --target "$TARGET" --include "/$DATASET"

Only a part of it, by a path or a pattern:

    restic restore "$SNAPSHOT" --no-lock --target "$TARGET" --include "/$DATASET/some/folder"
"""


class FilesystemReading:
    """One pass over a directory."""

    def __init__(
        self,
        source: FilesystemSource,
        folders: Folders,
        root: Node,
        device: int,
        taken_at: datetime,
        parent_taken_at: datetime | None,
    ) -> None:
        self.taken_at = taken_at
        self._source = source
        self._folders = folders
        self._device = device
        self.root = root
        # Compared as text: whole seconds without the "Z", so that any fraction counts as later.
        self._horizon = "" if parent_taken_at is None else text_of_datetime(parent_taken_at)[:19]
        self.notes = Notes()
        self.late: frozenset[bytes] = frozenset()
        self.largest_first = False
        self.jobs = JOBS
        self._lock = threading.Lock()

    def list(self, path: bytes) -> builtins.list[Node]:
        """See Reading.list."""
        try:
            folder = self._folders.at(path)
            if self._source.one_file_system and os.fstat(folder.fd).st_dev != self._device:
                self.note(path, "left out: another file system is mounted there")
                return []
            fd = os.open(b".", _LIST, dir_fd=folder.fd)
            try:
                return self._list(path, fd)
            finally:
                os.close(fd)
        except OSError as error:
            if not path:
                raise self._gone() from error
            self._unreadable(path, error)
            return []

    def _list(self, path: bytes, fd: int) -> builtins.list[Node]:
        with os.scandir(fd) as found:
            entries = [(os.fsencode(entry.name), entry) for entry in found]
        if not entries and not os.fstat(fd).st_nlink:  # removed, but still open
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
        entries.sort(key=lambda named: named[0])
        if self._source.exclude_caches and is_cache_folder(fd):
            entries = [named for named in entries if named[0] == b"CACHEDIR.TAG"]
        exclusion = self._source.exclusion
        nodes = []
        for name, entry in entries:
            inner = path + b"/" + name if path else name
            try:
                status = entry.stat(follow_symlinks=False)
                if exclusion and exclusion.covers(inner, is_folder=stat.S_ISDIR(status.st_mode)):
                    continue
                target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else b""
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
            folder, name = self._folders.of(path)
            return self._with_attributes(folder.entry(name), path, entry)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return entry

    def complete_open(self, fd: int, path: bytes, entry: Node) -> Node:
        """The same for a file that is open."""
        return self._with_attributes(fd, path, entry)

    def _with_attributes(self, opened: bytes | int, path: bytes, entry: Node) -> Node:
        try:
            attributes = attributes_of(opened)
        except OSError as error:
            if error.errno in _GONE:
                return entry
            if not self._source.skip_unreadable:
                raise EntryUnreadable(f"{shown(path)}: {error.strerror}") from error
            self.note(path, f"attributes skipped: {error.strerror}")
            return entry
        if not attributes:
            return entry
        kept = tuple([pair for pair in attributes if _is_text(pair[0])])
        if len(kept) < len(attributes):
            self.note(path, "attributes left out whose names are not text: a tree holds text only")
        return entry._replace(extended_attributes=kept)

    def read_small(self, path: bytes, entry: Node) -> tuple[Node, bytes | None] | None:
        """See Reading.read_small."""
        if (fd := self._open(path)) is None:
            return None
        try:
            # One byte more shows growth. Asking for much costs a large buffer for each small file.
            data = os.read(fd, entry.size + 1)
            ended = os.fstat(fd)
            # What the listing said is as good as a look before reading, and saves that look.
            if len(data) == ended.st_size == entry.size and (
                text_of_nanoseconds(ended.st_ctime_ns) == entry.ctime
            ):
                return self.complete_open(fd, path, entry), data
            return self._read_again(path, entry.name, fd)
        except OSError as error:
            if self._is_file(path, os.fstat(fd)):  # what else it is now may refuse to be read
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
                self.note(path, GROWN)
                return self.complete_open(fd, path, node), data
            if len(data) == begun.st_size and stamp(begun) == stamp(ended):
                return self.complete_open(fd, path, node), data
        self.accept_changing(path)
        return self.complete_open(fd, path, node._replace(size=len(data))), data

    @contextmanager
    def open(self, path: bytes, entry: Node, was: Node | None) -> Iterator[FileContent | None]:
        """See Reading.open."""
        del was  # a file that changed is read as a whole
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

    def about(self) -> Mapping[str, bytes]:
        """See Reading.about: a tree says of itself all there is to say."""
        return {}

    def contents(self, files: int) -> str:
        """See Reading.contents."""
        return "1 file" if files == 1 else f"{files:,} files"

    def restore_steps(self) -> str:
        """See Reading.restore_steps."""
        return STEPS

    def accept_changing(self, path: bytes) -> None:
        """Note that an entry never held still, or refuse it.

        Raises:
            EntryUnreadable: the dataset does not allow it.
        """
        if not self._source.keep_changing:
            raise EntryUnreadable(
                f"{shown(path)} changed each of the {MOST_TRIES} times it was read",
                hint="back up from a file system snapshot, or set changing: keep",
            )
        self.note(path, "kept changing; the last of three reads was kept")

    def note(self, path: bytes, what: str) -> None:
        """Remember something about an entry."""
        self.notes.add(path, what)

    def require_root(self) -> None:
        """Refuse what was read if the root was removed meanwhile.

        Raises:
            SourceGone.
        """
        try:
            removed = not os.fstat(self._folders.root.fd).st_nlink
        except OSError as error:  # the server that it was on has lost it
            raise self._gone() from error
        if removed:
            raise self._gone()

    def _gone(self) -> SourceGone:
        return SourceGone(
            f"{os.fsdecode(self._source.path)} was removed or became unreadable while it was read"
        )

    def _open(self, path: bytes) -> int | None:
        try:
            folder, name = self._folders.of(path)
            try:
                return os.open(name, _FLAGS | os.O_NOATIME, dir_fd=folder.fd)
            except PermissionError:  # only owners may leave the access time alone
                return os.open(name, _FLAGS, dir_fd=folder.fd)
        except OSError as error:
            self._unreadable(path, error)
            return None

    def _is_file(self, path: bytes, status: os.stat_result) -> bool:
        if not stat.S_ISREG(status.st_mode):
            self.note(path, "replaced by something that is no file between listing and reading")
            return False
        return True

    def _unreadable(self, path: bytes, error: OSError) -> None:
        """Note an entry that vanished or may be skipped; refuse any other."""
        if error.errno == ENOENT:
            self.note(path, "vanished between listing and reading")
        elif error.errno in _GONE:
            self.note(path, "replaced by something else between listing and reading")
        elif self._source.skip_unreadable:
            self.note(path, f"skipped: {error.strerror}")
        else:
            raise EntryUnreadable(
                f"{shown(path)}: {error.strerror}",
                hint="give this user the right to read it, or set unreadable: skip",
            ) from error


def _is_text(name: str) -> bool:
    """Whether the name of an attribute is UTF-8: the kernel takes any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
