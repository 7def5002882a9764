"""Sealing against published test vectors, and against what it gave when it was proved."""

from __future__ import annotations

import pytest

from include.backup.errors import SealBroken
from include.backup.format.crypto import MasterKey, seal, seal_many, unseal, unseal_many
from tests.vectors.samples import KEY, NONCE, fixed_nonces

# D. J. Bernstein, "The Poly1305-AES message-authentication code", appendix B; restic tests the
# same four. Columns: message, k, r, nonce, tag.
POLY1305_AES = [
    (
        "f3f6",
        "ec074c835580741701425b623235add6",
        "851fc40c3467ac0be05cc20404f3f700",
        "fb447350c4e868c52ac3275cf9d4327e",
        "f4c633c3044fc145f84f335cb81953de",
    ),
    (
        "",
        "75deaa25c09f208e1dc4ce6b5cad3fbf",
        "a0f3080000f46400d0c7e9076c834403",
        "61ee09218d29b0aaed7e154a2c5509cc",
        "dd3fab2251f11ac759f0887129cc2ee7",
    ),
    (
        "663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136",
        "6acb5f61a7176dd320c5c1eb2edcdc74",
        "48443d0bb0d21109c89a100b5ce2c208",
        "ae212a55399729595dea458bc621ff0e",
        "0ee1c16bb73f0f4fd19881753c01cdbe",
    ),
    (
        (
            "ab0812724a7f1e342742cbed374d94d136c6b8795d45b3819830f2c04491faf0"
            "990c62e48b8018b2c3e4a0fa3134cb67fa83e158c994d961c4cb21095c1bf9"
        ),
        "e1a5668a4d5b66a5f68cc5424ed5982d",
        "12976a08c4426d0ce8a82407c4f48207",
        "9ae831e743978d3a23527c7128149e3a",
        "5154ad0d2cb26e01274fc51148491f1b",
    ),
]
# NIST SP 800-38A, F.5.5 CTR-AES256.Encrypt
CTR_KEY = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
CTR_NONCE = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
CTR_PLAIN = (
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CTR_CIPHER = (
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
)


@pytest.mark.parametrize(("message", "k", "r", "nonce", "tag"), POLY1305_AES)
def test_tags_are_those_of_the_paper(message: str, k: str, r: str, nonce: str, tag: str) -> None:
    """A sealed text with the paper's tag opens, alone and among many; with another it does not."""
    key = MasterKey(encrypt=bytes(32), mac_k=bytes.fromhex(k), mac_r=bytes.fromhex(r))
    sealed = bytes.fromhex(nonce + message + tag)
    assert unseal_many(key, [sealed]) == [unseal(key, sealed)]
    other = sealed[:-1] + bytes([sealed[-1] ^ 1])
    with pytest.raises(SealBroken):
        unseal(key, other)
    with pytest.raises(SealBroken):
        unseal_many(key, [other])


def test_ciphertext_is_that_of_the_standard() -> None:
    """The nonce is the whole first counter block, and counts up as one big-endian number."""
    key = MasterKey(encrypt=bytes.fromhex(CTR_KEY), mac_k=bytes(16), mac_r=bytes(16))
    with fixed_nonces(bytes.fromhex(CTR_NONCE)):
        sealed = seal(key, bytes.fromhex(CTR_PLAIN))
        [many] = seal_many(key, [bytes.fromhex(CTR_PLAIN)])
    assert sealed[:16].hex() == CTR_NONCE
    assert sealed[16:-16].hex() == CTR_CIPHER
    assert many == sealed


def test_sealed_bytes_are_what_they_were() -> None:
    """One key, one nonce and one text give one sealed text."""
    with fixed_nonces():
        sealed = seal(KEY, b"the quick brown fox")
    assert (
        sealed.hex()
        == NONCE.hex() + "d716ba1fe62fd38cf85b00b5e22cdf77d61a66a5bd9380f73b4d9da72ee79a2ff82930"
    )
