"""A storage in memory that behaves like a bucket: versions, markers, lock dates, refusals.

It passes the same laws as the others and is used where a test must hold the clock, or must do to
a vault what an intruder, a full disk or a narrow role would do. What is hidden or overwritten
behind the storage's back becomes a second version or a delete marker, as in a versioned bucket;
the oldest version of a name is the file.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Literal

from include.backup.errors import (
    AccessRefused,
    DamageFound,
    FileAbsent,
    FileHeld,
    FileLocked,
    MarkerLeft,
    NameTaken,
    StorageFull,
)
from include.backup.storage.base import FileInfo
from include.backup.storage.names import checked_folder, checked_name, checked_prefix
from include.backup.storage.tampering import Remains, Tampering

if TYPE_CHECKING:
    import builtins  # list is a method here
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

Operation = Literal["save", "load", "list", "delete"]
OPERATIONS: tuple[Operation, ...] = ("save", "load", "list", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    data: bytes
    saved_at: datetime
    locked_until: datetime | None
    on_hold: bool = False


@dataclass(slots=True)
class _Held:
    """Everything stored under one name, oldest first."""

    versions: list[_Version] = field(default_factory=list)
    markers: int = 0


class MemoryStorage:
    """Files in a dictionary. All methods may be called from several threads."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        capacity_bytes: int | None = None,
        governed: Callable[[str], bool] | None = None,
    ) -> None:
        """Make an empty storage.

        Args:
            clock: the store's time, aware: for modified_at and for lock dates.
            capacity_bytes: what the store holds before it is full; None: no limit.
            governed: names that are locked in governance; all others are in compliance.
        """
        self.capacity_bytes = capacity_bytes
        self._clock = clock
        self._governed = governed
        self._names: dict[str, _Held] = {}
        self._refusals: list[tuple[str, frozenset[Operation]]] = []
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        """Always ``memory:``."""
        return "memory:"

    @property
    def restic_address(self) -> str:
        """See Storage.restic_address."""
        return "memory:"  # restic has no such thing

    @property
    def transport(self) -> str:
        """See Storage.transport."""
        return "kept in memory"

    def save(
        self,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        sha256: bytes | None = None,
        locked_until: datetime | None = None,
    ) -> None:
        """See Storage.save.

        Raises:
            DamageFound: `data` does not hash to `sha256`.
        """
        content = bytes(data)
        if sha256 is not None and hashlib.sha256(content).digest() != sha256:
            raise DamageFound(f"{name}: the bytes to save do not match their SHA-256")
        with self._lock:
            self._admit("save", checked_name(name))
            if name in self._names:
                raise NameTaken(f"{name} exists already in {self.url}")
            room = self.capacity_bytes
            if room is not None and self.stored_bytes() + len(content) > room:
                raise StorageFull(f"{name} does not fit into {self.url}")
            self._add_version(name, content, locked_until)

    def load(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See Storage.load."""
        with self._lock:
            self._admit("load", checked_name(name))
            data = self._file(name).data
        end = len(data) if length is None else offset + length
        if not offset <= end <= len(data):
            raise DamageFound(
                f"{name} in {self.url} is cut short: {len(data)} bytes, {max(offset, end)} expected"
            )
        return data[offset:end]

    def stat(self, name: str) -> FileInfo:
        """See Storage.stat."""
        with self._lock:
            self._admit("load", checked_name(name))
            version = self._file(name)
        return FileInfo(name, len(version.data), version.saved_at)

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """See Storage.list."""
        with self._lock:
            self._admit("list", checked_prefix(prefix))
            found = [
                FileInfo(name, len(held.versions[0].data), held.versions[0].saved_at)
                for name, held in self._names.items()
                if name.startswith(prefix) and held.versions
            ]
        found.sort()
        return iter(found)

    def folders(self, prefix: str = "") -> builtins.list[str]:
        """See Storage.folders."""
        with self._lock:
            self._admit("list", checked_folder(prefix))
            below = {
                name[len(prefix) :].split("/", 1)[0]
                for name, held in self._names.items()
                if name.startswith(prefix) and "/" in name[len(prefix) :] and held.versions
            }
        return sorted(below)

    def extend_lock(self, names: Sequence[str], until: datetime) -> None:
        """See Storage.extend_lock."""
        for name in names:
            self._change_first(
                name, lambda old: replace(old, locked_until=max(old.locked_until or until, until))
            )

    def hold(self, names: Sequence[str], *, on: bool) -> None:
        """See Storage.hold."""
        for name in names:
            self._change_first(name, lambda old: replace(old, on_hold=on))

    def _change_first(self, name: str, change: Callable[[_Version], _Version]) -> None:
        with self._lock:
            self._admit("save", checked_name(name))
            version = self._file(name)
            self._names[name].versions[0] = change(version)

    def delete(self, names: Sequence[str], *, bypass_governance: bool = False) -> None:
        """See Storage.delete."""
        refused: AccessRefused | None = None
        with self._lock:
            for name in names:
                try:
                    self._admit("delete", checked_name(name))
                    self._erase(name, bypass=bypass_governance)
                except AccessRefused as error:
                    refused = refused or error
        if refused is not None:
            raise refused

    def tampering(self, prefix: str = "") -> Iterator[Tampering]:
        """Names that somebody else has overwritten or hidden, ascending."""
        with self._lock:
            self._admit("list", checked_prefix(prefix))
            found = [
                Tampering(name, len(held.versions), held.markers)
                for name, held in self._names.items()
                if name.startswith(prefix) and (len(held.versions) != 1 or held.markers)
            ]
        found.sort()
        return iter(found)

    def undelete(self, names: Sequence[str]) -> builtins.list[Remains]:
        """See Storage.undelete."""
        left = []
        with self._lock:
            for name in sorted(map(checked_name, names)):
                self._admit("delete", name)
                if (held := self._names.get(name)) is not None and (why := self._uncover(held)):
                    left.append(
                        Remains(name, f"{why}; a copy of the file lies over it", hidden=False)
                    )
                if held is not None and not held.versions:
                    del self._names[name]
        return left

    # What tests and simulations do to a store from outside.

    @contextmanager
    def refusing(
        self, prefix: str = "", operations: Sequence[Operation] = OPERATIONS
    ) -> Iterator[None]:
        """While this lasts, refuse these operations on every name that begins with `prefix`."""
        refusal = (prefix, frozenset(operations))
        with self._lock:
            self._refusals.append(refusal)
        try:
            yield
        finally:
            with self._lock:
                self._refusals.remove(refusal)

    def overwrite(self, name: str, data: bytes, *, locked_until: datetime | None = None) -> None:
        """Put a newer version over a file, as somebody with the right to write can."""
        with self._lock:
            self._add_version(name, data, locked_until)

    def newest(self, name: str) -> bytes | None:
        """What a client without regard for versions sees; None: nothing."""
        with self._lock:
            held = self._names.get(name)
            return None if held is None or held.markers else held.versions[-1].data

    def hide(self, name: str) -> None:
        """Put a delete marker over a file, as a plain DELETE on a versioned bucket does."""
        with self._lock:
            self._names.setdefault(name, _Held()).markers += 1

    def damage(self, name: str, data: bytes) -> None:
        """Let the medium give other bytes for a file than were written."""
        with self._lock:
            held = self._names[name]
            old = held.versions[0]
            held.versions[0] = replace(old, data=data)

    def stored_bytes(self) -> int:
        """The size of all versions of all files."""
        with self._lock:
            return sum(len(v.data) for held in self._names.values() for v in held.versions)

    def locked_until(self, name: str) -> datetime | None:
        """The lock date that a file was saved with."""
        with self._lock:
            return self._file(name).locked_until

    def _admit(self, operation: Operation, name: str) -> None:
        for prefix, operations in self._refusals:
            # Listing "data/" must fail when only "data/ab/" is refused: half a list is none.
            touched = name.startswith(prefix) or (operation == "list" and prefix.startswith(name))
            if touched and operation in operations:
                raise AccessRefused(f"{self.url} refused to {operation} {name or 'its files'}")

    def _file(self, name: str) -> _Version:
        held = self._names.get(name)
        if held is None:
            raise FileAbsent(f"{name} is not in {self.url}")
        if not held.versions:
            raise MarkerLeft(f"only a delete marker is left of {name} in {self.url}")
        return held.versions[0]

    def _add_version(self, name: str, data: bytes, locked_until: datetime | None) -> None:
        version = _Version(data=data, saved_at=self._clock(), locked_until=locked_until)
        self._names.setdefault(name, _Held()).versions.append(version)

    def _uncover(self, held: _Held) -> str:
        """Remove markers and later versions; say why one of these stays."""
        held.markers = 0
        kept = [
            one
            for one in held.versions[1:]
            if one.locked_until and self._clock() < one.locked_until
        ]
        if not held.versions or not kept:
            del held.versions[1:]
            return ""
        held.versions[1:] = [*kept, replace(held.versions[0], locked_until=None)]
        return f"a later version is locked until {kept[-1].locked_until:%Y-%m-%d %H:%M:%S} UTC"

    def _erase(self, name: str, *, bypass: bool) -> None:
        held = self._names.get(name)
        if held is None:
            return
        now = self._clock()
        for version in held.versions:
            if version.on_hold:
                raise FileHeld(f"{name} in {self.url} is on hold")
            free = bypass and self._governed is not None and self._governed(name)
            if not free and version.locked_until is not None and now < version.locked_until:
                date = f"{version.locked_until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
                raise FileLocked(f"{name} in {self.url} is locked until {date}")
        del self._names[name]
