"""Frames: what they may claim, and what they may hold."""

from __future__ import annotations

import tracemalloc

import pytest
import zstandard

from include.backup.errors import DamageFound
from include.backup.format.compression import MAX_PLAINTEXT_BYTES, compress, decompress


def frame_claiming(size_bytes: int) -> bytes:
    """A frame with one empty block that says it holds so much."""
    descriptor = 0b1110_0000  # eight bytes of content size, one segment
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + size_bytes.to_bytes(8, "little") + b"\1\0\0"


@pytest.mark.parametrize("claim", [MAX_PLAINTEXT_BYTES + 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 3])
@pytest.mark.parametrize("size", [None, 1000, 1 << 32])
def test_a_bomb_is_refused_by_its_claim(claim: int, size: int | None) -> None:
    """A frame that claims more than anything can hold is not opened at all."""
    tracemalloc.start()
    try:
        with pytest.raises(DamageFound, match=r"index 1f3c (would decompress|is not a zstd frame)"):
            decompress(frame_claiming(claim), size=size, what="index 1f3c")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_frame_that_claims_nothing_cannot_outgrow_its_size() -> None:
    """Without a stated size, a frame is opened only as far as the caller says it goes."""
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(DamageFound):
            decompress(frame, size=1000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_frame_without_stated_size_is_read() -> None:
    """Other writers may leave the size out."""
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"some text" * 50)
    assert decompress(frame) == decompress(frame, size=450) == b"some text" * 50


@pytest.mark.parametrize("size", [0, 299, 301])
def test_another_size_than_the_index_says_is_damage(size: int) -> None:
    """The size stated elsewhere is compared with what comes out."""
    with pytest.raises(DamageFound, match="300 bytes"):
        decompress(compress(bytes(300)), size=size, what="blob")


def test_cut_frames_are_damage() -> None:
    """No beginning of a frame passes for the frame."""
    frame = compress(bytes(range(256)) * 4)
    for end in range(len(frame)):
        with pytest.raises(DamageFound):
            decompress(frame[:end])
