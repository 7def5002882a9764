"""Bytes that were restored, compared with the blocks of a recovery point, which are named by hash.

One pass, one hash: nothing of the recovery point has to be read again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from include.backup.format.ids import BlobType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.repository.repository import Repository


def first_difference(
    repository: Repository,
    content: Sequence[bytes],
    readinto: Callable[[memoryview], int],
    *,
    progress: Callable[[int], None],
) -> int | None:
    """Where bytes begin to differ from a content; None: they are the same, to the end.

    Args:
        repository: its index is loaded.
        content: ids of data blobs.
        readinto: fills the beginning of a buffer; 0 at the end.
        progress: told how many bytes were the same.

    Returns:
        The offset of the block that differs, or that is not there; the length of the content if
        there is more.
    """
    offset = 0
    room = memoryview(bytearray())  # one for all of them: new memory costs more than its hash
    for blob_id in content:
        places = repository.index.locations(BlobType.DATA, blob_id)
        size = places[0].plaintext_bytes if places else 0
        if size > len(room):
            room = memoryview(bytearray(size))
        buffer = room[:size]
        if _fill(buffer, readinto) < size or sha256(buffer).digest() != blob_id:
            return offset
        offset += size
        progress(size)
    return offset if readinto(memoryview(bytearray(1))) else None


def _fill(buffer: memoryview, readinto: Callable[[memoryview], int]) -> int:
    filled = 0
    while filled < len(buffer) and (count := readinto(buffer[filled:])):
        filled += count
    return filled
