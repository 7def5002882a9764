"""What has to be done with files and folders so that they last, or do not stay about."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

STALE_SECONDS = 3600  # a temporary file of that age has no writer any more
_FALLOCATE_FROM = 1 << 16  # below, one write finds out as early that the disk is full

_NO_FOLDER_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_FALLOCATE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def fill(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write and flush all of `data`, read-only from then on."""
    with memoryview(data) as whole, whole.cast("B") as view:
        size = view.nbytes
        if size >= _FALLOCATE_FROM:  # a full disk is to be noticed before 16 MiB are written
            try:
                os.posix_fallocate(fd, 0, size)
            except OSError as error:
                if error.errno not in _NO_FALLOCATE:
                    raise
        written = 0
        while written < size:
            written += os.write(fd, view[written:])
    os.fchmod(fd, 0o400)
    os.fsync(fd)  # if this fails the file is lost: a second fsync would report success falsely
    if size >= _FALLOCATE_FROM:  # nobody reads a pack soon: leave the cache to other programs
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def flush_folder(folder: str) -> None:
    """Make durable which names a folder has, where the file system knows such a thing."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FSYNC:
            raise
    finally:
        os.close(fd)


def sweep(folder: str, *, now: float) -> None:
    """Remove temporary files of writers that died. `now` is the file system's own time."""
    with suppress(OSError), os.scandir(folder) as entries:  # tidiness never fails a save
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(".tmp"):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < now - STALE_SECONDS:
                        os.unlink(entry.path)  # noqa: PTH108 strings throughout
