"""What leaves a replica: what the ledger says has expired, and former envelopes (3.2).

Never because something is absent at home: a home that was lost, or emptied by a stranger, would
take its copies with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from include.backup.actions.locking import without_holds
from include.backup.actions.removing import remove_envelopes, remove_generation, remove_snapshots
from include.backup.errors import AccessRefused, FileAbsent, FileLocked
from include.backup.vault.generations import GenerationState
from include.backup.vault.layout import GENERATIONS, envelope_folder, envelope_name
from include.backup.vault.object_lock import may_bypass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.backup.actions.replica import News, Pair
    from include.backup.vault.generations import Generation
    from include.backup.vault.state import DatasetState

_GONE = frozenset({GenerationState.EXPIRING, GenerationState.EXPIRED})


@dataclass(slots=True)
class Left:
    """What was removed from a replica, and what could not be."""

    removed: int = 0  # snapshots
    generations: list[str] = field(default_factory=list)  # that were removed
    snapshots: list[str] = field(default_factory=list)  # generation/snapshot: a lock keeps it
    kept_back: list[str] = field(default_factory=list)  # for people
    refused: str = ""  # why nothing may be deleted there
    foreign: list[str] = field(default_factory=list)  # generations that no record names

    def keep(self, what: str, error: AccessRefused) -> None:
        """Note what stays: for a while if a lock keeps it, else until somebody may delete."""
        self.kept_back.append(f"{what}: {error.message}")
        if not isinstance(error, FileLocked):
            self.refused = error.message


def remove_departed(
    pair: Pair, state: DatasetState, news: News, *, go_on: Callable[[], None]
) -> Left:
    """Remove from the copy what has expired.

    Args:
        state: of the dataset.
        news: what was decided since the last run that ended.

    Raises:
        StorageUnreachable.
    """
    left = Left()
    for generation, snapshots in _departed(pair, state, news).items():
        _remove_points(pair, generation, snapshots, left)
    folder = pair.expiring.folder
    for name in sorted({*folder.folders(GENERATIONS), *folder.folders("keys/")}):
        if (found := state.generation(name)) is None:
            left.foreign.append(name)
        elif found.state in _GONE:
            _remove_whole(pair, found, left, go_on)
        elif found.state is GenerationState.COMPLETED:
            _remove_former_envelopes(pair, found, left)
    return left


def _departed(pair: Pair, state: DatasetState, news: News) -> dict[str, list[str]]:
    """What leaves alone, by generation: by new records, or what the last run had to leave."""
    found = {name: list(snapshots) for name, snapshots in news.departed.items()}
    if (before := state.replica(pair.copy.vault.url)) is not None:
        for one in before.left:
            generation, _, snapshot = one.partition("/")
            found.setdefault(generation, []).append(snapshot)
    living = {one.id for one in state.generations if one.state is GenerationState.COMPLETED}
    return {name: snapshots for name, snapshots in found.items() if name in living}


def _remove_points(pair: Pair, generation: str, snapshots: list[str], left: Left) -> None:
    remove = partial(remove_snapshots, pair.expiring.folder, generation, snapshots)
    try:
        without_holds(pair.expiring, generation, snapshots, remove)
        left.removed += len(snapshots)
    except AccessRefused as error:
        left.snapshots += [f"{generation}/{one}" for one in snapshots]
        left.keep(f"recovery points of {generation}", error)


def _remove_whole(pair: Pair, found: Generation, left: Left, go_on: Callable[[], None]) -> None:
    generation, folder = found.id, pair.expiring.folder
    remove = partial(remove_generation, folder, generation, go_on=go_on)
    if found.erased and may_bypass(pair.copy.vault):
        with _noting(left, f"envelopes of {generation}"):
            remove_envelopes(folder, generation)
    with _noting(left, f"generation {generation}"):
        left.snapshots.append(f"{generation}/")  # until it is gone
        without_holds(pair.expiring, generation, None, remove)
        left.snapshots.pop()
        left.generations.append(generation)


def _remove_former_envelopes(pair: Pair, generation: Generation, left: Left) -> None:
    """Once the copy has the envelope that the ledger names, those of former keys go."""
    folder = pair.expiring.folder
    wanted = envelope_name(generation.id, generation.key)
    there = {info.name for info in folder.list(envelope_folder(generation.id))}
    former = sorted(there - {wanted})
    if not former or wanted not in there:
        return
    at_home = {info.name for info in pair.home.folder.list(envelope_folder(generation.id))}
    if former := [name for name in former if name not in at_home]:
        with _noting(left, f"former envelopes of {generation.id}"):
            folder.delete(former)


@contextmanager
def _noting(left: Left, what: str) -> Iterator[None]:
    """What stays is no error: the next run tries again."""
    try:
        yield
    except AccessRefused as error:
        left.keep(what, error)
    except FileAbsent:
        pass  # somebody else was quicker
