"""The config file of a repository: version, id, and the polynomial of its chunker.

    config = seal(JSON {version, id, chunker_polynomial}), never compressed

Stock restic refuses a polynomial that is not irreducible over GF(2). Our own cuts come from
FastCDC, seeded with it, so that nobody can tell from the lengths of chunks what they hold.

Source: restic design document, "Repository Layout"; M. O. Rabin, "Fingerprinting by random
polynomials"; the Ben-Or irreducibility test.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.backup.errors import DamageFound
from include.backup.format.unpacked import MALFORMED, seal_document, unseal_document

if TYPE_CHECKING:
    from include.backup.format.crypto import MasterKey

VERSION = 2
_DEGREE = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a repository is."""

    version: int
    id: str  # 64 hex digits, random
    chunker_polynomial: int  # bit i is the coefficient of x^i

    @classmethod
    def generate(cls) -> Config:
        """A config for a new repository."""
        return cls(
            version=VERSION, id=secrets.token_hex(32), chunker_polynomial=random_polynomial()
        )


def seal_config(key: MasterKey, config: Config) -> bytes:
    """Make the config file."""
    document = {
        "version": config.version,
        "id": config.id,
        "chunker_polynomial": f"{config.chunker_polynomial:x}",
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    return seal_document(key, text, compressed=False)


def open_config(key: MasterKey, data: bytes) -> Config:
    """Open the config file.

    Raises:
        SealBroken, DamageFound.
    """
    document = unseal_document(key, data, what="config")
    try:
        config = Config(
            version=int(document["version"]),
            id=str(document["id"]),
            chunker_polynomial=int(str(document["chunker_polynomial"]), 16),
        )
    except MALFORMED as error:
        raise DamageFound(f"config is not a repository config: {error!r}") from error
    if config.version != VERSION:
        raise DamageFound(f"config says repository version {config.version}, not {VERSION}")
    return config


def random_polynomial() -> int:
    """A random irreducible polynomial of degree 53 over GF(2); on average 53 tries."""
    while True:
        candidate = secrets.randbits(_DEGREE) | 1 << _DEGREE | 1
        if is_irreducible(candidate):
            return candidate


def is_irreducible(polynomial: int) -> bool:
    """Ben-Or: irreducible iff gcd(p, x^(2^i) - x) = 1 for every i up to half its degree."""
    power = 2  # the polynomial x
    for _ in range((polynomial.bit_length() - 1) // 2):
        power = _remainder(_square(power), polynomial)
        if _gcd(polynomial, power ^ 2) != 1:
            return False
    return True


def _square(polynomial: int) -> int:
    # Over GF(2), (a + b)^2 = a^2 + b^2: squaring moves bit i to bit 2i.
    return int("0".join(f"{polynomial:b}"), 2)


def _remainder(dividend: int, divisor: int) -> int:
    degree = divisor.bit_length()
    while (excess := dividend.bit_length() - degree) >= 0:
        dividend ^= divisor << excess
    return dividend


def _gcd(one: int, other: int) -> int:
    while other:
        one, other = other, _remainder(one, other)
    return one
