"""The storage in memory: what it lets tests do to a vault."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.backup.errors import AccessRefused, FileAbsent, StorageFull
from include.backup.storage.memory import MemoryStorage

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


def test_a_full_store_takes_nothing_and_loses_nothing() -> None:
    """What does not fit is refused whole; deleting makes room."""
    storage = MemoryStorage(lambda: NOW, capacity_bytes=10)
    storage.save("a", b"12345678")
    with pytest.raises(StorageFull):
        storage.save("b", b"123")
    with pytest.raises(FileAbsent):
        storage.load("b")
    storage.save("c", b"12")
    storage.delete(["a"])
    storage.save("b", b"123")
    assert storage.stored_bytes() == 5


def test_a_role_can_be_narrow() -> None:
    """A writer without the right to delete writes and reads, and deletes nothing."""
    storage = MemoryStorage(lambda: NOW)
    storage.save("data/a", b"x")
    with storage.refusing("data/", ["delete"]):
        storage.save("data/b", b"y")
        with pytest.raises(AccessRefused, match="data/a"):
            storage.delete(["leases/1", "data/a", "data/b"])
    assert [info.name for info in storage.list()] == ["data/a", "data/b"]


def test_half_a_list_is_no_list() -> None:
    """A list that would leave out refused names is refused."""
    storage = MemoryStorage(lambda: NOW)
    storage.save("data/a", b"x")
    with storage.refusing("data/secret/", ["list"]):
        with pytest.raises(AccessRefused):
            storage.list("data/")
        assert list(storage.list("data/a"))


def test_the_store_s_own_clock_is_told() -> None:
    """modified_at follows the given clock, also backwards."""
    times = [NOW, NOW - timedelta(days=1)]
    storage = MemoryStorage(lambda: times[0])
    storage.save("a", b"")
    times.pop(0)
    storage.save("b", b"")
    assert storage.stat("a").modified_at - storage.stat("b").modified_at == timedelta(days=1)


def test_a_locked_file_among_others_stays_alone() -> None:
    """The unlocked ones go, the locked one is named with its date."""
    storage = MemoryStorage(lambda: NOW)
    for name, days in (("a", 0), ("b", 2), ("c", -1)):
        until = NOW + timedelta(days=days) if days else None
        storage.save(name, b"x", locked_until=until)
    assert storage.locked_until("b") == NOW + timedelta(days=2)
    with pytest.raises(AccessRefused, match=r"b .*locked until 2026-11-26 01:00:00 UTC"):
        storage.delete(["a", "b", "c"])
    assert [info.name for info in storage.list()] == ["b"]
