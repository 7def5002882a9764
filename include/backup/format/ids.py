"""Names of things in a repository: the SHA-256 of what they hold.

A blob's id is the digest of its plaintext, a file's id the digest of the stored (sealed) bytes.
Ids are 32 raw bytes in memory and 64 lower-case hex digits in names and JSON.

Source: restic design document, "Terminology" and "Repository Layout".
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256

from include.backup.errors import DamageFound

ID_SIZE = 32


class BlobType(StrEnum):
    """What a blob holds. Data and tree ids are separate name spaces."""

    DATA = "data"
    TREE = "tree"


def digest(data: bytes | bytearray | memoryview) -> bytes:
    """The id of `data`: 32 bytes."""
    return sha256(data).digest()


def short(blob_id: bytes) -> str:
    """The first eight hex digits, for people."""
    return blob_id[:4].hex()


def parse_id(text: object, *, where: str) -> bytes:
    """Turn 64 lower-case hex digits into an id.

    Raises:
        DamageFound: `text` is anything else; the message names `where`.
    """
    if isinstance(text, str) and len(text) == 2 * ID_SIZE:
        try:
            parsed = bytes.fromhex(text)
        except ValueError:
            parsed = b""
        if parsed.hex() == text:  # fromhex passes over blanks and takes capitals
            return parsed
    raise DamageFound(f"{where} holds {str(text)[:80]!r} where an id is expected")
