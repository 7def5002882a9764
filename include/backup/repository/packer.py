"""A pack that is being filled: compress, seal and lay down blob after blob.

Every sealed blob is opened again and compared before it counts: a memory fault between reading
and sealing must not reach the vault, where nobody would look at it until a disaster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from include.backup.errors import DamageFound
from include.backup.format.compression import compress, decompress
from include.backup.format.crypto import OVERHEAD, SLACK, MasterKey, seal_into, seal_many, unseal
from include.backup.format.ids import BlobType, digest, short
from include.backup.format.pack import ENTRY_SIZE, TARGET_BYTES, PackedBlob, encode_trailer

if TYPE_CHECKING:
    from collections.abc import Sequence

# A blob is at most one chunk or one tree; larger trees get a buffer of their own.
BUFFER_BYTES = TARGET_BYTES + (5 << 20)
_TRAILER_OVERHEAD = OVERHEAD + 4
# Restic bounds a header by 16 MiB; ours stay far below, and so does the memory of the entries.
MAX_BLOBS = 100_000


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
        entries = (len(self.blobs) + count) * ENTRY_SIZE + _TRAILER_OVERHEAD
        needed = self.size_bytes + plaintext_bytes + count * OVERHEAD + SLACK + entries
        return needed <= len(self._buffer)

    def add(self, blob_id: bytes, plaintext: bytes | memoryview) -> int:
        """Lay down one blob; return the bytes it takes.

        Raises:
            DamageFound: what was sealed does not open to what was given: a memory fault.
        """
        payload, size = self._payload(plaintext)
        length = seal_into(self._key, payload, self._view[self.size_bytes :])
        self._compare(blob_id, self.size_bytes, length, size)
        self.blobs.append(PackedBlob(self.kind, blob_id, self.size_bytes, length, size))
        self.size_bytes += length
        return length

    def add_many(self, blobs: Sequence[tuple[bytes, bytes]]) -> int:
        """Lay down many small blobs (id, plaintext) at once; return the bytes they take.

        Raises:
            DamageFound: as `add`.
        """
        payloads = [self._payload(plaintext) for _, plaintext in blobs]
        before = self.size_bytes
        sealed_blobs = seal_many(self._key, [bytes(payload) for payload, _ in payloads])
        for (blob_id, _), (_, size), sealed in zip(blobs, payloads, sealed_blobs, strict=True):
            self._lay(PackedBlob(self.kind, blob_id, self.size_bytes, len(sealed), size), sealed)
        return self.size_bytes - before

    def pour_into(self, other: PackBuilder) -> bool:
        """Move all blobs into another open pack, if they fit there."""
        if not other.has_room(self.size_bytes, len(self.blobs)):
            return False
        for blob in self.blobs:
            sealed = self._view[blob.offset : blob.offset + blob.length]
            other._lay(blob._replace(offset=other.size_bytes), sealed)
        return True

    def finish(self) -> FinishedPack:
        """Add the trailer; nothing may be laid down any more."""
        trailer = encode_trailer(self._key, self.blobs)
        end = self.size_bytes + len(trailer)
        self._view[self.size_bytes : end] = trailer
        return FinishedPack(self._view[:end], self.blobs, self._buffer)

    def _lay(self, blob: PackedBlob, sealed: bytes | memoryview) -> None:
        end = self.size_bytes + len(sealed)
        self._view[self.size_bytes : end] = sealed
        self.blobs.append(blob)
        self.size_bytes = end

    def _payload(self, plaintext: bytes | memoryview) -> tuple[bytes | memoryview, int]:
        """What is sealed, and the size to state for it: a frame, or the blob if that is smaller.

        Trees are always compressed: stock `prune` rewrites the packs of those that are not.
        """
        frame = compress(plaintext)
        if len(frame) < len(plaintext) or self.kind is BlobType.TREE:
            return frame, len(plaintext)
        return plaintext, 0

    def _compare(self, blob_id: bytes, offset: int, length: int, size: int) -> None:
        opened = unseal(self._key, self._view[offset : offset + length])
        plaintext = decompress(opened, size=size) if size else opened
        if digest(plaintext) != blob_id:
            raise DamageFound(
                f"{self.kind} blob {short(blob_id)} changed in memory while it was sealed",
                hint="test the memory of this machine",
            )
