"""Pack files: many sealed blobs followed by a sealed header.

    pack    = blob* header length
    length  = uint32, little-endian: bytes in the sealed header
    header  = seal(entry*)             # entries in the order the blobs lie
    entry   = type length id           # plain:  0 data, 1 tree;  37 bytes
            | type length size id      # zstd:   2 data, 3 tree;  41 bytes

A pack is read from its end. Lengths are those of the *sealed* blobs, so offsets follow by
adding; the header holds none. Data and tree blobs never share a pack. This module turns bytes
into entries and back. It reads no files and keeps no keys.

Source: restic design document, "Pack Format" and "Repository Version 2".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from include.backup.errors import DamageFound
from include.backup.format.crypto import OVERHEAD, MasterKey, seal, unseal
from include.backup.format.ids import ID_SIZE, BlobType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TARGET_BYTES = 16 << 20
MAX_HEADER_BYTES = 16 << 20
LENGTH_SIZE = 4
ENTRY_SIZE = 41  # the larger of the two kinds
FRAME_BYTES = OVERHEAD + LENGTH_SIZE  # of a pack, beside its blobs and their entries
_PLAIN = struct.Struct("<BI32s")
_ZSTD = struct.Struct("<BII32s")
_TYPES = {BlobType.DATA: 0, BlobType.TREE: 1}
_TYPE_OF = {0: BlobType.DATA, 1: BlobType.TREE, 2: BlobType.DATA, 3: BlobType.TREE}
_FIRST_ZSTD = 2


class PackedBlob(NamedTuple):
    """One blob of a pack."""

    type: BlobType
    id: bytes  # 32 bytes, SHA-256 of the plaintext
    offset: int  # bytes from the beginning of the pack
    length: int  # sealed bytes
    size: int  # plaintext bytes of a compressed blob; 0 when it is stored plain

    @property
    def plaintext_bytes(self) -> int:
        """Bytes of the blob itself."""
        return self.size or self.length - OVERHEAD


def entries_bytes(lengths_and_sizes: Iterable[tuple[int, int]]) -> int:
    """Bytes that blobs take in a pack with their entries, from the length and size of each."""
    return sum(length + (ENTRY_SIZE if size else _PLAIN.size) for length, size in lengths_and_sizes)


def encode_trailer(key: MasterKey, blobs: Sequence[PackedBlob]) -> bytes:
    """The sealed header and its length: what follows the blobs."""
    header = b"".join([
        _ZSTD.pack(_TYPES[blob.type] + _FIRST_ZSTD, blob.length, blob.size, blob.id)
        if blob.size
        else _PLAIN.pack(_TYPES[blob.type], blob.length, blob.id)
        for blob in blobs
    ])
    sealed = seal(key, header)
    return sealed + len(sealed).to_bytes(LENGTH_SIZE, "little")


def trailer_bytes(tail: bytes | memoryview, pack_bytes: int, *, what: str) -> int:
    """How many bytes the header and its length take, from the last four bytes of a pack.

    Raises:
        DamageFound: the length cannot be.
    """
    length = int.from_bytes(tail[-LENGTH_SIZE:], "little")
    if not OVERHEAD < length <= min(MAX_HEADER_BYTES + OVERHEAD, pack_bytes - LENGTH_SIZE):
        raise DamageFound(f"{what} claims a header of {length} bytes")
    return length + LENGTH_SIZE


def decode_trailer(
    key: MasterKey, trailer: bytes | memoryview, pack_bytes: int, *, what: str
) -> list[PackedBlob]:
    """The blobs of a pack, from its sealed header and length.

    Args:
        trailer: exactly the bytes that `trailer_bytes` told.
        pack_bytes: size of the whole file, which the entries must add up to.

    Raises:
        SealBroken, DamageFound: the message names `what`.
    """
    header = unseal(key, trailer[:-LENGTH_SIZE], what=f"the header of {what}")
    blobs: list[PackedBlob] = []
    position = offset = 0
    while position < len(header):
        kind = header[position]
        shape = _ZSTD if kind >= _FIRST_ZSTD else _PLAIN
        if kind not in _TYPE_OF or position + shape.size > len(header):
            raise DamageFound(f"the header of {what} is malformed at byte {position}")
        fields = shape.unpack_from(header, position)
        length, blob_id = fields[1], fields[-1]
        size = fields[2] if kind >= _FIRST_ZSTD else 0
        if length < OVERHEAD:
            raise DamageFound(f"{what} holds a blob of {length} bytes, less than its seal")
        blobs.append(PackedBlob(_TYPE_OF[kind], blob_id, offset, length, size))
        offset += length
        position += shape.size
    if offset + len(trailer) != pack_bytes:
        raise DamageFound(f"{what} is {pack_bytes} bytes, its header says {offset + len(trailer)}")
    return blobs


assert _PLAIN.size == ENTRY_SIZE - 4 == 1 + 4 + ID_SIZE
