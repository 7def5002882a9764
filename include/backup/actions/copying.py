"""Copying a generation to another vault, file for file, in an order that a crash cannot spoil.

    listed at home:    indexes, then packs        each pack that an index names is in the list
    saved in the copy: envelopes, key files, config → packs → indexes → snapshots

So whatever the copy names is there at every moment (invariant 1). All files but the config and the
envelopes are named by the SHA-256 of their bytes: what comes from the home is compared with its
name before it is saved, and a sample of what was saved is read again. No key is needed for it.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import DamageFound, FileAbsent, NameTaken, ReplicaDamaged
from include.backup.vault.layout import envelope_folder, generation_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from include.backup.repository.progress import Progress
    from include.backup.storage.base import Storage

log = logging.getLogger(__name__)

_AT_ONCE: Final = 4  # files; a pack has 16 MiB
_TRIES: Final = 3  # of reading what is not as its name says
_SAMPLE: Final = 100  # one of so many packs is read again
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
    generation: str
    snapshots: Mapping[str, datetime | None]  # that are wanted, with their lock dates
    locked_until: datetime | None  # all other files; None: the copy has no Object Lock
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


def copy_generation(route: Route, *, mend: bool = False) -> Copied:
    """Copy what the copy lacks of a generation.

    Args:
        mend: the copy was found damaged: all that it has is read, and what is wrong saved anew.

    Raises:
        DamageFound: something is not as its name says, at home or in the copy; nothing that needs
            it was copied.
        FileAbsent: the home has lost a file, or removes this generation.
        AccessRefused, StorageFull, StorageUnreachable.
    """
    home = generation_folder(route.home, route.generation)
    copy = generation_folder(route.copy, route.generation)
    indexes = _listed(home, _INDEX)
    packs = _listed(home, _DATA)
    if mend:
        _remove_wrong(copy, route.go_on)
    copied = Copied(locked_until=route.locked_until)
    for name in _listed(route.home, envelope_folder(route.generation)):
        _copy_exactly(route.home, route.copy, name, route, copied)
    _copy(route, home, copy, _listed(home, _KEYS), _KEYS, copied)
    _copy_exactly(home, copy, _CONFIG, route, copied)
    new = _copy(route, home, copy, packs, _DATA, copied)
    _read_again(copy, new, copied, route.go_on)
    _copy(route, home, copy, indexes, _INDEX, copied)
    for snapshot, until in route.snapshots.items():
        _copy_snapshot(home, copy, f"{_SNAPSHOTS}{snapshot}", until, copied)
    return copied


def _listed(storage: Storage, prefix: str) -> dict[str, int]:
    return {info.name: info.size_bytes for info in storage.list(prefix)}


def _copy(
    route: Route,
    home: Storage,
    copy: Storage,
    wanted: Mapping[str, int],
    prefix: str,
    copied: Copied,
) -> list[str]:
    """Copy files below a prefix that the copy lacks; return their names."""
    there = _listed(copy, prefix)
    _require_sizes(copy, wanted, there)
    new = [name for name in wanted if name not in there]
    copied.found += len(wanted) - len(new)

    def one(name: str) -> int:
        route.go_on()
        return _copy_file(home, copy, name, until=route.locked_until)

    _each(new, one, route, copied)
    return new


def _require_sizes(copy: Storage, wanted: Mapping[str, int], there: Mapping[str, int]) -> None:
    for name, size_bytes in wanted.items():
        if there.get(name, size_bytes) != size_bytes:
            raise ReplicaDamaged(
                f"{copy.url}/{name} has {there[name]} bytes, and {size_bytes} at home"
            )


def _each(names: Sequence[str], one: Callable[[str], int], route: Route, copied: Copied) -> None:
    """Copy several files at a time; the first error ends it."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copy") as pool:
        try:
            for size_bytes in pool.map(one, names):
                copied.files += 1
                copied.size_bytes += size_bytes
                route.progress.add(bytes_done=size_bytes)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _copy_file(home: Storage, copy: Storage, name: str, *, until: datetime | None) -> int:
    data = _loaded(home, name)
    with suppress(NameTaken):  # another run, or an answer that was lost: it has these very bytes
        copy.save(name, data, sha256=sha256(data).digest(), locked_until=until)
    return len(data)


def _loaded(storage: Storage, name: str, error: type[DamageFound] = DamageFound) -> bytes:
    """A file whose bytes are as its name says.

    Raises:
        DamageFound: they are not, however often it is read.
        FileAbsent, StorageError.
    """
    for _ in range(_TRIES):
        data = storage.load(name)
        if sha256(data).hexdigest() == name.rpartition("/")[2]:
            return data
    raise error(f"{storage.url}/{name} is not what its name says")


def _copy_exactly(home: Storage, copy: Storage, name: str, route: Route, copied: Copied) -> None:
    """Copy a small file whose name does not tell its bytes, and compare both."""
    data = home.load(name)
    try:
        there = copy.load(name)
    except FileAbsent:
        digest = sha256(data).digest()
        copy.save(name, data, sha256=digest, locked_until=route.locked_until)
        there = copy.load(name)
        copied.files += 1
        copied.size_bytes += len(data)
    if there != data:
        raise ReplicaDamaged(f"{copy.url}/{name} is not as at home")


def _copy_snapshot(
    home: Storage, copy: Storage, name: str, until: datetime | None, copied: Copied
) -> None:
    try:
        copy.stat(name)
    except FileAbsent:
        copied.size_bytes += _copy_file(home, copy, name, until=until)
        copied.files += 1


def _read_again(
    copy: Storage, new: Sequence[str], copied: Copied, go_on: Callable[[], None]
) -> None:
    """See that the store gives back what it was given: of a hundred packs one, of any one."""
    for name in new[::_SAMPLE]:
        go_on()
        _loaded(copy, name, ReplicaDamaged)
        copied.read_again.append(name)


def _remove_wrong(copy: Storage, go_on: Callable[[], None]) -> None:
    """Remove what is not as its name says, so that it is copied anew.

    Raises:
        AccessRefused: no right, or a lock.
    """
    for prefix in (_SNAPSHOTS, _INDEX, _DATA, _KEYS):
        for name in _listed(copy, prefix):
            go_on()
            try:
                _loaded(copy, name)
            except DamageFound:
                log.warning("%s/%s is damaged, and copied anew", copy.url, name)
                copy.delete([name])
