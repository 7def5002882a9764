"""Trailers of packs: sizes that do not add up, entries that cannot be."""

from __future__ import annotations

import pytest

from include.backup.errors import DamageFound
from include.backup.format.crypto import OVERHEAD, MasterKey, seal
from include.backup.format.ids import BlobType
from include.backup.format.pack import (
    MAX_HEADER_BYTES,
    PackedBlob,
    decode_trailer,
    encode_trailer,
    trailer_bytes,
)

KEY = MasterKey.generate()
BLOB = PackedBlob(BlobType.DATA, bytes(32), 0, 500, 0)


def sealed_header(header: bytes) -> bytes:
    sealed = seal(KEY, header)
    return sealed + len(sealed).to_bytes(4, "little")


@pytest.mark.parametrize(
    "length", [0, OVERHEAD, MAX_HEADER_BYTES + OVERHEAD + 1, 997, (1 << 32) - 1]
)
def test_impossible_header_lengths_are_refused(length: int) -> None:
    """An empty header, one beyond restic's limit, and one longer than the pack."""
    pack_bytes = 1000 if length < 1000 else 1 << 33
    with pytest.raises(DamageFound, match=f"claims a header of {length} bytes"):
        trailer_bytes(length.to_bytes(4, "little"), pack_bytes, what="pack")


@pytest.mark.parametrize("header", [b"\x04" * 37, b"\x00" * 36, b"\x02" * 40, b"\xff" * 41])
def test_malformed_entries_are_refused(header: bytes) -> None:
    """Unknown types, and entries that are cut."""
    trailer = sealed_header(header)
    with pytest.raises(DamageFound, match="malformed at byte 0"):
        decode_trailer(KEY, trailer, 1000, what="pack")


def test_a_blob_is_never_shorter_than_its_seal() -> None:
    """Such an entry would let the next ones overlap."""
    trailer = encode_trailer(KEY, [BLOB._replace(length=OVERHEAD - 1)])
    with pytest.raises(DamageFound, match="less than its seal"):
        decode_trailer(KEY, trailer, OVERHEAD - 1 + len(trailer), what="pack")


@pytest.mark.parametrize("difference", [-1, 1, 1000])
def test_the_size_of_the_file_must_be_what_the_entries_add_up_to(difference: int) -> None:
    """A pack that was cut, or has bytes that nothing names, is damaged."""
    trailer = encode_trailer(KEY, [BLOB])
    size = BLOB.length + len(trailer)
    assert decode_trailer(KEY, trailer, size, what="pack") == [BLOB]
    with pytest.raises(DamageFound, match=f"is {size + difference} bytes, its header says {size}"):
        decode_trailer(KEY, trailer, size + difference, what="pack")
