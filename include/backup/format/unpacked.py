"""Files that hold one JSON document: index, snapshot, lock.

    file      = seal(plaintext)
    plaintext = JSON                       first byte "[" or "{"
              | 0x02 zstd(JSON)            what we write

`config` is JSON and never compressed; key files are neither sealed nor compressed.

Source: restic design document, "Repository Version 2".
"""

from __future__ import annotations

import json
from typing import Any, Final

from include.backup.errors import DamageFound
from include.backup.format.compression import compress, decompress
from include.backup.format.crypto import MasterKey, seal, unseal

_COMPRESSED = b"\x02"
# An index that restic closes at 50,000 blobs has 10 MB; one pack with as many tiny blobs as its
# header can name makes it 90. JSON takes up to twenty times as much memory as it has bytes.
MAX_DOCUMENT_BYTES: Final = 128 << 20
# What taking a JSON document apart raises when it has not the shape it should have: a field that
# is missing, of another type, out of range, or infinite (Python reads 1e999 as a number).
MALFORMED: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def seal_document(key: MasterKey, text: bytes, *, compressed: bool = True) -> bytes:
    """Seal the JSON `text`, compressed unless it is the config."""
    return seal(key, _COMPRESSED + compress(text) if compressed else text)


def unseal_document(key: MasterKey, sealed: bytes, *, what: str) -> dict[str, Any]:
    """Open a sealed JSON document.

    Raises:
        SealBroken, DamageFound: the message names `what`.
    """
    plaintext = unseal(key, sealed, what=what)
    if plaintext[:1] == _COMPRESSED:
        plaintext = decompress(plaintext[1:], largest=MAX_DOCUMENT_BYTES, what=what)
    return parse_document(plaintext, what=what)


def parse_document(text: bytes, *, what: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        DamageFound: not JSON, or not an object.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamageFound(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DamageFound(f"{what} is not a JSON object")
    return document
