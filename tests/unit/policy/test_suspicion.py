"""What makes a backup suspicious."""

from __future__ import annotations

import pytest

from include.backup.policy.suspicion import Figures, suspicion

MIB = 1 << 20


def figures(entries: int = 100, all_: int = 100, new: int = 1, stored: float = 0.3) -> Figures:
    """Of a recovery point; sizes in MiB, what is stored as a share of what is new."""
    return Figures(
        entries=entries,
        bytes_all=all_ * MIB,
        bytes_new=new * MIB,
        bytes_stored=int(new * MIB * stored),
    )


USUAL = [figures(new=100), figures(), figures()]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (figures(), ""),
        (figures(entries=50), ""),
        (figures(entries=49), "49 entries are left of 100"),
        (figures(all_=49), "49 MiB are left of 100 MiB"),
        (figures(new=60, stored=0.99), "cannot be compressed as before"),
        (figures(new=49, stored=0.99), ""),
        (figures(new=60, stored=0.9), ""),
        (figures(entries=1000, all_=1000, new=900), ""),
    ],
)
def test_what_is_suspicious(now: Figures, told: str) -> None:
    """Half of it gone, or new and like noise."""
    found = suspicion(now, USUAL)
    assert told in found
    assert bool(told) == bool(found)


def test_data_that_never_could_be_compressed_is_not_suspicious() -> None:
    """Pictures and archives are like noise from the beginning."""
    noisy = [figures(new=100, stored=1.0)]
    assert suspicion(figures(new=90, stored=1.0), noisy) == ""


def test_the_first_recovery_point_is_compared_with_nothing() -> None:
    """Nor are a few entries."""
    assert suspicion(figures(entries=0, all_=0), []) == ""
    assert suspicion(figures(entries=1), [figures(entries=9)]) == ""


@pytest.mark.parametrize(("tolerance", "left", "doubted"), [
    (0.5, 50, False), (0.5, 49, True), (0.8, 20, False), (0.8, 19, True), (1.0, 0, False),
    (0.0, 100, False), (0.0, 99, True),
])  # fmt: skip
def test_how_much_may_be_lost_is_the_datasets_own(
    tolerance: float, left: int, *, doubted: bool
) -> None:
    """Of entries and of bytes alike."""
    for size in (1, 1 << 20):
        before = Figures(entries=100, bytes_all=100 * size, bytes_new=0, bytes_stored=0)
        now = Figures(entries=left, bytes_all=left * size, bytes_new=0, bytes_stored=0)
        assert bool(suspicion(now, [before], tolerance=tolerance)) == doubted
