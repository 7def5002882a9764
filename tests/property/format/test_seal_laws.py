"""Laws of sealing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.backup.errors import SealBroken
from include.backup.format.crypto import OVERHEAD, seal, seal_many, unseal, unseal_many
from tests.property.format.strategies import KEY, QUICK
from tests.vectors.samples import fixed_nonces

plaintexts = st.binary(max_size=200)
# Counters near the places where their lower half, or all of it, begins again at zero.
nonces = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.tuples(st.binary(min_size=8, max_size=8), st.integers(0, 12)).map(
        lambda parts: parts[0] + ((1 << 64) - 1 - parts[1]).to_bytes(8, "big")
    ),
    st.integers(0, 12).map(lambda below: ((1 << 128) - 1 - below).to_bytes(16, "big")),
)


@QUICK
@given(texts=st.lists(plaintexts, max_size=6))
def test_what_was_sealed_opens(texts: list[bytes]) -> None:
    """Sealed one by one or together, and opened the one way or the other, texts stay the same."""
    apart = [seal(KEY, text) for text in texts]
    together = seal_many(KEY, texts)
    for sealed in (apart, together):
        assert [unseal(KEY, each) for each in sealed] == texts
        assert unseal_many(KEY, [memoryview(each) for each in sealed]) == texts
        assert [len(each) for each in sealed] == [len(text) + OVERHEAD for text in texts]


@QUICK
@given(texts=st.lists(plaintexts, min_size=1, max_size=6), nonce=nonces)
@example(texts=[bytes(100), b"", bytes(16)], nonce=b"\xff" * 16)
@example(texts=[bytes(100)], nonce=b"\0" * 8 + b"\xff" * 8)
def test_sealing_together_is_sealing_one_by_one(texts: list[bytes], nonce: bytes) -> None:
    """Under the same nonces the bytes are the same, through every carry of the counter."""
    with fixed_nonces(nonce):
        assert seal_many(KEY, texts) == [seal(KEY, text) for text in texts]


@QUICK
@given(texts=st.lists(plaintexts, min_size=1, max_size=4), data=st.data())
def test_any_flipped_bit_breaks_the_seal(texts: list[bytes], data: st.DataObject) -> None:
    """Wherever it is: nonce, ciphertext or tag, alone or among many."""
    sealed = seal_many(KEY, texts)
    number = data.draw(st.integers(0, len(sealed) - 1))
    place = data.draw(st.integers(0, len(sealed[number]) - 1))
    changed = bytearray(sealed[number])
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    sealed[number] = bytes(changed)
    with pytest.raises(SealBroken):
        unseal(KEY, sealed[number])
    with pytest.raises(SealBroken, match=f"seal of blob {number} does"):
        unseal_many(KEY, sealed, what="blob")


@QUICK
@given(text=plaintexts, cut=st.integers(1, 300))
def test_no_beginning_of_a_sealed_text_opens(text: bytes, cut: int) -> None:
    """A text that was cut on its way is refused."""
    with pytest.raises(SealBroken):
        unseal(KEY, seal(KEY, text)[:-cut])
