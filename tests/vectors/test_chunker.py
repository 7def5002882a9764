"""Where streams are cut, and which polynomials restic accepts."""

from __future__ import annotations

from random import Random

import pytest

from include.backup.format.chunker import MAX_BYTES, MIN_BYTES, chunks
from include.backup.format.config import is_irreducible, random_polynomial

POLYNOMIAL = 0x3DA3358B4DC173  # restic's own tests use it
STREAM = Random(20261101).randbytes(20 << 20)
# A chunker that cuts elsewhere stores everything once more in every repository there is. Change
# these numbers only together with a reason that is worth it.
CUTS = [
    2015953,
    1698773,
    1114690,
    2088691,
    1263442,
    1578618,
    1208905,
    1293040,
    1281135,
    1837564,
    989994,
    1374344,
    2213821,
    1012550,
]
CUTS_OF_ANOTHER = [
    1423117,
    1280168,
    2266754,
    2016163,
    655094,
    2120775,
    1865048,
    1234294,
    1344814,
    1258622,
    1409356,
    1662610,
    1810002,
    624703,
]


def lengths(stream: bytes, polynomial: int) -> list[int]:
    return [len(chunk) for chunk in chunks([stream], polynomial)]


def test_cuts_are_where_they_were() -> None:
    """A new version of the chunking library cuts known bytes at the known places."""
    assert lengths(STREAM, POLYNOMIAL) == CUTS


def test_each_repository_cuts_in_its_own_way() -> None:
    """Another polynomial moves the cuts, and those are known as well."""
    assert lengths(STREAM, 0x3DCE5F90BB03B5) == CUTS_OF_ANOTHER
    assert CUTS_OF_ANOTHER != CUTS


def test_zeros_are_cut_at_the_longest() -> None:
    """Bytes without any pattern are cut by length alone."""
    assert lengths(bytes(2 * MAX_BYTES + 5), POLYNOMIAL) == [MAX_BYTES, MAX_BYTES, 5]


def test_short_streams_are_one_chunk() -> None:
    """Up to the least length nothing is cut; nothing gives no chunk."""
    assert lengths(STREAM[:MIN_BYTES], POLYNOMIAL) == [MIN_BYTES]
    assert lengths(b"x", POLYNOMIAL) == [1]
    assert lengths(b"", POLYNOMIAL) == []


@pytest.mark.parametrize(
    "polynomial",
    [0b10, 0b11, 0b111, 0b1011, 0x11B, 0x3DA3358B4DC173, 0x3DCE5F90BB03B5, 0x236C77255F34F9],
)
def test_irreducible_polynomials_are_known_as_such(polynomial: int) -> None:
    """Small ones from tables, AES's own, and three that stock restic uses or has made."""
    assert is_irreducible(polynomial)


@pytest.mark.parametrize(
    ("one", "other"),
    [(0b10, 0b10), (0b11, 0b11), (0b111, 0b111), (0b1011, 0b1101), (0x11B, 0x3DA3358B4DC173)],
)
def test_products_are_not_irreducible(one: int, other: int) -> None:
    """What two polynomials were multiplied to can be divided again."""
    product = 0
    for bit in range(other.bit_length()):
        if other >> bit & 1:
            product ^= one << bit
    assert not is_irreducible(product)


def test_random_polynomials_are_what_restic_accepts() -> None:
    """Degree 53, irreducible, and not the same twice."""
    made = {random_polynomial() for _ in range(5)}
    assert len(made) == 5
    assert all(polynomial.bit_length() == 54 and is_irreducible(polynomial) for polynomial in made)
