"""One file on its way back: written under a temporary name, renamed when it is whole.

Files are opened by their first write, and only so many are kept open: a blob that a thousand files
share is written to all of them before the first of them is whole. Runs of zeros become holes.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from contextlib import suppress
from errno import EEXIST, EINVAL, EISDIR, ENAMETOOLONG, ENOSPC, ENOTEMPTY
from typing import TYPE_CHECKING, Final

from include.backup.errors import InTheWay, RestoreRefused, StorageFull
from include.backup.sources.file_nodes import shown

if TYPE_CHECKING:
    from include.backup.format.tree import Node
    from include.backup.sources.directory import Directory

_TEMPORARY: Final = b".holdfast-restore-"
_HOLE_BYTES: Final = 64 << 10  # a run of zeros as long as this is not written
_ZEROS: Final = bytes(_HOLE_BYTES)
# After so many bytes the kernel is told that nobody will read them soon: it begins to write them
# while we go on, frees them for the next ones, and leaves what other programs have cached alone.
_LET_GO_BYTES: Final = 8 << 20
_FLAGS: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC

# What a restore that was killed leaves behind.
is_temporary: Final = re.compile(re.escape(_TEMPORARY) + rb"[0-9a-f]{16}").fullmatch


class FileSink:
    """One file while it is restored."""

    def __init__(self, directory: Directory, path: bytes, node: Node) -> None:
        self._directory = directory
        self._path = path
        self._node = node
        self._temporary = b""  # its name, as soon as it is there
        self._inode = 0
        self._fd = -1  # while it is kept open
        self._fresh_bytes = 0
        self._end = 0  # where the written bytes end
        self._lock = threading.Lock()  # the kernel would let a second writer of one file spin

    def write(self, data: bytes, offset: int) -> None:
        """See Sink.write."""
        try:
            with self._lock:
                fd = self._open()
                try:
                    self._write(fd, data, offset)
                finally:
                    self._put_back(fd)
        except OSError as error:
            raise translated(error, self._path) from error

    def close(self) -> None:
        """See Sink.close."""
        try:
            with self._lock:
                fd = self._open()
                try:
                    if self._end < self._node.size:
                        os.ftruncate(fd, self._node.size)
                    if self._directory.overwrite:
                        os.fsync(fd)
                    self._directory.dress(fd, self._path, self._node)
                finally:
                    self._let_go(fd)
                folder, name = self._directory.folders.of(self._path)
                os.rename(self._temporary, name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError):
                raise translated(error, self._path) from error
            raise

    def abort(self) -> None:
        """See Sink.abort."""
        with self._lock:
            if self._fd >= 0:
                self._let_go(self._fd)
            if self._temporary:
                with suppress(OSError):
                    folder, _ = self._directory.folders.of(self._path)
                    os.unlink(self._temporary, dir_fd=folder.fd)

    def _write(self, fd: int, data: bytes, offset: int) -> None:
        for start, end in _solid_parts(data):
            _write_all(fd, memoryview(data)[start:end], offset + start)
            self._end = max(self._end, offset + end)
        self._fresh_bytes += len(data)
        if self._fresh_bytes >= _LET_GO_BYTES:
            self._fresh_bytes = 0
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _open(self) -> int:
        if self._fd >= 0:
            return self._fd
        folder, _ = self._directory.folders.of(self._path)
        if self._temporary:
            fd = os.open(self._temporary, _FLAGS, dir_fd=folder.fd)
            if os.fstat(fd).st_ino != self._inode:
                os.close(fd)
                raise FileExistsError(EEXIST, "its temporary file was replaced by another")
        else:
            name = _TEMPORARY + secrets.token_hex(8).encode()
            fd = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder.fd)
            self._temporary = name
        if self._directory.may_stay_open():
            self._fd = fd
        return fd

    def _put_back(self, fd: int) -> None:
        """Close a file that is not kept open between two writes."""
        if fd != self._fd:
            try:
                self._inode = os.fstat(fd).st_ino
            finally:
                os.close(fd)

    def _let_go(self, fd: int) -> None:
        """Close a file for good."""
        if fd == self._fd:
            self._fd = -1
            self._directory.one_less_open()
        os.close(fd)


def translated(error: OSError, path: bytes) -> RestoreRefused | StorageFull:
    """What the kernel said, as an error of ours."""
    what = f"{shown(path)}: {error.strerror}"
    if error.errno == ENOSPC:
        return StorageFull(what, hint="make room, or restore to another place")
    if error.errno in {ENAMETOOLONG, EINVAL}:  # of another file system, or of nobody's making
        return InTheWay(what)
    if error.errno == EISDIR:
        return InTheWay(f"{shown(path)}: a directory stands in its place")
    if error.errno in {EEXIST, ENOTEMPTY}:
        return RestoreRefused(what, hint="give --overwrite to replace what is there")
    return RestoreRefused(what)


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
