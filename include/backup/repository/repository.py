"""A restic v2 repository on a storage: making it, opening it, reading single things from it.

Names of files are the SHA-256 of what is stored; every file and every blob that is read is
compared with its name. Wrong bytes are read again twice, for a cable may have flipped them; if
they stay wrong, it is damage at rest.

Source: restic design document, "Repository Layout" and "Repository Version 2".
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from include.backup.errors import (
    BlobMismatch,
    ConfigurationInvalid,
    DamageFound,
    FileAbsent,
    KeyUnusable,
    NameTaken,
)
from include.backup.format.compression import decompress
from include.backup.format.config import Config, open_config, seal_config
from include.backup.format.crypto import MasterKey, unseal
from include.backup.format.ids import BlobType, digest, parse_id, short
from include.backup.format.index import decode_index
from include.backup.format.keys import open_key_file, seal_key_file
from include.backup.format.snapshot import Snapshot, decode_snapshot
from include.backup.format.tree import Node, decode_tree
from include.backup.format.unpacked import MAX_DOCUMENT_BYTES
from include.backup.repository.blob_index import BlobIndex, Location
from include.backup.storage.retry import REREADS, reread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.backup.storage.base import Storage

HOSTNAME = "holdfast"  # constant, so that stock `forget` sees one group per dataset
MAX_KEY_FILES = 20  # as many as stock restic tries
_PREFETCH = 4
_CACHED_TREE_PACKS = 2


def data_name(pack_id: bytes) -> str:
    """The name of a pack: ``data/<first two digits>/<id>``."""
    text = pack_id.hex()
    return f"data/{text[:2]}/{text}"


class Repository:
    """One open repository. Reading is safe from several threads."""

    def __init__(self, storage: Storage, key: MasterKey, config: Config) -> None:
        self.storage = storage
        self.key = key
        self.config = config
        self.index = BlobIndex()
        self._tree_packs: OrderedDict[bytes, bytes] = OrderedDict()
        self._tree_packs_lock = threading.Lock()

    @classmethod
    def create(
        cls, storage: Storage, password: str, *, now: datetime, locked_until: datetime | None
    ) -> Repository:
        """Make an empty repository: the key file first, the config last.

        Raises:
            ConfigurationInvalid: there is one already.
            StorageError.
        """
        # A config whose keys are gone is a repository, too: nothing is mixed into it.
        prefixes = ("config", "keys/", "snapshots/")
        if any(True for prefix in prefixes for _ in storage.list(prefix)):
            raise ConfigurationInvalid(f"{storage.url} holds a repository already")
        key = MasterKey.generate()
        config = Config.generate()
        key_file = seal_key_file(key, password, now=now, hostname=HOSTNAME)
        key_id = digest(key_file)
        storage.save(f"keys/{key_id.hex()}", key_file, sha256=key_id, locked_until=locked_until)
        try:
            storage.save("config", seal_config(key, config), locked_until=locked_until)
        except NameTaken:
            raise ConfigurationInvalid(f"{storage.url} holds a repository already") from None
        return cls(storage, key, config)

    @classmethod
    def open(cls, storage: Storage, password: str) -> Repository:
        """Open a repository with its password.

        Raises:
            FileAbsent: there is no repository here.
            KeyUnusable, DamageFound: see `open_key`.
            DamageFound: the config is not what was written.
            StorageError.
        """
        storage.stat("config")
        key = open_key(storage, password)
        # The one file that no name vouches for: its seal says whether it was read rightly.
        config = reread(lambda: open_config(key, storage.load("config")))
        return cls(storage, key, config)

    def load_file(self, kind: str, file_id: bytes) -> bytes:
        """Load ``<kind>/<id>`` and compare it with its name.

        Raises:
            DamageFound: still other bytes after two more reads.
            StorageError.
        """
        return _load_named(self.storage, f"{kind}/{file_id.hex()}")

    def file_ids(self, kind: str) -> list[bytes]:
        """The ids below ``<kind>/``, ascending. Names that are no ids are passed over."""
        ids = []
        for info in self.storage.list(f"{kind}/"):
            try:
                ids.append(parse_id(info.name.rpartition("/")[2], where=info.name))
            except DamageFound:
                continue  # stock restic ignores them as well
        return ids

    def size_of(self, name: str) -> int | None:
        """The bytes of one file, asked for by its name; None: it is gone.

        What a listing does not name is not gone for that: a bit of it may have flipped on the way.

        Raises:
            StorageError.
        """
        try:
            return self.storage.stat(name).size_bytes
        except (FileAbsent, DamageFound):
            return None

    def load_index(self, *, damaged: list[DamageFound] | None = None) -> None:
        """Read all index files into `index`.

        Args:
            damaged: takes what is wrong with some of them, and the others are read all the same.

        Raises:
            DamageFound: an index file is not what was written, and `damaged` is None.
            StorageError.
        """
        ids = self.file_ids("index")
        with ThreadPoolExecutor(_PREFETCH) as pool:
            for start in range(0, len(ids), _PREFETCH):  # a few at a time: they are large
                part = ids[start : start + _PREFETCH]
                loading = [pool.submit(self.load_file, "index", file_id) for file_id in part]
                for file_id, loaded in zip(part, loading, strict=True):
                    try:
                        self._add_index(file_id, loaded.result())
                    except DamageFound as error:
                        if damaged is None:
                            raise
                        damaged.append(error)

    def _add_index(self, file_id: bytes, data: bytes) -> None:
        for pack_id, blobs in decode_index(self.key, data, what=f"index {short(file_id)}"):
            self.index.add_pack(pack_id, blobs)

    def load_snapshot(self, snapshot_id: bytes) -> Snapshot:
        """Open one snapshot file.

        Raises:
            DamageFound, StorageError.
        """
        data = self.load_file("snapshots", snapshot_id)
        return decode_snapshot(self.key, data, what=f"snapshot {short(snapshot_id)}")

    def load_tree(self, tree_id: bytes) -> list[Node]:
        """The nodes of one directory.

        Raises:
            DamageFound, StorageError.
        """
        data = self.load_blob(BlobType.TREE, tree_id)
        return decode_tree(data, what=f"tree {short(tree_id)}")

    def load_blob(self, kind: BlobType, blob_id: bytes) -> bytes:
        """Read one blob, from another copy if one is damaged.

        Raises:
            DamageFound: no pack holds it, or every copy is damaged.
            StorageError.
        """
        failure: DamageFound | FileAbsent | None = None
        for place in self.index.locations(kind, blob_id):
            try:
                return reread(lambda p=place: self._read_copy(kind, blob_id, p))  # type: ignore[misc]
            except (DamageFound, FileAbsent) as error:
                failure = error
        if failure is None:
            raise DamageFound(f"{kind} blob {short(blob_id)} is in no index")
        if isinstance(failure, FileAbsent):
            raise DamageFound(
                f"{kind} blob {short(blob_id)} is in a pack that is gone: {failure.message}"
            ) from failure
        raise failure

    def open_blob(
        self, kind: BlobType, blob_id: bytes, place: Location, sealed: bytes | memoryview
    ) -> bytes:
        """Unseal, decompress and compare one blob whose stored bytes are at hand.

        Raises:
            DamageFound: the message names the blob and its pack.
        """
        what = f"{kind} blob {short(blob_id)} in pack {short(place.pack)}"
        plaintext = unseal(self.key, sealed, what=what)
        if place.size:
            plaintext = decompress(plaintext, size=place.size, what=what)
        if digest(plaintext) != blob_id:
            raise BlobMismatch(f"{what} does not match its name")
        return plaintext

    def _read_copy(self, kind: BlobType, blob_id: bytes, place: Location) -> bytes:
        if kind is BlobType.TREE:
            pack = self._tree_pack(place)
            sealed: bytes | memoryview = memoryview(pack)[
                place.offset : place.offset + place.length
            ]
            try:
                return self.open_blob(kind, blob_id, place, sealed)
            except DamageFound:
                with self._tree_packs_lock:  # the next read asks the storage again
                    self._tree_packs.pop(place.pack, None)
                raise
        sealed = self.storage.load(data_name(place.pack), offset=place.offset, length=place.length)
        return self.open_blob(kind, blob_id, place, sealed)

    def _tree_pack(self, place: Location) -> bytes:
        """A whole pack of trees: who reads one tree of it soon reads its neighbours."""
        with self._tree_packs_lock:
            if (pack := self._tree_packs.get(place.pack)) is not None:
                self._tree_packs.move_to_end(place.pack)
                return pack
        pack = self.storage.load(data_name(place.pack))
        with self._tree_packs_lock:
            self._tree_packs[place.pack] = pack
            while len(self._tree_packs) > _CACHED_TREE_PACKS:
                self._tree_packs.popitem(last=False)
        return pack

    def snapshots(self) -> Iterator[tuple[bytes, Snapshot]]:
        """Every snapshot with its id, in no particular order of time.

        Raises:
            DamageFound, StorageError.
        """
        for snapshot_id in self.file_ids("snapshots"):
            yield snapshot_id, self.load_snapshot(snapshot_id)


def open_key(storage: Storage, password: str) -> MasterKey:
    """The master key of a repository, from the key file that its password opens.

    Raises:
        KeyUnusable: the password opens none of the first 20 key files.
        DamageFound: no key file is left, or one that may be ours is not what was written.
        StorageError.
    """
    names = [info.name for info in storage.list("keys/")]
    tried = names[:MAX_KEY_FILES]
    if not tried:
        raise DamageFound(
            f"no key file is left in {storage.url}",
            hint="without one nobody can read it; another copy of the vault may have it",
        )
    damaged: DamageFound | None = None
    for name in tried:
        try:
            return open_key_file(
                _load_named(storage, name), password, what=f"key file {name[5:13]}"
            )
        except KeyUnusable:
            continue
        except DamageFound as error:
            damaged = error
    if damaged is not None:
        raise damaged
    raise KeyUnusable(
        f"the password opens none of {len(tried)} key files of {storage.url}"
        + (f", which has {len(names)}" if len(names) > len(tried) else ""),
        hint="is this the envelope of this generation, and the right master key?",
    )


def _load_named(storage: Storage, name: str) -> bytes:
    """Load a file that is named by its hash, reading again twice if it differs."""
    wanted = name.rpartition("/")[2]
    if (size := storage.stat(name).size_bytes) > MAX_DOCUMENT_BYTES:
        raise DamageFound(f"{name} in {storage.url} has {size} bytes, and cannot be what it is")
    for _ in range(REREADS + 1):
        data = storage.load(name)
        if digest(data).hex() == wanted:
            return data
    raise DamageFound(
        f"{name[: name.index('/') + 9]} in {storage.url} does not match its name",
        hint="run check on this dataset",
    )
