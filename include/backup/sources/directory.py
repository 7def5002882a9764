"""Putting directories back: files, links, devices, with their metadata and extended attributes.

Files are written under a temporary name and renamed when they are whole. What replaces an existing
file is flushed to disk first; the rest is flushed once, before the restore says that it is done.
Runs of zeros become holes. Whatever the destination cannot take over (an owner without the right
to set it, an attribute of another file system) is noted, never silently left out.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import stat
import threading
from contextlib import suppress
from errno import EEXIST, ENOSPC, ENOTEMPTY
from typing import TYPE_CHECKING, Final

from include.backup.errors import RestoreRefused, StorageFull
from include.backup.format.times import nanoseconds_of_text
from include.backup.format.tree import Node, NodeType
from include.backup.sources.base import Note
from include.backup.sources.file_nodes import permissions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TEMPORARY: Final = b".holdfast-"
_HOLE_BYTES: Final = 64 << 10  # a run of zeros as long as this is not written
_ZEROS: Final = bytes(_HOLE_BYTES)
# After so many bytes the kernel is told that nobody will read them soon: it begins to write them
# while we go on, frees them for the next ones, and leaves what other programs have cached alone.
_LET_GO_BYTES: Final = 8 << 20
_MOST_NOTES: Final = 10_000


class Directory:
    """A directory that a recovery point is restored to.

    Args:
        overwrite: replace files that are there already; others are left alone.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = os.fsencode(path)
        self.overwrite = overwrite
        self.notes: list[Note] = []
        self.owners = os.geteuid() == 0  # only root may give files away
        self._folders: list[tuple[bytes, Node]] = []
        self._links: list[tuple[bytes, bytes]] = []
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """See Destination.prepare."""
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)  # noqa: PTH103  paths are bytes
            with os.scandir(self.path) as found:
                occupied = any(True for _ in found)
        except OSError as error:
            raise RestoreRefused(f"{_shown(self.path)}: {error.strerror}") from error
        if occupied and not self.overwrite:
            raise RestoreRefused(
                f"{_shown(self.path)} is not empty",
                hint="name an empty or a new directory, or give --overwrite",
            )
        if not self.owners:
            self.note(b"", "owners were not restored: only root may set them")

    def make(self, path: bytes, node: Node) -> None:
        """See Destination.make."""
        full = self._full(path)
        try:
            if node.type == NodeType.DIR:
                self._make_folder(full, path, node)
            elif node.type == NodeType.SOCKET:
                self.note(path, "a socket: only its program can make it again")
            else:
                self._clear(full)
                _make_special(full, node)
                self._set(full, path, node)
        except PermissionError as error:
            self.note(path, f"{node.type} not made: {error.strerror}")
        except OSError as error:
            raise _translated(error, path) from error

    def create(self, path: bytes, node: Node) -> FileSink:
        """See Destination.create."""
        return FileSink(self, self._full(path), path, node)

    def link(self, path: bytes, target: bytes) -> None:
        """See Destination.link. Links are made at the end, when their targets are there."""
        self._links.append((path, target))

    def finish(self) -> Sequence[Note]:
        """See Destination.finish."""
        for path, target in self._links:
            full = self._full(path)
            try:
                self._clear(full)
                os.link(self._full(target), full, follow_symlinks=False)
            except OSError as error:
                self.note(path, f"link to {_shown(target)} not made: {error.strerror}")
        for path, node in reversed(self._folders):  # what is inside first: it changes the times
            self._set(self._full(path), path, node)
        _flush(self.path)
        return self.notes

    def note(self, path: bytes, what: str) -> None:
        """Remember what could not be restored."""
        with self._lock:
            if len(self.notes) < _MOST_NOTES:
                self.notes.append(Note(path=_shown(path), what=what))

    def set_metadata(self, full: bytes, path: bytes, node: Node) -> None:
        """Set owner, attributes, permissions and times of a file."""
        self._set(full, path, node)

    def _make_folder(self, full: bytes, path: bytes, node: Node) -> None:
        try:
            os.mkdir(full, 0o700)  # noqa: PTH102  paths are bytes
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(full).st_mode):
                self._clear(full)
                os.mkdir(full, 0o700)  # noqa: PTH102  paths are bytes
        self._folders.append((path, node))

    def _clear(self, full: bytes) -> None:
        """Remove what stands in the way, if that is allowed."""
        if self.overwrite:
            with suppress(FileNotFoundError):
                os.unlink(full)  # noqa: PTH108  paths are bytes

    def _set(self, full: bytes, path: bytes, node: Node) -> None:
        try:
            if self.owners:
                os.lchown(full, node.uid, node.gid)
            for name, value in node.extended_attributes:
                self._set_attribute(full, path, name, value)
            if node.type != NodeType.SYMLINK:
                os.chmod(full, permissions(node.mode))  # noqa: PTH101  paths are bytes
            times = nanoseconds_of_text(node.atime), nanoseconds_of_text(node.mtime)
            os.utime(full, ns=times, follow_symlinks=False)
        except (OSError, OverflowError) as error:
            self.note(path, f"metadata not restored: {error}")

    def _set_attribute(self, full: bytes, path: bytes, name: str, value: bytes) -> None:
        try:
            os.setxattr(full, name, value, follow_symlinks=False)
        except OSError as error:
            self.note(path, f"attribute {name} not restored: {error.strerror}")

    def _full(self, path: bytes) -> bytes:
        return self.path + b"/" + path if path else self.path


class FileSink:
    """One file on its way back. Opened by its first write, so that few are open at a time."""

    def __init__(self, directory: Directory, full: bytes, path: bytes, node: Node) -> None:
        self._directory = directory
        self._full = full
        self._path = path
        self._node = node
        self._temporary = full.rpartition(b"/")[0] + b"/" + _TEMPORARY + _token()
        self._fd = -1
        self._fresh_bytes = 0
        self._end = 0  # where the written bytes end
        self._lock = threading.Lock()

    def write(self, data: bytes, offset: int) -> None:
        """See Sink.write."""
        try:
            fd = self._open()
            with self._lock:  # the kernel would let a second writer of the same file spin
                for start, end in _solid_parts(data):
                    _write_all(fd, memoryview(data)[start:end], offset + start)
                    self._end = max(self._end, offset + end)
                self._fresh_bytes += len(data)
                let_go = self._fresh_bytes >= _LET_GO_BYTES
                if let_go:
                    self._fresh_bytes = 0
            if let_go:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise _translated(error, self._path) from error

    def close(self) -> None:
        """See Sink.close."""
        try:
            fd = self._open()
            try:
                if self._end < self._node.size:
                    os.ftruncate(fd, self._node.size)
                if self._directory.overwrite:
                    os.fsync(fd)
            finally:
                os.close(fd)
            self._directory.set_metadata(self._temporary, self._path, self._node)
            os.rename(self._temporary, self._full)  # noqa: PTH104  paths are bytes
        except OSError as error:
            raise _translated(error, self._path) from error

    def abort(self) -> None:
        """See Sink.abort."""
        with self._lock:
            if self._fd < 0:
                return
            os.close(self._fd)
            self._fd = -1
        with suppress(OSError):
            os.unlink(self._temporary)  # noqa: PTH108  paths are bytes

    def _open(self) -> int:
        with self._lock:
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                self._fd = os.open(self._temporary, flags, 0o600)
            return self._fd


def _solid_parts(data: bytes) -> list[tuple[int, int]]:
    """Where `data` is not a long run of zeros: (start, end) of each part, in bytes."""
    if _ZEROS not in data:
        return [(0, len(data))]
    parts: list[tuple[int, int]] = []
    for start in range(0, len(data), _HOLE_BYTES):
        end = min(start + _HOLE_BYTES, len(data))
        if data[start:end] == _ZEROS[: end - start]:
            continue
        if parts and parts[-1][1] == start:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    return parts


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(fd, data, offset)
        data, offset = data[count:], offset + count


def _make_special(full: bytes, node: Node) -> None:
    if node.type == NodeType.SYMLINK:
        os.symlink(node.linktarget, full)  # noqa: PTH211  paths are bytes
    elif node.type == NodeType.FIFO:
        os.mkfifo(full, 0o600)
    else:
        kind = stat.S_IFBLK if node.type == NodeType.DEVICE else stat.S_IFCHR
        os.mknod(full, kind | 0o600, node.device)


def _flush(path: bytes) -> None:
    """Make everything on the file system of `path` durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(fd):
            code = ctypes.get_errno()
            raise StorageFull(f"{_shown(path)} could not be flushed: {os.strerror(code)}")
    finally:
        os.close(fd)


def _translated(error: OSError, path: bytes) -> RestoreRefused | StorageFull:
    what = f"{_shown(path)}: {error.strerror}"
    if error.errno == ENOSPC:
        return StorageFull(what, hint="make room, or restore to another place")
    if error.errno in {EEXIST, ENOTEMPTY}:
        return RestoreRefused(what, hint="give --overwrite to replace what is there")
    return RestoreRefused(what)


def _token() -> bytes:
    return secrets.token_hex(8).encode()


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
