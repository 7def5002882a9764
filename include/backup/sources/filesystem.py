"""Reading directories: files, links, devices, with their metadata and extended attributes.

A file counts as read when, at its end, the kernel says the same about it as at its beginning.
Vanished between listing and opening, or replaced by something else: noted. Grown: read to the size
it had at opening, and noted. Changed: read again, three times at most, then an error unless the
dataset says ``changing: keep``.

Every entry is reached from the directory above it, and no link is followed but the dataset's own
path: see folders.py. The root stays open; removed meanwhile, nothing of it counts as read.

The consistency point of a directory is the moment before listing begins. An entry is unchanged
when size, times and inode are those of the parent's node, and its change time lies before the
parent's consistency point: a file changed in the very moment in which it was read is read again.
"""

from __future__ import annotations

import os
import pwd
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.backup.errors import EntryUnreadable, SourceGone
from include.backup.sources.exclude import Exclusion
from include.backup.sources.file_nodes import attributes_of, node_of
from include.backup.sources.file_reading import FilesystemReading
from include.backup.sources.folders import Folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.backup.sources.base import Parent


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
    def read(self, *, now: datetime, parent: Parent | None) -> Iterator[FilesystemReading]:
        """See Source.read."""
        try:
            folders = Folders(self.path)
            status = os.fstat(folders.root.fd)
            attributes = attributes_of(folders.root.entry(b"."))
        except NotADirectoryError as error:
            raise SourceGone(f"{os.fsdecode(self.path)} is not a directory") from error
        except OSError as error:
            raise SourceGone(
                f"{os.fsdecode(self.path)}: {error.strerror}",
                hint="is the volume mounted, and may this user read it?",
            ) from error
        root = node_of(b"root", status)._replace(extended_attributes=attributes)
        before = None if parent is None else parent.taken_at
        reading = FilesystemReading(self, folders, root, status.st_dev, now, before)
        yield reading
        reading.require_root()

    def preflight(self) -> str:
        """See Source.preflight."""
        path = os.fsdecode(self.path)
        try:
            with os.scandir(self.path) as found:
                count = sum(1 for _ in found)
        except PermissionError as error:
            who = pwd.getpwuid(os.geteuid()).pw_name
            raise EntryUnreadable(
                f"{path}: {error.strerror}",
                hint=f"let {who} read it, and enter the folders above it",
            ) from error
        except OSError as error:
            raise SourceGone(f"{path}: {error.strerror}", hint="is the volume mounted?") from error
        return f"{path}: readable, {count} {'entry' if count == 1 else 'entries'} at the top"
