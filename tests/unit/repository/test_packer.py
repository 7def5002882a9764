"""Packs that are being filled: what fits, what is compared, what is compressed."""

from __future__ import annotations

from random import Random

import pytest

from include.backup.errors import DamageFound
from include.backup.format.crypto import MasterKey, unseal
from include.backup.format.ids import BlobType, digest
from include.backup.format.pack import LENGTH_SIZE, decode_trailer, trailer_bytes
from include.backup.repository import packer
from include.backup.repository.packer import MAX_BLOBS, PackBuilder, room_for

KEY = MasterKey.generate()
TEXT = b"a line of text, and again " * 40
NOISE = Random(1).randbytes(1000)


def builder(kind: BlobType = BlobType.DATA, size_bytes: int = 1 << 20) -> PackBuilder:
    return PackBuilder(KEY, kind, bytearray(size_bytes))


def named(*blobs: bytes) -> list[tuple[bytes, bytes]]:
    return [(digest(blob), blob) for blob in blobs]


def test_a_finished_pack_tells_its_blobs() -> None:
    """Read from its end, a pack names what was laid down, one by one and many at once."""
    pack = builder()
    pack.add(digest(TEXT), TEXT)
    pack.add_many(named(b"", NOISE, TEXT + b"."))
    finished = pack.finish()
    length = trailer_bytes(finished.data[-LENGTH_SIZE:], len(finished.data), what="pack")
    blobs = decode_trailer(KEY, finished.data[-length:], len(finished.data), what="pack")
    assert blobs == finished.blobs
    assert [blob.id for blob in blobs] == [digest(b) for b in (TEXT, b"", NOISE, TEXT + b".")]
    assert [blob.size for blob in blobs] == [len(TEXT), 0, 0, len(TEXT) + 1]
    assert sum(blob.length for blob in blobs) == pack.size_bytes


def test_only_what_shrinks_is_compressed_except_trees() -> None:
    """Stock prune rewrites packs of plain trees, so trees are always frames; nothing is plain."""
    data, trees = builder(), builder(BlobType.TREE)
    for pack in (data, trees):
        for blob in (NOISE, TEXT, b""):
            pack.add(digest(blob), blob)
    assert [blob.size for blob in data.blobs] == [0, len(TEXT), 0]
    assert [blob.size for blob in trees.blobs] == [len(NOISE), len(TEXT), 0]


@pytest.mark.parametrize("blob", [NOISE, TEXT, b""])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_blob_that_changed_after_it_was_hashed_is_found(blob: bytes, count: int) -> None:
    """What was sealed is opened again and must hash to the id: alone and among many."""
    wrong = (digest(blob), blob + b"!")
    pack = builder()
    many = [*named(*(bytes([number]) for number in range(count - 1))), wrong]
    with pytest.raises(DamageFound, match="changed in memory while it was sealed"):
        pack.add_many(many)
    assert not pack.blobs
    assert not pack.size_bytes
    with pytest.raises(DamageFound, match="changed in memory while it was sealed"):
        pack.add(*wrong)
    assert not pack.blobs


@pytest.mark.parametrize("blob", [NOISE, TEXT])
@pytest.mark.parametrize("place", [0, 16, 30, -1])
def test_a_bit_that_falls_over_while_many_are_sealed_is_found(
    monkeypatch: pytest.MonkeyPatch, blob: bytes, place: int
) -> None:
    """In the nonce, the text or the tag: the fault is found before the pack is stored."""

    def faulty(key: MasterKey, texts: list[bytes]) -> list[bytes]:
        *sealed, last = seal_many(key, texts)
        spoilt = bytearray(last)
        spoilt[place] ^= 0x40
        return [*sealed, bytes(spoilt)]

    seal_many = packer.seal_many
    monkeypatch.setattr(packer, "seal_many", faulty)
    with pytest.raises(DamageFound, match=r"changed in memory .* hint: test the memory"):
        builder().add_many(named(b"a", b"b", blob))


@pytest.mark.parametrize("size", [0, 1, 200, 131_072, 131_073, 300_000])
@pytest.mark.parametrize("kind", list(BlobType))
def test_what_is_said_to_fit_fits(kind: BlobType, size: int) -> None:
    """Even a blob that compression makes longer, into a buffer with no byte to spare."""
    blob = Random(size).randbytes(size)
    pack = builder(kind, room_for(size, 1))
    assert pack.has_room(size)
    assert not pack.has_room(size, 2)
    pack.add(digest(blob), blob)
    assert pack.finish().blobs[0].id == digest(blob)


def test_many_tiny_blobs_fit_where_they_are_said_to() -> None:
    """Seals and header entries outweigh tiny blobs many times."""
    blobs = named(*(number.to_bytes(3, "little") for number in range(500)))
    pack = builder(size_bytes=room_for(1500, 500))
    assert pack.has_room(1500, 500)
    pack.add_many(blobs)
    assert len(pack.finish().blobs) == 500


def test_pouring_moves_every_blob_or_none() -> None:
    """Leftovers of several threads become one pack, in which every blob still opens."""
    one, other = builder(size_bytes=4000), builder(size_bytes=4000)
    one.add_many(named(b"a", b"b", NOISE))
    other.add_many(named(b"c"))
    assert one.pour_into(other)
    finished = other.finish()
    opened = [
        unseal(KEY, finished.data[blob.offset : blob.offset + blob.length])
        for blob in finished.blobs
    ]
    assert opened == [b"c", b"a", b"b", NOISE]
    full = builder(size_bytes=room_for(0, 3))
    assert not one.pour_into(full)
    assert not full.blobs


def test_a_pack_is_full_by_size_or_by_number() -> None:
    """Restic bounds the header; ours is bounded far below."""
    pack = builder(size_bytes=40 << 20)
    pack.add(digest(NOISE), NOISE)
    assert not pack.is_full
    pack.blobs += pack.blobs * (MAX_BLOBS - 1)
    assert pack.is_full
