"""What the known answers are made of: one key, two ids, one moment."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from include.backup.format import crypto
from include.backup.format.crypto import MasterKey

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = MasterKey(encrypt=bytes(range(32)), mac_k=bytes(range(32, 48)), mac_r=bytes(range(48, 64)))
NONCE = bytes(range(64, 80))
NOW = datetime(2026, 11, 1, 2, 3, 4, 500_000, tzinfo=UTC)
ONE, TWO, THREE = (sha256(bytes([number])).digest() for number in (1, 2, 3))


@contextmanager
def fixed_nonces(nonce: bytes = NONCE) -> Iterator[None]:
    """Let every nonce be this one while this lasts. Chance is what known answers cannot have."""

    def token_bytes(size: int) -> bytes:
        return (nonce * (size // len(nonce) + 1))[:size]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crypto.secrets, "token_bytes", token_bytes)
        yield
