"""Signatures of records: Ed25519 with a key that is 32 random bytes.

    seed    = 32 bytes, given as base64 in the password of a connection
    key id  = the first 16 hex digits of SHA-256(public key, raw 32 bytes)

Source: RFC 8032.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from include.backup.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

KEY_SIZE = 32
SIGNATURE_SIZE = 64


def key_bytes_of_text(text: str, *, what: str) -> bytes:
    """The 32 bytes that a connection's password holds in base64.

    Args:
        what: names the key in errors, as in "the signing key". The text itself never appears.

    Raises:
        ConfigurationInvalid: no base64, or not 32 bytes.
    """
    hint = "it is 32 random bytes in base64; `holdfast init` prints new ones"
    try:
        key = base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        # `from None`: the codec's own error would carry the text.
        raise ConfigurationInvalid(f"{what} is no base64", hint=hint) from None
    if len(key) != KEY_SIZE:
        raise ConfigurationInvalid(f"{what} has {len(key)} bytes", hint=hint)
    return key


def key_id_of(public_key: bytes) -> str:
    """The name of a public key (32 raw bytes): 16 hex digits."""
    return sha256(public_key).hexdigest()[:16]


class Signer:
    """One private key that signs. Never printed: `repr` shows the key id only."""

    __slots__ = ("_sign", "key_id", "public_key")

    key_id: str
    public_key: bytes  # 32 raw bytes

    def __init__(self, seed: bytes) -> None:
        """Make the key from its 32-byte seed.

        Raises:
            ConfigurationInvalid: not 32 bytes.
        """
        if len(seed) != KEY_SIZE:
            raise ConfigurationInvalid(f"the signing key has {len(seed)} bytes, not {KEY_SIZE}")
        private = Ed25519PrivateKey.from_private_bytes(seed)
        self._sign: Callable[[bytes], bytes] = private.sign
        self.public_key = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    @classmethod
    def of_text(cls, text: str) -> Signer:
        """Make the key from the password of its connection.

        Raises:
            ConfigurationInvalid: it does not hold 32 bytes in base64.
        """
        return cls(key_bytes_of_text(text, what="the signing key"))

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`: 64 bytes."""
        return self._sign(data)

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"


def signature_fits(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` was made over `data` with the private half of `public_key`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
