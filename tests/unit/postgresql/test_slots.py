"""Slots bound how many streams all processes of a machine read from one server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.sources.slots import slot

if TYPE_CHECKING:
    from pathlib import Path


def test_no_more_hold_one_than_there_are(tmp_path: Path) -> None:
    """Eight want one of two, and each gets it in the end."""
    held, most, done = [0], [0], [0]
    lock, wait = threading.Lock(), threading.Event()

    def work() -> None:
        with slot(tmp_path, "c", {"max_parallel": 2}):
            with lock:
                held[0] += 1
                most[0] = max(most[0], held[0])
            wait.wait(0.02)
            with lock:
                held[0] -= 1
                done[0] += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(10)
    assert (done[0], most[0]) == (8, 2)


def test_a_slot_is_given_back_whatever_happens(tmp_path: Path) -> None:
    """An error inside, too."""
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), slot(tmp_path, "c", {"max_parallel": "1"}):
            raise ValueError("x")


def test_other_connections_have_their_own(tmp_path: Path) -> None:
    """And without a bound there are as many as are wanted."""
    with (
        slot(tmp_path, "a", {"max_parallel": 1}),
        slot(tmp_path, "b", {"max_parallel": 1}),
        slot(tmp_path, "c", {}),
        slot(tmp_path, "c", {}),
    ):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.0", "b.0"]


@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5"])
def test_a_bound_is_a_number(tmp_path: Path, given: str) -> None:
    """Else the connection is wrong."""
    with (
        pytest.raises(ConfigurationInvalid, match="max_parallel"),
        slot(tmp_path, "c", {"max_parallel": given}),
    ):
        pass
