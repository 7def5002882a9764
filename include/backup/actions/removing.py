"""Removing files of a vault for good: snapshots that have expired, generations that die."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.errors import StorageUnreachable
from include.backup.vault.layout import envelope_folder, generation_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.storage.base import Storage

_TOGETHER: Final = 1000  # names in one call, as S3 takes them
_MOST_ROUNDS: Final = 5  # over files that others have written meanwhile
# The order in which a generation dies. What is left of it at any moment is no repository that
# anybody could take for one: the snapshots go first, and the key before the data.
_BEFORE_KEY: Final = ("snapshots/",)
_AFTER_KEY: Final = ("index/", "data/", "locks/", "keys/", "")


def remove_snapshots(dataset: Storage, generation: str, snapshots: Sequence[str]) -> None:
    """Remove snapshots of a generation. Those that are gone are no error.

    Args:
        dataset: its folder.

    Raises:
        AccessRefused: no right, or a lock date that has not come.
        StorageUnreachable.
    """
    repository = generation_folder(dataset, generation)
    names = [f"snapshots/{snapshot}" for snapshot in snapshots]
    for begin in range(0, len(names), _TOGETHER):
        repository.delete(names[begin : begin + _TOGETHER])


def remove_generation(dataset: Storage, generation: str, *, go_on: Callable[[], None]) -> int:
    """Remove all files of a generation, and its envelopes; return the bytes that they had.

    Args:
        dataset: its folder.
        go_on: called between batches; raises when this run must stop.

    Raises:
        AccessRefused: no right, or a lock date that has not come.
        StorageUnreachable: also when files keep coming.
    """
    repository = generation_folder(dataset, generation)
    removed = sum(_empty(repository, folder, go_on) for folder in _BEFORE_KEY)
    removed += _empty(dataset, envelope_folder(generation), go_on)
    return removed + sum(_empty(repository, folder, go_on) for folder in _AFTER_KEY)


def remove_envelopes(dataset: Storage, generation: str) -> None:
    """Remove all that opens a generation, though a lock in governance has not ended.

    Args:
        dataset: its folder.

    Raises:
        AccessRefused: no right, a lock in compliance, or a hold.
        StorageUnreachable.
    """
    names = [info.name for info in dataset.list(envelope_folder(generation))]
    dataset.delete(names, bypass_governance=True)


def _empty(storage: Storage, folder: str, go_on: Callable[[], None]) -> int:
    """Remove all files of a folder; return the bytes that they had."""
    removed = 0
    for _ in range(_MOST_ROUNDS):
        found = list(storage.list(folder))
        if not found:
            return removed
        for begin in range(0, len(found), _TOGETHER):
            go_on()
            storage.delete([info.name for info in found[begin : begin + _TOGETHER]])
        removed += sum(info.size_bytes for info in found)
    raise StorageUnreachable(
        f"{storage.url}/{folder}: files are there again after they were removed",
        hint="something still writes there; the next run goes on",
    )
