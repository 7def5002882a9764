"""Index files: which pack holds which blob, and where.

    index = seal(0x02 zstd(JSON {packs: [{id, blobs: [{id, type, offset, length,
                                          uncompressed_length?}]}]}))

A pack's blobs stand together in one entry. Several index files are read as one.

Source: restic design document, "Indexing".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.errors import DamageFound
from include.backup.format.crypto import OVERHEAD
from include.backup.format.ids import ID_SIZE, BlobType, parse_id
from include.backup.format.pack import PackedBlob
from include.backup.format.unpacked import MALFORMED, seal_document, unseal_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.backup.format.crypto import MasterKey

FULL_BLOBS = 50_000  # where restic closes an index file, and so do we
_MAX_LENGTH = (1 << 32) - 1


def encode_index(key: MasterKey, packs: Iterable[tuple[bytes, list[PackedBlob]]]) -> bytes:
    """Make one index file for some packs."""
    entries = ",".join(
        f'{{"id":"{pack_id.hex()}","blobs":[{",".join(map(_encode_blob, blobs))}]}}'
        for pack_id, blobs in packs
    )
    return seal_document(key, f'{{"packs":[{entries}]}}'.encode())


def decode_index(
    key: MasterKey, data: bytes, *, what: str
) -> Iterator[tuple[bytes, list[PackedBlob]]]:
    """The packs of one index file with their blobs.

    Raises:
        SealBroken, DamageFound: the message names `what`.
    """
    document = unseal_document(key, data, what=what)
    try:
        for pack in document["packs"]:
            blobs = [
                PackedBlob(
                    BlobType(blob["type"]),
                    bytes.fromhex(blob["id"]),
                    blob["offset"],
                    blob["length"],
                    blob.get("uncompressed_length", 0),
                )
                for blob in pack["blobs"]
            ]
            _require_sane(blobs, what=what)
            yield parse_id(pack["id"], where=what), blobs
    except MALFORMED as error:
        raise DamageFound(f"{what} is not an index: {error!r}") from error


def _require_sane(blobs: list[PackedBlob], *, what: str) -> None:
    """Refuse entries that no pack can have: they would shift every other in a BlobIndex."""
    for blob in blobs:
        _, blob_id, offset, length, size = blob
        if (
            len(blob_id) != ID_SIZE
            or not type(offset) is type(length) is type(size) is int
            or not 0 <= offset <= _MAX_LENGTH
            or not OVERHEAD <= length <= _MAX_LENGTH
            or not 0 <= size <= _MAX_LENGTH
        ):
            raise DamageFound(f"{what} lists a blob that cannot be: {str(blob)[:200]}")


def _encode_blob(blob: PackedBlob) -> str:
    size = f',"uncompressed_length":{blob.size}' if blob.size else ""
    return (
        f'{{"id":"{blob.id.hex()}","type":"{blob.type}","offset":{blob.offset},'
        f'"length":{blob.length}{size}}}'
    )
