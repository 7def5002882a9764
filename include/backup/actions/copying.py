"""Copying a generation to another vault, file for file, in an order that a crash cannot spoil.

    listed at home:    indexes, then packs        each pack that an index names is in the list
    saved in the copy: envelopes, key files, config → packs → indexes → snapshots

So whatever the copy names is there at every moment (invariant 1). All files but the config and the
envelopes are named by the SHA-256 of their bytes: what comes from the home is compared with its
name before it is saved; a sample of what was saved is read again at once, and each pack within
twelve weeks. No key is needed for it.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import AccessRefused, DamageFound, FileAbsent, NameTaken, ReplicaDamaged
from include.backup.storage.retry import agreed
from include.backup.vault.layout import envelope_folder, generation_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from include.backup.repository.progress import Progress
    from include.backup.storage.base import Storage

log = logging.getLogger(__name__)

_AT_ONCE: Final = 4  # files; a pack has 16 MiB
_TRIES: Final = 3  # of reading what is not as its name says
_SAMPLE: Final = 100  # one of so many new packs is read again
_DAYS: Final = 84  # within which each pack is read again
_DIGITS: Final = 8  # of a name
_KEYS: Final = "keys/"
_CONFIG: Final = "config"
_DATA: Final = "data/"
_INDEX: Final = "index/"
_SNAPSHOTS: Final = "snapshots/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """From where to where one generation is copied, and until when the copy is locked."""

    home: Storage  # the folder of the dataset
    copy: Storage
    expiring: Storage  # the same as `copy`, with the right to delete
    generation: str
    snapshots: Mapping[str, datetime | None]  # that are wanted, with their lock dates
    locked_until: datetime | None  # all other files; None: the copy has no Object Lock
    day: int  # of a calendar that all runs share: which packs are read again today
    go_on: Callable[[], None]  # raises when this run must stop
    progress: Progress


@dataclass(slots=True, kw_only=True)
class Copied:
    """What was copied of one generation."""

    files: int = 0
    size_bytes: int = 0
    read_again: list[str] = field(default_factory=list)  # names of packs
    found: int = 0  # files that were there already
    locked_until: datetime | None = None  # all but the snapshots; None: no Object Lock

    def add(self, size_bytes: int) -> None:
        """Count one more file."""
        self.files += 1
        self.size_bytes += size_bytes


def copy_generation(route: Route, *, mend: bool = False) -> Copied:
    """Copy what the copy lacks of a generation.

    Args:
        mend: the copy was found damaged, and the home is whole: all that the copy has is read, and
            what is wrong saved anew.

    Raises:
        ReplicaDamaged: something in the copy is not as its name says; or is locked, and cannot be
            replaced.
        DamageFound: something at home is not as its name says; nothing that needs it was copied.
        FileAbsent: the home has lost a file, or removes this generation.
        AccessRefused, StorageFull, StorageUnreachable.
    """
    copying = _Copying(route)
    indexes = _listed(copying.home, _INDEX)
    packs = _listed(copying.home, _DATA)
    if mend:
        copying.remove_wrong()
    for name in _listed(route.home, envelope_folder(route.generation)):
        copying.copy_exactly(route.home, route.copy, route.expiring, name, mend=mend)
    copying.copy_all(_listed(copying.home, _KEYS), _KEYS)
    copying.copy_exactly(copying.home, copying.copy, copying.expiring, _CONFIG, mend=mend)
    new = copying.copy_all(packs, _DATA)
    copying.read_again([*new[::_SAMPLE], *_of_the_day(packs.keys() - set(new), route.day)])
    copying.copy_all(indexes, _INDEX)
    copying.copy_snapshots()
    return copying.copied


class _Copying:
    """One generation on its way."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.home = generation_folder(route.home, route.generation)
        self.copy = generation_folder(route.copy, route.generation)
        self.expiring = generation_folder(route.expiring, route.generation)
        self.copied = Copied(locked_until=route.locked_until)

    def copy_all(self, wanted: Mapping[str, int], prefix: str) -> list[str]:
        """Copy files below a prefix that the copy lacks; return their names."""
        there = _listed(self.copy, prefix)
        for name, size_bytes in wanted.items():
            if there.get(name, size_bytes) != size_bytes and not self._are_as_long(name):
                raise ReplicaDamaged(
                    f"{self.copy.url}/{name} has {there[name]} bytes, and {size_bytes} at home"
                )
        new = [name for name in wanted if name not in there]
        self.copied.found += len(wanted) - len(new)
        self._copy_some(new)
        return new

    def _are_as_long(self, name: str) -> bool:
        """Whether both files have one length after all: a listing may have been spoiled."""
        return self.home.stat(name).size_bytes == self.copy.stat(name).size_bytes

    def _copy_some(self, names: Sequence[str]) -> None:
        """Copy several files at a time; the first error ends it."""
        until = self.route.locked_until
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copy") as pool:
            try:
                for size_bytes in pool.map(lambda name: self._copy(name, until), names):
                    self.copied.add(size_bytes)
                    self.route.progress.add(bytes_done=size_bytes)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _copy(self, name: str, until: datetime | None) -> int:
        self.route.go_on()
        data = _loaded(self.home, name)
        with suppress(NameTaken):  # another run, or an answer that was lost: the very same bytes
            self.copy.save(name, data, sha256=sha256(data).digest(), locked_until=until)
        return len(data)

    def copy_exactly(
        self, home: Storage, copy: Storage, expiring: Storage, name: str, *, mend: bool
    ) -> None:
        """Copy a small file whose name does not tell its bytes, and compare both."""
        data, there = home.load(name), _there(copy, name)
        if there == data:
            return
        data, there = agreed(lambda: home.load(name)), agreed(lambda: _there(copy, name))
        if there is not None and there != data and mend:
            _remove(expiring, name)
            there = None
        if there is None:
            until = self.route.locked_until
            copy.save(name, data, sha256=sha256(data).digest(), locked_until=until)
            there = agreed(lambda: _there(copy, name))
            self.copied.add(len(data))
        if there != data:
            raise ReplicaDamaged(f"{copy.url}/{name} is not as at home")

    def copy_snapshots(self) -> None:
        """Copy those that are wanted and not there."""
        there = _listed(self.copy, _SNAPSHOTS)
        for snapshot, until in self.route.snapshots.items():
            if (name := f"{_SNAPSHOTS}{snapshot}") not in there:
                self.copied.add(self._copy(name, until))

    def read_again(self, names: Sequence[str]) -> None:
        """See that the store gives back what it was given."""
        for name in names:
            self.route.go_on()
            _require_right(self.copy, name)
            self.copied.read_again.append(name)

    def remove_wrong(self) -> None:
        """Remove what is not as its name says, so that it is copied anew."""
        for prefix in (_SNAPSHOTS, _INDEX, _DATA, _KEYS):
            for name in _listed(self.copy, prefix):
                self.route.go_on()
                try:
                    _require_right(self.copy, name)
                except ReplicaDamaged:
                    log.warning("%s/%s is damaged, and copied anew", self.copy.url, name)
                    _remove(self.expiring, name)


def _of_the_day(packs: Iterable[str], day: int) -> list[str]:
    """Those whose turn it is: in twelve weeks all of them, for their names are hashes."""
    return [name for name in sorted(packs) if int(name[-_DIGITS:], 16) % _DAYS == day % _DAYS]


def _listed(storage: Storage, prefix: str) -> dict[str, int]:
    return {info.name: info.size_bytes for info in storage.list(prefix)}


def _loaded(storage: Storage, name: str) -> bytes:
    """A file whose bytes are as its name says.

    Raises:
        DamageFound: they are not, however often it is read.
        FileAbsent, StorageError.
    """
    for _ in range(_TRIES):
        data = storage.load(name)
        if sha256(data).hexdigest() == name.rpartition("/")[2]:
            return data
    raise DamageFound(f"{storage.url}/{name} is not what its name says")


def _require_right(copy: Storage, name: str) -> None:
    """See that a file of the copy is as its name says.

    Raises:
        ReplicaDamaged: it is not, or gone.
    """
    try:
        _loaded(copy, name)
    except (DamageFound, FileAbsent) as error:
        raise ReplicaDamaged(error.message) from error


def _there(copy: Storage, name: str) -> bytes | None:
    """A file of the copy; None: there is none.

    Raises:
        ReplicaDamaged: it cannot be read, or only a mark of its removal is there.
    """
    try:
        return copy.load(name)
    except FileAbsent:
        return None
    except DamageFound as error:
        raise ReplicaDamaged(error.message) from error


def _remove(expiring: Storage, name: str) -> None:
    """Remove a file that is wrong.

    Raises:
        ReplicaDamaged: a lock keeps it, or nobody may.
    """
    try:
        expiring.delete([name])
    except AccessRefused as error:
        raise ReplicaDamaged(
            f"{expiring.url}/{name} is wrong, and cannot be replaced: {error.message}",
            hint="a new full opens a generation that is copied whole",
        ) from error
