"""Sealing: alone, in place, among many."""

from __future__ import annotations

import pytest

from include.backup.errors import SealBroken
from include.backup.format.crypto import (
    OVERHEAD,
    MasterKey,
    seal,
    seal_into,
    seal_many,
    unseal,
    unseal_many,
)

KEY = MasterKey.generate()


def test_secrets_are_never_shown() -> None:
    """A key in a log or a traceback says nothing."""
    assert repr(KEY) == "MasterKey()"


def test_sealing_twice_gives_other_bytes() -> None:
    """Nonces are random, so equal texts cannot be told from unequal ones."""
    assert seal(KEY, b"same") != seal(KEY, b"same")
    one, other = seal_many(KEY, [b"same", b"same"])
    assert one != other


def test_sealing_in_place_needs_no_byte_more() -> None:
    """The target may end where the sealed text ends."""
    target = bytearray(5 + OVERHEAD)
    assert seal_into(KEY, b"hello", memoryview(target)) == len(target)
    assert unseal(KEY, target) == b"hello"


def test_nothing_can_be_sealed() -> None:
    """Nothing at all, one empty text, and only empty texts are sealed like any others."""
    assert seal_many(KEY, []) == unseal_many(KEY, []) == []
    assert unseal(KEY, seal(KEY, b"")) == b""
    assert unseal_many(KEY, seal_many(KEY, [b"", b""])) == [b"", b""]


@pytest.mark.parametrize("size", [0, 1, OVERHEAD - 1])
def test_what_is_too_short_is_named(size: int) -> None:
    """Less than a nonce and a tag is no sealed text, wherever it comes from."""
    with pytest.raises(SealBroken, match="pack 77ab is too short to be sealed"):
        unseal(KEY, bytes(size), what="pack 77ab")
    with pytest.raises(SealBroken, match="blob 1 is too short to be sealed"):
        unseal_many(KEY, [seal(KEY, b"x"), bytes(size)], what="blob")


def test_another_key_opens_nothing() -> None:
    """What was sealed under one key is refused under another."""
    sealed = seal(MasterKey.generate(), b"x")
    with pytest.raises(SealBroken, match="the seal of config does not match"):
        unseal(KEY, sealed, what="config")


def test_one_broken_seal_among_many_is_found() -> None:
    """Nothing is returned when one of many does not match, and the message says which."""
    sealed = seal_many(KEY, [bytes([number]) * 100 for number in range(20)])
    sealed[13] = sealed[13][:50] + bytes([sealed[13][50] ^ 4]) + sealed[13][51:]
    with pytest.raises(SealBroken, match="the seal of blob 13 does not match"):
        unseal_many(KEY, sealed, what="blob")
