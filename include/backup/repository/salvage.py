"""Reading from a repository of which something is damaged: what can still be known is used.

    config   only writing needs it: it seeds the chunker
    index    each pack says itself, in its sealed header, what it holds

Nothing is written here. What had to be made up for is told, so that the record of a restore holds
it. Key files and trees have no second place to be read from.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.backup.errors import DamageFound, FileAbsent
from include.backup.format.config import Config
from include.backup.repository.check import pack_sizes, read_header
from include.backup.repository.repository import Repository, open_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.backup.format.pack import PackedBlob
    from include.backup.storage.base import Storage

log = logging.getLogger(__name__)


def open_for_reading(storage: Storage, password: str) -> tuple[Repository, list[str]]:
    """Open a repository with all that its packs hold, whatever became of config and indexes.

    Returns:
        The repository, its index loaded, and one text for each thing that was made up for.

    Raises:
        KeyUnusable: the password opens none of the key files.
        DamageFound: there are none that are whole.
        StorageError.
    """
    told: list[str] = []
    try:
        repository = Repository.open(storage, password)
    except (FileAbsent, DamageFound) as error:
        key = open_key(storage, password)
        repository = Repository(storage, key, Config.generate())
        told.append(f"{error.message}; reading does not need it")
    return repository, told + load_whole_index(repository)


def load_whole_index(repository: Repository) -> list[str]:
    """Load the index, and from their own headers the packs that it does not name.

    Returns:
        One text for each index file that is damaged.

    Raises:
        StorageError.
    """
    damaged: list[DamageFound] = []
    repository.load_index(damaged=damaged)
    for pack_id, blobs in unindexed_packs(repository, pack_sizes(repository)):
        repository.index.add_pack(pack_id, blobs)
    return [error.message for error in damaged]


def unindexed_packs(
    repository: Repository, sizes: Mapping[bytes, int]
) -> Iterator[tuple[bytes, list[PackedBlob]]]:
    """Every stored pack that the loaded index does not name, with its blobs.

    One whose header cannot be read is told in the log and passed over.

    Args:
        sizes: as `pack_sizes` told.
    """
    for pack_id, size in sizes.items():
        if repository.index.has_pack(pack_id):
            continue
        try:
            yield pack_id, read_header(repository, pack_id, size)
        except DamageFound as error:
            log.warning("%s; it is left alone, nothing refers to it", error.message)
