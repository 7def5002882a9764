"""Storage: opaque named files, each written once.

A name is a relative path of ASCII parts joined by "/"; the storage gives names no meaning and
knows no cryptography. A file is either wholly present or absent: a reader never sees half of
one. This module holds the contract that every storage passes (tests/suites/storage_suite.py)
and the view of one folder of a storage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from include.backup.storage.tampering import Remains, Tampering


class FileInfo(NamedTuple):
    """What a storage says about one file."""

    name: str
    size_bytes: int
    modified_at: datetime  # aware, UTC, by the clock of the store, not of the asker


class Storage(Protocol):
    """Named files, each written once and never changed."""

    @property
    def url(self) -> str:
        """Where this storage is, for people: no secrets in it."""

    @property
    def restic_address(self) -> str:
        """The same for stock restic, as in ``s3:https://host/bucket/prefix``; no secrets in it."""

    @property
    def transport(self) -> str:
        """How files travel to it, for people, as in "sent over TLS" (3.3)."""

    def save(
        self,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        sha256: bytes | None = None,
        locked_until: datetime | None = None,
    ) -> None:
        """Store `data` durably under a name that is free, before returning.

        Args:
            sha256: the digest of `data` if the caller has it already; the store checks it where
                it can, so that damage on the way is refused instead of kept.
            locked_until: nobody can delete the file before; a date ahead, for S3 refuses others.
                Ignored by stores without Object Lock.

        Raises:
            NameTaken: a file of that name exists and is not ours. Callers naming by hash may
                ignore it.
            AccessRefused, StorageFull.
            StorageUnreachable: outcome unknown; saving again is safe.
        """

    def load(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset`, or all that follows when `length` is None.

        Raises:
            FileAbsent, AccessRefused, StorageUnreachable.
            DamageFound: the file ends before offset + length.
        """

    def stat(self, name: str) -> FileInfo:
        """Size and time of one file.

        Raises:
            FileAbsent, AccessRefused, StorageUnreachable.
        """

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """Every file whose name begins with `prefix`, ascending by name.

        Raises:
            AccessRefused, StorageUnreachable. An absent folder is an empty one.
        """

    def folders(self, prefix: str = "") -> builtins.list[str]:
        """The names directly below the folder `prefix` that have files below them, ascending.

        `prefix` is empty or ends with "/"; the names returned are single parts without "/".
        """

    def extend_lock(self, names: Sequence[str], until: datetime) -> None:
        """Let nobody delete these files before `until`; a later date that one has stays.

        Stores without Object Lock ignore it, as they ignore the dates given to `save`.

        Raises:
            FileAbsent, AccessRefused, StorageUnreachable.
        """

    def hold(self, names: Sequence[str], *, on: bool) -> None:
        """Put a legal hold on these files, or take it off: nobody deletes them meanwhile.

        Stores without Object Lock ignore it.

        Raises:
            FileAbsent, AccessRefused, StorageUnreachable.
        """

    def delete(self, names: Sequence[str], *, bypass_governance: bool = False) -> None:
        """Remove the files with every version and marker of them. Absent ones are no error.

        Args:
            bypass_governance: a lock in governance mode keeps nothing, for who has that right.

        Raises:
            AccessRefused: no right, a lock date that has not come, or a legal hold; the message
                names the first.
            StorageUnreachable.
        """

    def tampering(self, prefix: str = "") -> Iterator[Tampering]:
        """Names that somebody else has overwritten, hidden or destroyed, ascending.

        A store that keeps no versions knows of none.

        Raises:
            AccessRefused, StorageUnreachable.
        """

    def undelete(self, names: Sequence[str]) -> builtins.list[Remains]:
        """Remove what lies over files: delete markers, and every version but the oldest.

        The oldest version, which is the file, is never touched. Over a later version that a lock
        keeps, a copy of the file is put. Nothing is done where there are no versions.

        Returns:
            What could not be removed, ascending.

        Raises:
            AccessRefused: nothing at all could be asked for.
            StorageUnreachable: some of it may be done; doing it again is safe.
        """


class Folder:
    """One folder of a storage, seen as a storage of its own."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"

    @property
    def url(self) -> str:
        """The address of the folder."""
        return f"{self._storage.url.rstrip('/')}/{self._prefix}".rstrip("/")

    @property
    def restic_address(self) -> str:
        """See Storage.restic_address."""
        return f"{self._storage.restic_address.rstrip('/')}/{self._prefix}".rstrip("/")

    @property
    def transport(self) -> str:
        """See Storage.transport."""
        return self._storage.transport

    def save(
        self,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        sha256: bytes | None = None,
        locked_until: datetime | None = None,
    ) -> None:
        """See Storage.save."""
        self._storage.save(self._prefix + name, data, sha256=sha256, locked_until=locked_until)

    def load(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See Storage.load."""
        return self._storage.load(self._prefix + name, offset=offset, length=length)

    def stat(self, name: str) -> FileInfo:
        """See Storage.stat."""
        return self._relative(self._storage.stat(self._prefix + name))

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """See Storage.list."""
        return map(self._relative, self._storage.list(self._prefix + prefix))

    def folders(self, prefix: str = "") -> builtins.list[str]:
        """See Storage.folders."""
        return self._storage.folders(self._prefix + prefix)

    def extend_lock(self, names: Sequence[str], until: datetime) -> None:
        """See Storage.extend_lock."""
        self._storage.extend_lock([self._prefix + name for name in names], until)

    def hold(self, names: Sequence[str], *, on: bool) -> None:
        """See Storage.hold."""
        self._storage.hold([self._prefix + name for name in names], on=on)

    def delete(self, names: Sequence[str], *, bypass_governance: bool = False) -> None:
        """See Storage.delete."""
        more = {"bypass_governance": True} if bypass_governance else {}
        self._storage.delete([self._prefix + name for name in names], **more)

    def tampering(self, prefix: str = "") -> Iterator[Tampering]:
        """See Storage.tampering."""
        for told in self._storage.tampering(self._prefix + prefix):
            yield told._replace(name=told.name.removeprefix(self._prefix))

    def undelete(self, names: Sequence[str]) -> builtins.list[Remains]:
        """See Storage.undelete."""
        left = self._storage.undelete([self._prefix + name for name in names])
        return [one._replace(name=one.name.removeprefix(self._prefix)) for one in left]

    def _relative(self, info: FileInfo) -> FileInfo:
        return info._replace(name=info.name.removeprefix(self._prefix))
