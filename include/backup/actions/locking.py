"""Locks of what is kept for longer than it was locked at first (Object Lock, invariant 8).

    everything of a generation but its snapshots    until the last point that needs it has expired
    a snapshot                                      until its own expiry

A date is never beyond what retention promises, but for what is kept without a date, as a hold: that
is locked for two weeks at a time. In compliance mode nobody can take back what was locked.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from include.backup.errors import FileHeld
from include.backup.format.times import text_of_datetime
from include.backup.vault.layout import envelope_folder, generation_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.storage.base import Storage
    from include.backup.vault.expiry import ExpiryPlan

log = logging.getLogger(__name__)
Done = TypeVar("Done")

_TOGETHER: Final = 1000
_FOLDERS: Final = ("index/", "data/", "keys/", "config")  # never locks/, which come and go


def extend_locks(place: DatasetVault, plan: ExpiryPlan) -> dict[str, str]:
    """Let locks last as long as the plan needs; return the new dates by generation, for the record.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    dates = {}
    for extension in plan.extensions:
        repository = generation_folder(place.folder, extension.generation)
        there = {info.name for info in repository.list("snapshots/")}
        by_date: dict[datetime, list[str]] = {}
        for snapshot, until in extension.snapshots.items():
            if (name := f"snapshots/{snapshot}") in there:
                by_date.setdefault(until, []).append(name)
            else:
                log.warning("snapshot %s is gone: run check on this dataset", snapshot[:8])
        for until, names in by_date.items():
            repository.extend_lock(names, until)
        if extension.until is None:
            continue
        for names in _batches(_files(repository)):
            repository.extend_lock(names, extension.until)
        envelopes = place.folder.list(envelope_folder(extension.generation))
        place.folder.extend_lock([info.name for info in envelopes], extension.until)
        dates[extension.generation] = text_of_datetime(extension.until)
    return dates


def hold_files(place: DatasetVault, points: Iterable[tuple[str, str]], *, on: bool) -> None:
    """Put a legal hold on all that recovery points need, or take it off.

    Args:
        points: generation and snapshot of each.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    snapshots: dict[str, list[str]] = {}
    for generation, snapshot in points:
        snapshots.setdefault(generation, []).append(f"snapshots/{snapshot}")
    for generation, names in snapshots.items():
        repository = generation_folder(place.folder, generation)
        there = {info.name for info in repository.list("snapshots/")}
        wanted = [name for name in names if name in there]
        for batch in _batches([*wanted, *_files(repository)]):
            repository.hold(batch, on=on)
        envelopes = [info.name for info in place.folder.list(envelope_folder(generation))]
        place.folder.hold(envelopes, on=on)


def without_holds(
    place: DatasetVault,
    generation: str,
    snapshots: Sequence[str] | None,
    remove: Callable[[], Done],
) -> Done:
    """Remove files; take off first what a hold that is in no ledger has left on them.

    Args:
        snapshots: that alone are removed; None: the whole generation is.

    Raises:
        AccessRefused: no right, or a lock.
    """
    try:
        return remove()
    except FileHeld:
        pass
    repository = generation_folder(place.folder, generation)
    there = [info.name.removeprefix("snapshots/") for info in repository.list("snapshots/")]
    if snapshots is None:
        hold_files(place, [(generation, one) for one in there] or [(generation, "")], on=False)
    else:  # the packs stay: another point of the generation may be on hold
        wanted = set(snapshots)
        for batch in _batches(f"snapshots/{one}" for one in there if one in wanted):
            repository.hold(batch, on=False)
    return remove()


def _files(repository: Storage) -> Iterator[str]:
    for folder in _FOLDERS:
        for info in repository.list(folder):
            yield info.name


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for name in names:
        batch.append(name)
        if len(batch) == _TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch
