"""Putting directories back: files, links, devices, with their metadata and extended attributes.

Files are written under a temporary name and renamed when they are whole. What replaces an existing
file is flushed to disk first; the rest is flushed once, before the restore says that it is done.
Nothing is written outside: no link in the destination is followed (see folders.py). Whatever the
destination cannot take over (an owner without the right to set it, an attribute of another file
system) is noted, never silently left out.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import threading
from contextlib import suppress
from errno import ENOTEMPTY
from typing import TYPE_CHECKING, Final

from include.backup.errors import DamageFound, InTheWay, RestoreRefused, StorageFull
from include.backup.evidence.wording import count
from include.backup.format.times import nanoseconds_of_text
from include.backup.format.tree import Node, NodeType
from include.backup.sources.erasing import paths_of, require_paths
from include.backup.sources.file_nodes import permissions, shown
from include.backup.sources.file_sink import FileSink, is_temporary, translated
from include.backup.sources.folders import Folder, Folders
from include.backup.sources.noting import Notes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from include.backup.sources.base import StoredFiles
    from include.backup.sources.erasing import ToErase

_MOST_OPEN: Final = 256
_ENTRY: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Directory:
    """A directory that a recovery point is restored to.

    Args:
        overwrite: replace files that are there already; others are left alone, but for the
            temporary files of a restore that was killed. A directory is never replaced by a file.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = os.fsencode(path)
        self.overwrite = overwrite
        self.notes = Notes()
        self.owners = os.geteuid() == 0  # only root may give files away
        self.folders: Folders
        self._later: list[tuple[bytes, Node]] = []  # directories, to be dressed at the end
        self._links: list[tuple[bytes, bytes]] = []
        self._lock = threading.Lock()
        self._open = 0
        self._most_open = min(_MOST_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    def prepare(self) -> None:
        """See Destination.prepare."""
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)  # noqa: PTH103  paths are bytes
            self.folders = Folders(self.path)
            with os.scandir(self.folders.root.itself) as found:
                occupied = any(True for _ in found)
            if occupied and self.overwrite:
                self._enter_again(self.folders.root)
        except OSError as error:
            raise RestoreRefused(
                f"{shown(self.path)}: {error.strerror}", hint=_hint(error)
            ) from error
        if occupied and not self.overwrite:
            raise self._occupied()
        if not self.owners:
            self.note(b"", "owners were not restored: only root may set them")

    def standing(self, files: StoredFiles) -> list[str]:
        """See Destination.standing."""
        del files
        try:
            there = len(os.listdir(self.path))  # noqa: PTH208  paths are bytes
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RestoreRefused(
                f"{shown(self.path)}: {error.strerror}", hint=_hint(error)
            ) from error
        if there and not self.overwrite:
            raise self._occupied()
        entries = count(there, "entry", "entries")
        told = f"{shown(self.path)} has {entries}: files of the same names are replaced"
        return [told] if there else []

    def make(self, path: bytes, node: Node) -> None:
        """See Destination.make."""
        try:
            if node.type == NodeType.DIR:
                self._make_folder(path, node)
            elif node.type == NodeType.SOCKET:
                self.note(path, "a socket: only its program can make it again")
            else:
                self._make_special(path, node)
        except PermissionError as error:
            self.note(path, f"{node.type} not made: {error.strerror}")
        except OSError as error:
            raise translated(error, path) from error
        except (ValueError, OverflowError) as error:  # NUL in a target, a number without end
            raise InTheWay(f"{shown(path)}: {node.type} not made: {error}") from error

    def create(self, path: bytes, node: Node) -> FileSink:
        """See Destination.create."""
        return FileSink(self, path, node)

    def link(self, path: bytes, target: bytes) -> None:
        """See Destination.link. Links are made at the end, when their targets are there."""
        self._links.append((path, target))

    def finish(self) -> Notes:
        """See Destination.finish."""
        for path, target in self._links:
            try:
                self._make_link(path, target)
            except OSError as error:
                self.note(path, f"link to {shown(target)} not made: {error.strerror}", lost=True)
        top = os.open(self.folders.root.itself, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for path, node in reversed(self._later):  # what is inside first: it changes the times
                self._dress_folder(path, node)
            _flush(top, self.path)
        finally:
            os.close(top)
        return self.notes

    def erase(self, files: StoredFiles, requests: Sequence[ToErase]) -> list[int]:
        """See Destination.erase."""
        require_paths(requests)
        top = os.open(self.folders.root.itself, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            removed = [
                sum(self._remove(one, kind) for one, kind in paths_of(files, request.matches))
                for request in requests
                if request.matches is not None
            ]
            _flush(top, self.path)
        finally:
            os.close(top)
        return removed

    def _remove(self, path: bytes, kind: str) -> int:
        """Remove one entry that was restored; return how many went. A directory goes empty."""
        try:
            folder, name = self.folders.of(path)
            if kind == NodeType.DIR:
                os.rmdir(name, dir_fd=folder.fd)
            else:
                os.unlink(name, dir_fd=folder.fd)
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as error:
            if error.errno == ENOTEMPTY:  # something else was there before
                return 0
            raise RestoreRefused(
                f"what is to be erased cannot be: {error.strerror}", hint=_hint(error)
            ) from None
        return 1

    def note(self, path: bytes, what: str, *, lost: bool = False) -> None:
        """Remember what could not be restored."""
        self.notes.add(path, what, lost=lost)

    def may_stay_open(self) -> bool:
        """Whether one more file may be kept open; counts it if so."""
        with self._lock:
            if self._open >= self._most_open:
                return False
            self._open += 1
            return True

    def one_less_open(self) -> None:
        """Count a file that was kept open and is not any more."""
        with self._lock:
            self._open -= 1

    def dress(self, entry: bytes | int, path: bytes, node: Node, *, follow: bool = True) -> None:
        """Set owner, attributes, permissions and times, each by itself; note what cannot be set.

        Args:
            entry: an open file, or a path to the entry that leads nowhere else.
            follow: False if `entry` is the path of a link.
        """
        try:
            if self.owners:
                os.chown(entry, node.uid, node.gid, follow_symlinks=follow)
        except (OSError, OverflowError) as error:
            self.note(path, f"owner not restored: {error}")
        for name, value in node.extended_attributes:
            try:
                os.setxattr(entry, name, value, follow_symlinks=follow)
            except (OSError, ValueError) as error:
                self.note(path, f"attribute {name} not restored: {error}")
        try:
            if node.type != NodeType.SYMLINK:
                self._set_permissions(entry, path, node)
            times = nanoseconds_of_text(node.atime), nanoseconds_of_text(node.mtime)
            os.utime(entry, ns=times, follow_symlinks=follow)
        except (OSError, OverflowError, DamageFound) as error:
            self.note(path, f"metadata not restored: {error}")

    def _set_permissions(self, entry: bytes | int, path: bytes, node: Node) -> None:
        bits = permissions(node.mode)
        rights_of_owner = bits & (stat.S_ISUID | stat.S_ISGID)
        if rights_of_owner and node.type == NodeType.FILE:
            now = os.stat(entry)  # noqa: PTH116  an open file, or a path as bytes
            if (now.st_uid, now.st_gid) != (node.uid, node.gid):
                # Else a program would run with the rights of whoever restores it.
                bits &= ~rights_of_owner
                self.note(path, "setuid and setgid not restored: its owner is another")
        os.chmod(entry, bits)  # noqa: PTH101  an open file, or a path as bytes

    def _occupied(self) -> RestoreRefused:
        return RestoreRefused(
            f"{shown(self.path)} is not empty",
            hint="name an empty or a new directory, or give --overwrite",
        )

    def _make_folder(self, path: bytes, node: Node) -> None:
        if path:
            above, name = self.folders.of(path)
            try:
                os.mkdir(name, 0o700, dir_fd=above.fd)
            except FileExistsError:
                there = os.stat(name, dir_fd=above.fd, follow_symlinks=False)
                if not stat.S_ISDIR(there.st_mode):
                    self._clear(above, name)
                    os.mkdir(name, 0o700, dir_fd=above.fd)
                elif self.overwrite:
                    self._enter_again(self.folders.at(path))
        self._later.append((path, node))

    def _enter_again(self, folder: Folder) -> None:
        """Make a directory that was there writable, and free of what a killed restore left."""
        mode = stat.S_IMODE(os.fstat(folder.fd).st_mode)
        if not self.owners and mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(folder.itself, mode | stat.S_IRWXU)  # noqa: PTH101  paths are bytes
        for name in os.listdir(folder.itself):  # noqa: PTH208  paths are bytes
            if is_temporary(name):
                os.unlink(name, dir_fd=folder.fd)

    def _make_special(self, path: bytes, node: Node) -> None:
        folder, name = self.folders.of(path)
        self._clear(folder, name)
        if node.type == NodeType.SYMLINK:
            if not node.linktarget:
                raise ValueError("it leads nowhere")
            os.symlink(node.linktarget, name, dir_fd=folder.fd)
            self.dress(folder.entry(name), path, node, follow=False)
            return
        if node.type == NodeType.FIFO:
            os.mkfifo(name, 0o600, dir_fd=folder.fd)
        else:
            kind = stat.S_IFBLK if node.type == NodeType.DEVICE else stat.S_IFCHR
            os.mknod(name, kind | 0o600, node.device, dir_fd=folder.fd)
        made = Folder(os.open(name, _ENTRY, dir_fd=folder.fd))  # open, though no directory
        self.dress(made.itself, path, node)

    def _make_link(self, path: bytes, target: bytes) -> None:
        folder, name = self.folders.of(path)
        self._clear(folder, name)
        first, first_name = self.folders.of(target)
        os.link(
            first_name,
            name,
            src_dir_fd=first.fd,
            dst_dir_fd=folder.fd,
            follow_symlinks=False,
        )

    def _clear(self, folder: Folder, name: bytes) -> None:
        """Remove what stands in the way, if that is allowed."""
        if self.overwrite:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder.fd)

    def _dress_folder(self, path: bytes, node: Node) -> None:
        try:
            folder = self.folders.at(path)
        except OSError as error:
            self.note(path, f"metadata not restored: {error.strerror}")
        else:
            self.dress(folder.itself, path, node)


def _hint(error: OSError) -> str:
    """What to do about a directory that cannot be made, or be entered."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "name a directory: a file stands there, or where a directory above it should be"
    return "name a directory that you may write"


def _flush(fd: int, path: bytes) -> None:
    """Make everything on the file system of an open directory durable."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(fd):
        code = ctypes.get_errno()
        raise StorageFull(f"{shown(path)} could not be flushed: {os.strerror(code)}")
