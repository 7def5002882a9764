"""A storage in a local directory.

    <root>/datasets/crm/…        a file of that name, mode 0400, in folders of mode 0700
    <root>/datasets/crm/.…tmp    a file on its way in; no reader sees it

A file is written under a temporary name in its final folder, flushed, and then given its name
with link(), which fails if the name exists: of many writers exactly one wins, and nothing is ever
overwritten. Then the folder is flushed too. Without the first flush a power cut loses nearly
everything, without the second the last file (both measured on ext4).

A local directory is not write-once for an administrator: Object Lock dates are ignored.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256 as sha256_of
from typing import TYPE_CHECKING

from include.backup.errors import (
    AccessRefused,
    BackupError,
    DamageFound,
    FileAbsent,
    NameTaken,
    StorageFull,
    StorageUnreachable,
)
from include.backup.storage.base import FileInfo
from include.backup.storage.local_files import fill, flush_folder, sweep
from include.backup.storage.names import checked_folder, checked_name, checked_prefix, is_name

if TYPE_CHECKING:
    import builtins  # list is a method here
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from include.backup.storage.tampering import Remains, Tampering

_MOST_FOLDER_TRIES = 20

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class LocalStorage:
    """Files below one directory, which is made when the first file is saved."""

    def __init__(self, root: Path, *, check_sha256: bool = True) -> None:
        """Say where the files are; touch nothing.

        Args:
            check_sha256: compare the bytes with the digest that the caller of `save` gives. It
                costs 0.7 CPU seconds per GB, and finds what memory spoils after the digest
                was made.
        """
        self._root = os.path.abspath(root)  # noqa: PTH100 a string: paths are joined for each file
        self._check_sha256 = check_sha256
        self._made: set[str] = set()  # folders that exist durably
        self._swept: set[str] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The directory as ``file:///…``."""
        return f"file://{self._root}"

    @property
    def restic_address(self) -> str:
        """See Storage.restic_address."""
        return self._root

    @property
    def transport(self) -> str:
        """See Storage.transport."""
        return "written to a local directory"

    def save(
        self,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        sha256: bytes | None = None,
        locked_until: datetime | None = None,  # noqa: ARG002 of the contract; no locks here
    ) -> None:
        """See Storage.save.

        Raises:
            DamageFound: `data` does not hash to `sha256`.
        """
        path = self._path(name)
        if self._check_sha256 and sha256 is not None and sha256_of(data).digest() != sha256:
            raise DamageFound(f"{name}: the bytes to save do not match their SHA-256")
        with self._errors(name, "saved"):
            fd, temporary = self._begin(path)
            try:
                try:
                    fill(fd, data)
                    written_at = os.fstat(fd).st_mtime
                    self._publish(fd, temporary, path, name)
                finally:
                    os.close(fd)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)  # noqa: PTH108 strings throughout
            folder = path[: path.rindex("/")]
            with suppress(FileNotFoundError):  # somebody has deleted file and folder already
                flush_folder(folder)
        if folder not in self._swept:
            with self._lock:
                self._swept.add(folder)
            sweep(folder, now=written_at)

    def load(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See Storage.load."""
        path = self._path(name)
        with self._errors(name, "read"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = _regular(os.fstat(fd), name).st_size
                wanted = size - offset if length is None else length
                data = os.pread(fd, wanted, offset) if 0 <= wanted <= size - offset else b""
                while 0 < len(data) < wanted:  # one call reads 2 GiB at most
                    more = os.pread(fd, wanted - len(data), offset + len(data))
                    if not more:
                        break
                    data += more
            finally:
                os.close(fd)
        if len(data) != wanted or offset > size:
            raise DamageFound(
                f"{name} in {self.url} is cut short: {size} bytes, "
                f"{offset + max(wanted, 0)} expected"
            )
        return data

    def stat(self, name: str) -> FileInfo:
        """See Storage.stat."""
        path = self._path(name)
        with self._errors(name, "read"):
            return _info(name, _regular(os.stat(path), name))  # noqa: PTH116 strings throughout

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """See Storage.list. Files that vanish meanwhile may be left out."""
        folder, _, beginning = checked_prefix(prefix).rpartition("/")
        return self._walk(f"{folder}/" if folder else "", beginning)

    def folders(self, prefix: str = "") -> builtins.list[str]:
        """See Storage.folders."""
        entries = self._entries(checked_folder(prefix))
        return sorted(
            entry.name
            for _, entry, is_folder in entries
            if is_folder and any(True for _ in self._walk(f"{prefix}{entry.name}/", ""))
        )

    def extend_lock(self, names: Sequence[str], until: datetime) -> None:
        """See Storage.extend_lock: there are none here."""

    def hold(self, names: Sequence[str], *, on: bool) -> None:
        """See Storage.hold: there are none here."""

    def tampering(self, prefix: str = "") -> Iterator[Tampering]:
        """See Storage.tampering: there are no versions here."""
        checked_prefix(prefix)
        return iter(())

    def undelete(self, names: Sequence[str]) -> builtins.list[Remains]:
        """See Storage.undelete: there are no versions here."""
        for name in names:
            checked_name(name)
        return []

    def delete(
        self,
        names: Sequence[str],
        *,
        bypass_governance: bool = False,  # noqa: ARG002 nothing is locked here
    ) -> None:
        """See Storage.delete. Folders left empty go too."""
        refused: BackupError | None = None
        folders: dict[str, None] = {}
        for name in names:
            path = self._path(name)
            try:
                with self._errors(name, "deleted"):
                    os.unlink(path)  # noqa: PTH108 strings throughout
                folders[path[: path.rindex("/")]] = None
            except FileAbsent:
                pass
            except AccessRefused as error:
                refused = refused or error
        for folder in sorted(folders, reverse=True):
            with self._errors(folder, "deleted"), suppress(FileNotFoundError):
                flush_folder(folder)
            self._remove_empty(folder)
        if refused is not None:
            raise refused

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked_name(name)}"

    def _begin(self, path: str) -> tuple[int, str]:
        """Open a new temporary file in the folder of `path`, which is made if need be."""
        folder = path[: path.rindex("/")]
        if folder not in self._made:
            self._make_folder(folder)
        for _ in range(_MOST_FOLDER_TRIES):
            temporary = f"{folder}/.{os.getpid()}-{secrets.token_hex(8)}.tmp"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                return os.open(temporary, flags, 0o600), temporary
            except FileNotFoundError:  # somebody deleted the folder's last file, and the folder
                self._make_folder(folder)
        raise StorageUnreachable(f"{folder} is removed as often as it is made")

    def _make_folder(self, folder: str) -> None:
        """Make a folder and those above it, each durable before anything is put into it."""
        above = os.path.dirname(folder)  # noqa: PTH120 strings throughout
        if len(folder) > len(self._root) and above not in self._made:
            self._make_folder(above)
        for _ in range(_MOST_FOLDER_TRIES):
            try:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o700)  # noqa: PTH102 strings throughout
                # A folder may vanish at any moment, when its last file is deleted. To take that
                # for a name in use would be fatal: who names by hash ignores such an answer.
                if not stat.S_ISDIR(os.stat(folder).st_mode):  # noqa: PTH116 strings throughout
                    raise self._no_folder(folder)
                # Also if it existed: another writer may have made it just now, not flushed yet.
                with suppress(PermissionError):  # above the root nothing need be readable for us
                    flush_folder(above)
            except FileNotFoundError:
                self._make_folder(above)
                continue
            except NotADirectoryError:
                raise self._no_folder(above) from None
            with self._lock:
                self._made.add(folder)
            return
        raise StorageUnreachable(f"{folder} is removed as often as it is made")

    def _no_folder(self, folder: str) -> BackupError:
        """The error for a file where a folder of the vault should be, or one above the vault."""
        if len(folder) > len(self._root):
            return NameTaken(f"{folder} is a file, and a folder is needed there")
        while not os.path.lexists(folder):  # below a file nothing exists
            folder = os.path.dirname(folder)  # noqa: PTH120 strings throughout
        return AccessRefused(
            f"the directory of {self.url} cannot be made: {folder} is a file",
            hint="correct the url of the vault in datasets.yaml",
        )

    def _publish(self, fd: int, temporary: str, path: str, name: str) -> None:
        try:
            os.link(temporary, path)
        except FileExistsError:
            # Over NFS the answer to a link() that worked can be lost, and the client asks again.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(fd)):  # noqa: PTH116 strings
                    return
            raise NameTaken(f"{name} exists already in {self.url}") from None
        except FileNotFoundError:
            raise StorageUnreachable(
                f"{name}: the temporary file was removed before it was complete",
                hint="see what cleans up in the vault's directory",
            ) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise AccessRefused(
                f"{self.url} does not let a file be linked ({os.strerror(error.errno or 0)})",
                hint="a vault needs a file system with hard links: ext4, xfs, btrfs, zfs, NFS",
            ) from error

    def _walk(self, folder: str, beginning: str) -> Iterator[FileInfo]:
        for sort_key, entry, is_folder in self._entries(folder):
            if is_folder:
                if sort_key.startswith(beginning):
                    yield from self._walk(f"{folder}{sort_key}", "")
            elif sort_key.startswith(beginning):
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue  # deleted since the folder was read
                except OSError as error:
                    raise self._translated(error, f"{folder}{entry.name}", "read") from error
                yield _info(f"{folder}{entry.name}", status)

    def _entries(self, folder: str) -> builtins.list[tuple[str, os.DirEntry[str], bool]]:
        """What is in one folder, in the order of full names: "a-b" before "a/b"."""
        found = []
        try:
            with os.scandir(f"{self._root}/{folder}") as entries:
                for entry in entries:
                    # lost+found belongs to the file system, when the vault is a whole one.
                    if is_name(entry.name) and (folder or entry.name != "lost+found"):
                        is_folder = entry.is_dir()
                        key = f"{entry.name}/" if is_folder else entry.name
                        found.append((key, entry, is_folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._translated(error, folder or "the directory", "listed") from error
        found.sort(key=lambda item: item[0])
        return found

    def _remove_empty(self, folder: str) -> None:
        while len(folder) > len(self._root):
            with self._lock:
                self._made.discard(folder)
                self._swept.discard(folder)
            try:
                os.rmdir(folder)  # noqa: PTH106 strings throughout
            except OSError:
                return  # not empty, or not ours to remove; nothing depends on it
            folder = os.path.dirname(folder)  # noqa: PTH120 strings throughout

    @contextmanager
    def _errors(self, name: str, verb: str) -> Iterator[None]:
        """Turn what the system says into our errors."""
        try:
            yield
        except OSError as error:
            raise self._translated(error, name, verb) from error

    def _translated(self, error: OSError, name: str, verb: str) -> BackupError:
        what = f"{name} in {self.url} could not be {verb}: {os.strerror(error.errno or 0).lower()}"
        if error.errno in _ABSENT:
            return FileAbsent(f"{name} is not in {self.url}")
        if error.errno == errno.EROFS:
            return AccessRefused(what, hint="is its volume mounted read-only?")
        if error.errno in _REFUSED:
            return AccessRefused(what, hint="see the owner and mode of the vault's directory")
        if error.errno in _FULL:
            return StorageFull(what, hint="make room on the vault's file system")
        return StorageUnreachable(what)


def _regular(status: os.stat_result, name: str) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise FileAbsent(f"{name} is a folder, not a file")
    return status


def _info(name: str, status: os.stat_result) -> FileInfo:
    return FileInfo(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
