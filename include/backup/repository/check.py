"""Checking a repository: is everything there, does it fit together, and are the bytes right?

    structure     packs named by the index exist with the right size; every tree and every blob of
                  the given snapshots is in the index
    read_data     every pack hashes to its name, its header says what the index says, and every
                  blob opens and hashes to its id

A check collects damages instead of stopping at the first: whoever repairs wants to see all.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.errors import DamageFound, FileAbsent
from include.backup.format.crypto import OVERHEAD
from include.backup.format.ids import BlobType, digest, parse_id, short
from include.backup.format.pack import (
    FRAME_BYTES,
    LENGTH_SIZE,
    PackedBlob,
    decode_trailer,
    entries_bytes,
    trailer_bytes,
)
from include.backup.repository.repository import Repository, data_name
from include.backup.storage.retry import reread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from include.backup.repository.blob_index import Location
    from include.backup.repository.progress import Progress

_READERS: Final = 3
_LONGEST_PLACE: Final = 8192  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is not as it was written."""

    what: str  # as errors say it: what, where

    def __str__(self) -> str:
        return self.what


def pack_sizes(repository: Repository) -> dict[bytes, int]:
    """The packs that the storage holds, with their sizes in bytes."""
    sizes = {}
    for info in repository.storage.list("data/"):
        try:
            sizes[parse_id(info.name.rpartition("/")[2], where=info.name)] = info.size_bytes
        except DamageFound:
            continue  # no pack; stock restic ignores it as well
    return sizes


def check_packs(repository: Repository, sizes: Mapping[bytes, int]) -> list[Damage]:
    """Compare the packs of the loaded index with those of the storage, as `pack_sizes` told."""
    damages = []
    for pack_id, wanted in repository.index.pack_bytes():
        if sizes.get(pack_id) == wanted:
            continue
        found = repository.size_of(data_name(pack_id))
        if found is None:
            damages.append(Damage(what=f"pack {short(pack_id)} is gone"))
        elif found != wanted:
            told = f"pack {short(pack_id)} has {found} bytes, the index says {wanted}"
            damages.append(Damage(what=told))
    return damages


def check_trees(
    repository: Repository, roots: Iterable[tuple[str, bytes]], *, seen: set[bytes] | None = None
) -> Iterator[Damage]:
    """Walk all trees below the roots; every blob they name must be in the index.

    Args:
        roots: what each root is, as in "snapshot 1f3c", and its tree.
        seen: trees that are known to be whole; those found whole are added.
    """
    seen = set() if seen is None else seen
    waiting = list(roots)
    while waiting:
        what, tree_id = waiting.pop()
        if tree_id in seen:
            continue
        seen.add(tree_id)
        try:
            nodes = repository.load_tree(tree_id)
        except DamageFound as error:
            yield Damage(what=f"{what}: {error.message}")
            continue
        for node in nodes:
            name = node.name.decode("utf-8", "backslashreplace")
            for blob_id in node.content or ():
                if not repository.index.holds(BlobType.DATA, blob_id):
                    yield Damage(what=f"{what}: {name}: data blob {short(blob_id)} is in no index")
                    break
            if node.subtree is not None:
                waiting.append((_place(what, name), node.subtree))


def _place(above: str, name: str) -> str:
    """Where a tree is, for people: of a long way the end, or the work grows with its square."""
    place = f"{above}/{name}"
    return place if len(place) <= _LONGEST_PLACE else f"...{place[-_LONGEST_PLACE:]}"


def check_data(
    repository: Repository,
    *,
    progress: Progress,
    wanted: Callable[[bytes], bool] = lambda _: True,
) -> list[Damage]:
    """Read every pack that the index names, and every blob in it.

    Args:
        wanted: which packs, by their ids.
    """
    packs = {pack: blobs for pack, blobs in repository.index.by_pack().items() if wanted(pack)}
    progress.entries_total += len(packs)
    sizes = repository.index.pack_bytes()
    progress.bytes_total += sum(size for pack, size in sizes if pack in packs)

    def read(item: tuple[bytes, Sequence[tuple[BlobType, bytes, Location]]]) -> list[Damage]:
        pack_id, blobs = item
        damages = check_pack(repository, pack_id, blobs)
        size = entries_bytes((place.length, place.size) for _, _, place in blobs)
        progress.add(entries=1, bytes_done=size + FRAME_BYTES)
        return damages

    with ThreadPoolExecutor(_READERS, thread_name_prefix="check") as pool:
        return [damage for damages in pool.map(read, packs.items()) for damage in damages]


def check_pack(
    repository: Repository,
    pack_id: bytes,
    blobs: Sequence[tuple[BlobType, bytes, Location]],
) -> list[Damage]:
    """Read one pack and every blob that the index finds in it."""
    what = f"pack {short(pack_id)}"
    try:
        data = load_pack(repository, pack_id)
    except DamageFound as error:
        # Which blobs of it are still good is what whoever repairs wants to know.
        damages = [Damage(what=error.message)]
        data = repository.storage.load(data_name(pack_id))
    except FileAbsent:
        return [Damage(what=f"{what} is gone")]
    else:
        damages = _check_header(repository, what, data, blobs)
    view = memoryview(data)
    for kind, blob_id, place in blobs:
        try:
            sealed = view[place.offset : place.offset + place.length]
            repository.open_blob(kind, blob_id, place, sealed)
        except DamageFound as error:
            damages.append(Damage(what=error.message))
    return damages


def load_pack(repository: Repository, pack_id: bytes) -> bytes:
    """Load a whole pack and compare it with its name, three times if need be.

    Raises:
        DamageFound: it is not what was written.
        StorageError.
    """

    def read() -> bytes:
        data = repository.storage.load(data_name(pack_id))
        if digest(data) != pack_id:
            raise DamageFound(f"pack {short(pack_id)} does not match its name")
        return data

    return reread(read)


def read_header(repository: Repository, pack_id: bytes, pack_bytes: int) -> list[PackedBlob]:
    """The blobs of a pack, from its own header: two short reads from its end.

    Raises:
        SealBroken, DamageFound: it is no pack of this repository, or was cut.
    """
    what = f"pack {short(pack_id)}"
    name = data_name(pack_id)
    if pack_bytes <= LENGTH_SIZE + OVERHEAD:
        raise DamageFound(f"{what} has only {pack_bytes} bytes")
    tail = repository.storage.load(name, offset=pack_bytes - LENGTH_SIZE, length=LENGTH_SIZE)
    length = trailer_bytes(tail, pack_bytes, what=what)
    trailer = repository.storage.load(name, offset=pack_bytes - length, length=length)
    return decode_trailer(repository.key, trailer, pack_bytes, what=what)


def _check_header(
    repository: Repository,
    what: str,
    data: bytes,
    blobs: Sequence[tuple[BlobType, bytes, Location]],
) -> list[Damage]:
    try:
        length = trailer_bytes(data[-LENGTH_SIZE:], len(data), what=what)
        found = decode_trailer(repository.key, data[-length:], len(data), what=what)
    except DamageFound as error:
        return [Damage(what=error.message)]
    in_pack = {(blob.type, blob.id, blob.offset, blob.length, blob.size) for blob in found}
    in_index = {(kind, blob_id, *place[1:]) for kind, blob_id, place in blobs}
    if in_pack != in_index:
        return [Damage(what=f"the header of {what} and the index differ")]
    return []
