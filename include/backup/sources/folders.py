"""Directories opened part by part below a root, following no link on the way.

A path that the kernel gets as a whole leads wherever its parts lead at that moment. Whoever may
write in a dataset could lead a backup that runs as root out of it, and a restore as well, by
putting a link in the place of a directory. Here each part is opened in the one above it, and a
link is refused. Paths longer than the kernel takes at once (4,096 bytes) work as well.

Source: open(2), "Rationale for openat() and other directory file descriptor APIs".
"""

from __future__ import annotations

import os
import threading
from errno import EINVAL
from typing import Final

_PART: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_DEEP: Final = 64  # parts of a path
_MARKS: Final = 16  # directories kept on the way to a deep one
_LEADING_ELSEWHERE: Final = frozenset({b"", b".", b".."})


class Folder:
    """One open directory, to be named by `fd` in calls; closed when nobody refers to it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)

    @property
    def itself(self) -> bytes:
        """A path for calls that take no descriptor; good while this is open."""
        return b"/proc/self/fd/%d" % self.fd

    def entry(self, name: bytes) -> bytes:
        """A path of one entry, for the same calls; it must not be followed."""
        return b"/proc/self/fd/%d/%s" % (self.fd, name)


class Folders:
    """The directories below a root. Each thread keeps the last one at hand, and the one above.

    Of a very deep one it keeps some on the way as well: who goes up again, part by part, would else
    begin at the root each time.

    Args:
        root: a directory, or a link to one: it is followed here and now, and never again.

    Raises:
        OSError: it is not there, or no directory.
    """

    def __init__(self, root: bytes) -> None:
        self.root = Folder(os.open(root, _ROOT))
        self._threads = threading.local()

    def at(self, path: bytes) -> Folder:
        """Open a directory; b"" is the root.

        Raises:
            OSError: FileNotFoundError; NotADirectoryError if a part is a link or a file.
        """
        if not path:
            return self.root
        recent: tuple[tuple[bytes, Folder], ...] = getattr(self._threads, "recent", ())
        above, rest, begin = self.root, path, 0
        for known, folder in recent:
            if known == path:
                return folder
            if known and path.startswith(known + b"/"):
                begin = len(known) + 1
                above, rest = folder, path[begin:]
                break
        folder = above
        parts = rest.split(b"/")
        marks: list[tuple[bytes, Folder]] = []
        for number, part in enumerate(parts, 1):
            if part in _LEADING_ELSEWHERE:
                raise OSError(EINVAL, "no path below a directory", path)
            above = folder
            folder = Folder(os.open(part, _PART, dir_fd=above.fd))
            if len(parts) > _DEEP and number % (len(parts) // _MARKS) == 0:
                marks.append((path[:begin] + b"/".join(parts[:number]), folder))
        last = ((path, folder), (path.rpartition(b"/")[0], above))
        self._threads.recent = (*last, *_worth_keeping(marks, recent[2:], path))
        return folder

    def of(self, path: bytes) -> tuple[Folder, bytes]:
        """The directory that an entry is in, and the entry's name in it.

        Raises:
            OSError: as `at`; the name is none, or leads elsewhere.
        """
        parent, _, name = path.rpartition(b"/")
        if name in _LEADING_ELSEWHERE or path.startswith(b"/"):
            raise OSError(EINVAL, "no entry of a directory", path)
        return self.at(parent), name


def _worth_keeping(
    marks: list[tuple[bytes, Folder]], before: tuple[tuple[bytes, Folder], ...], path: bytes
) -> list[tuple[bytes, Folder]]:
    """What is kept on the way to a path, the deepest first: some near it, and some far above."""
    above = [(known, folder) for known, folder in before if path.startswith(known + b"/")]
    kept = [*reversed(marks), *above]
    return kept if len(kept) <= 2 * _MARKS else kept[:_MARKS] + kept[-_MARKS:]
