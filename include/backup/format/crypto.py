"""Sealing: AES-256-CTR under a random nonce, authenticated with Poly1305-AES.

    sealed = nonce (16) ciphertext tag (16)
    tag    = Poly1305(r || AES-128(k, nonce), ciphertext)

The tag covers the ciphertext only and binds it to no place: that a blob is the one asked for is
shown by its id, which every reader compares after unsealing.

Source: restic design document, "Keys, Encryption and MAC"; D. J. Bernstein, "The Poly1305-AES
message-authentication code".
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from include.backup.errors import SealBroken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NONCE_SIZE = 16
TAG_SIZE = 16
OVERHEAD = NONCE_SIZE + TAG_SIZE
_BLOCK = 16
# `update_into` wants room for one block beyond the data, whatever the mode.
SLACK = _BLOCK - 1
_PADDING = bytes(_BLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterKey:
    """The three secrets of a repository. Never printed: `repr` shows nothing of them."""

    encrypt: bytes = field(repr=False)  # 32 bytes, AES-256
    mac_k: bytes = field(repr=False)  # 16 bytes, AES-128
    mac_r: bytes = field(repr=False)  # 16 bytes, clamped by Poly1305 itself

    @classmethod
    def generate(cls) -> MasterKey:
        """Fresh random secrets."""
        return cls(
            encrypt=secrets.token_bytes(32),
            mac_k=secrets.token_bytes(16),
            mac_r=secrets.token_bytes(16),
        )


def seal(key: MasterKey, plaintext: bytes | bytearray | memoryview) -> bytes:
    """Encrypt and authenticate `plaintext` under a fresh random nonce.

    Returns:
        nonce (16 bytes) + ciphertext (len(plaintext) bytes) + tag (16 bytes).

    Nonces are random, never counted: two hosts may write to one repository without speaking to
    each other.
    """
    buffer = bytearray(len(plaintext) + OVERHEAD)
    length = seal_into(key, plaintext, memoryview(buffer))
    return bytes(memoryview(buffer)[:length])


def seal_into(key: MasterKey, plaintext: bytes | bytearray | memoryview, target: memoryview) -> int:
    """Seal `plaintext` at the beginning of `target`; return the sealed length in bytes.

    `target` holds at least len(plaintext) + OVERHEAD bytes.
    """
    end = NONCE_SIZE + len(plaintext)
    nonce = secrets.token_bytes(NONCE_SIZE)
    target[:NONCE_SIZE] = nonce
    encryptor = Cipher(algorithms.AES(key.encrypt), modes.CTR(nonce)).encryptor()
    encryptor.update_into(plaintext, target[NONCE_SIZE : end + SLACK])
    target[end : end + TAG_SIZE] = Poly1305.generate_tag(
        _one_time_key(key, nonce), target[NONCE_SIZE:end]
    )
    return end + TAG_SIZE


def unseal(key: MasterKey, sealed: bytes | bytearray | memoryview, *, what: str = "data") -> bytes:
    """Check the tag of `sealed` and decrypt it.

    Raises:
        SealBroken: the tag does not match; the message names `what`.
    """
    view = memoryview(sealed)
    if len(view) < OVERHEAD:
        raise SealBroken(f"{what} is too short to be sealed ({len(view)} bytes)")
    nonce = bytes(view[:NONCE_SIZE])
    ciphertext = view[NONCE_SIZE:-TAG_SIZE]
    try:
        Poly1305.verify_tag(_one_time_key(key, nonce), ciphertext, bytes(view[-TAG_SIZE:]))
    except InvalidSignature:
        raise SealBroken(
            f"the seal of {what} does not match", hint="wrong key, or the stored bytes changed"
        ) from None
    return Cipher(algorithms.AES(key.encrypt), modes.CTR(nonce)).decryptor().update(ciphertext)


def seal_many(key: MasterKey, plaintexts: Sequence[bytes]) -> list[bytes]:
    """Seal many small plaintexts with two calls to the cipher instead of two for each.

    Setting up a cipher costs more than encrypting a kilobyte with it. CTR is AES of a counter,
    so the counters of all plaintexts are written out, encrypted at once in ECB mode, and XORed.
    The result is what `seal` returns for each.
    """
    if not plaintexts:
        return []
    nonces = secrets.token_bytes(NONCE_SIZE * len(plaintexts))
    mac_keys = _one_time_keys(key, nonces)
    sealed = []
    for number, ciphertext in enumerate(_crypt_many(key, nonces, plaintexts)):
        nonce = nonces[number * NONCE_SIZE : (number + 1) * NONCE_SIZE]
        tag = Poly1305.generate_tag(mac_keys[number], ciphertext)
        sealed.append(nonce + ciphertext + tag)
    return sealed


def unseal_many(
    key: MasterKey, sealed: Sequence[bytes | memoryview], *, what: str = "data"
) -> list[bytes]:
    """Check the tags of many small sealed texts and decrypt them, as `seal_many` seals.

    Raises:
        SealBroken: a tag does not match; the message names `what` and its place, from 0.
    """
    if not sealed:
        return []
    for number, each in enumerate(sealed):
        if len(each) < OVERHEAD:
            raise SealBroken(f"{what} {number} is too short to be sealed ({len(each)} bytes)")
    nonces = b"".join([each[:NONCE_SIZE] for each in sealed])
    ciphertexts = [each[NONCE_SIZE:-TAG_SIZE] for each in sealed]
    mac_keys = _one_time_keys(key, nonces)
    for number, ciphertext in enumerate(ciphertexts):
        tag = bytes(sealed[number][-TAG_SIZE:])
        try:
            Poly1305.verify_tag(mac_keys[number], ciphertext, tag)
        except InvalidSignature:
            raise SealBroken(
                f"the seal of {what} {number} does not match",
                hint="wrong key, or the stored bytes changed",
            ) from None
    return list(_crypt_many(key, nonces, ciphertexts))


def _crypt_many(
    key: MasterKey, nonces: bytes, texts: Sequence[bytes | memoryview]
) -> Iterator[bytes]:
    """Each text XORed with the key stream of its nonce: encrypts, and decrypts."""
    blocks = [-(-len(text) // _BLOCK) for text in texts]
    stream = _ecb(key.encrypt, _counters(nonces, np.array(blocks, dtype=np.int64)))
    parts: list[bytes | memoryview] = []
    for text in texts:
        parts += (text, _PADDING[: -len(text) % _BLOCK])
    padded = np.frombuffer(b"".join(parts), dtype=np.uint8)
    mixed = np.bitwise_xor(padded, np.frombuffer(stream, dtype=np.uint8)).tobytes()
    start = 0
    for text, count in zip(texts, blocks, strict=True):
        yield mixed[start : start + len(text)]
        start += count * _BLOCK


def _counters(nonces: bytes, blocks: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bytes:
    """The counter blocks of each nonce: 128-bit big-endian numbers that count up from it."""
    starts = np.frombuffer(nonces, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    ends = np.cumsum(blocks)
    steps = np.arange(int(ends[-1]), dtype=np.uint64) - np.repeat(
        (ends - blocks).astype(np.uint64), blocks
    )
    low_starts = np.repeat(starts[:, 1], blocks)
    low = low_starts + steps
    high = np.repeat(starts[:, 0], blocks) + (low < low_starts)
    return np.stack([high, low], axis=1).astype(">u8").tobytes()


def _ecb(key: bytes, data: bytes) -> bytes:
    # ECB here is the bare block cipher that CTR and Poly1305-AES are defined by, not a mode that
    # encrypts anybody's data.
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(data)  # noqa: S305


def _one_time_keys(key: MasterKey, nonces: bytes) -> list[bytes]:
    pads = _ecb(key.mac_k, nonces)
    return [key.mac_r + pads[at : at + _BLOCK] for at in range(0, len(pads), _BLOCK)]


def _one_time_key(key: MasterKey, nonce: bytes) -> bytes:
    return key.mac_r + _ecb(key.mac_k, nonce)
