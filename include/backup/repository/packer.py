"""A pack that is being filled: compress, seal and lay down blob after blob.

Every sealed blob is opened again and compared before it counts: a memory fault between reading
and sealing must not reach the vault, where nobody would look at it until a disaster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from include.backup.errors import BlobMismatch, DamageFound
from include.backup.format.compression import compress, decompress
from include.backup.format.crypto import (
    OVERHEAD,
    SLACK,
    MasterKey,
    seal_into,
    seal_many,
    unseal,
    unseal_many,
)
from include.backup.format.ids import BlobType, digest, short
from include.backup.format.pack import ENTRY_SIZE, TARGET_BYTES, PackedBlob, encode_trailer

if TYPE_CHECKING:
    from collections.abc import Sequence

# A blob is at most one chunk or one tree; larger trees get a buffer of their own.
BUFFER_BYTES = TARGET_BYTES + (5 << 20)
_TRAILER_OVERHEAD = OVERHEAD + 4
# Restic bounds a header by 16 MiB; ours stay far below, and so does the memory of the entries.
MAX_BLOBS = 100_000
# How much longer than its content a frame can be: a tree is compressed even if that does not help.
_FRAME_BYTES = 32
_FRAME_GROWTH = 1 << 12  # one byte for so many; zstd adds three for each block of 128 KiB


def room_for(plaintext_bytes: int, count: int) -> int:
    """Bytes of a pack that surely hold `count` blobs of together `plaintext_bytes`, and no more."""
    each = _FRAME_BYTES + OVERHEAD + ENTRY_SIZE
    growth = plaintext_bytes // _FRAME_GROWTH
    return plaintext_bytes + growth + count * each + SLACK + _TRAILER_OVERHEAD


class FinishedPack(NamedTuple):
    """A pack whose bytes are final."""

    data: memoryview
    blobs: list[PackedBlob]
    buffer: bytearray


class PackBuilder:
    """One open pack. Belongs to one thread."""

    def __init__(self, key: MasterKey, kind: BlobType, buffer: bytearray) -> None:
        self._key = key
        self.kind = kind
        self._buffer = buffer
        self._view = memoryview(buffer)
        self.blobs: list[PackedBlob] = []
        self.size_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to finish this pack."""
        return self.size_bytes >= TARGET_BYTES or len(self.blobs) >= MAX_BLOBS

    def has_room(self, plaintext_bytes: int, count: int = 1) -> bool:
        """Whether `count` blobs of together `plaintext_bytes` are sure to fit."""
        entries = len(self.blobs) * ENTRY_SIZE
        return self.size_bytes + room_for(plaintext_bytes, count) + entries <= len(self._buffer)

    def add(self, blob_id: bytes, plaintext: bytes | memoryview) -> int:
        """Lay down one blob; return the bytes it takes.

        Raises:
            DamageFound: what was sealed does not open to what was given: a memory fault.
        """
        payload, size = self._payload(plaintext)
        length = seal_into(self._key, payload, self._view[self.size_bytes :])
        blob = PackedBlob(self.kind, blob_id, self.size_bytes, length, size)
        self._open_again([blob])
        self.blobs.append(blob)
        self.size_bytes += length
        return length

    def add_many(self, blobs: Sequence[tuple[bytes, bytes]]) -> int:
        """Lay down many small blobs (id, plaintext) at once; return the bytes they take.

        Raises:
            DamageFound: as `add`.
        """
        payloads = [self._payload(plaintext) for _, plaintext in blobs]
        sealed_blobs = seal_many(self._key, [bytes(payload) for payload, _ in payloads])
        laid: list[PackedBlob] = []
        end = self.size_bytes
        for (blob_id, _), (_, size), sealed in zip(blobs, payloads, sealed_blobs, strict=True):
            laid.append(PackedBlob(self.kind, blob_id, end, len(sealed), size))
            self._view[end : end + len(sealed)] = sealed
            end += len(sealed)
        self._open_again(laid)
        stored = end - self.size_bytes
        self.blobs += laid
        self.size_bytes = end
        return stored

    def pour_into(self, other: PackBuilder) -> bool:
        """Move all blobs into another open pack, if they fit there."""
        if not other.has_room(self.size_bytes, len(self.blobs)):
            return False
        for blob in self.blobs:
            end = other.size_bytes + blob.length
            other._view[other.size_bytes : end] = self._sealed(blob)
            other.blobs.append(blob._replace(offset=other.size_bytes))
            other.size_bytes = end
        return True

    def finish(self) -> FinishedPack:
        """Add the trailer; nothing may be laid down any more."""
        trailer = encode_trailer(self._key, self.blobs)
        end = self.size_bytes + len(trailer)
        self._view[self.size_bytes : end] = trailer
        return FinishedPack(self._view[:end], self.blobs, self._buffer)

    def _payload(self, plaintext: bytes | memoryview) -> tuple[bytes | memoryview, int]:
        """What is sealed, and the size to state for it: a frame, or the blob if that is smaller.

        Trees are always compressed: stock `prune` rewrites the packs of those that are not.
        """
        frame = compress(plaintext)
        if len(frame) < len(plaintext) or (self.kind is BlobType.TREE and len(plaintext)):
            return frame, len(plaintext)  # a stated size of 0 would mean "not compressed"
        return plaintext, 0

    def _sealed(self, blob: PackedBlob) -> memoryview:
        return self._view[blob.offset : blob.offset + blob.length]

    def _open_again(self, blobs: Sequence[PackedBlob]) -> None:
        """Make sure that what was laid down opens to what hashes to the given ids."""
        sealed = [*map(self._sealed, blobs)]
        try:
            payloads = (
                unseal_many(self._key, sealed)
                if len(blobs) > 1
                else [unseal(self._key, each) for each in sealed]
            )
            for blob, payload in zip(blobs, payloads, strict=True):
                plaintext = decompress(payload, size=blob.size) if blob.size else payload
                if digest(plaintext) != blob.id:
                    raise BlobMismatch(f"blob {short(blob.id)} opens to something else")
        except DamageFound as error:
            raise DamageFound(
                f"a {self.kind} blob changed in memory while it was sealed: {error.message}",
                hint="test the memory of this machine",
            ) from error
