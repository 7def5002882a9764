"""Copying the generations of a dataset, each by what the ledger says of it (3.5).

What cannot be copied of one is told, and stops no other; whatever is damaged is marked where it is:
at home or in the copy.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from include.backup.actions.copying import Copied, Route, copy_generation
from include.backup.actions.generation import locked_until
from include.backup.actions.replica_locks import FirstLock
from include.backup.errors import (
    ConfigurationInvalid,
    DamageFound,
    FileAbsent,
    KeyUnusable,
    ReplicaDamaged,
)
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count
from include.backup.policy.slots import EPOCH
from include.backup.vault import bodies
from include.backup.vault.generations import GenerationState
from include.backup.vault.layout import generation_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.actions.acts import Act
    from include.backup.actions.replica import Pair
    from include.backup.repository.progress import Progress
    from include.backup.storage.base import Storage
    from include.backup.vault.generations import Generation
    from include.backup.vault.replicas import Replica
    from include.backup.vault.state import DatasetState

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Done:
    """What a run has copied, and what it could not."""

    files: int = 0
    size_bytes: int = 0
    read_again: int = 0
    missing: list[str] = field(default_factory=list)  # snapshots
    damaged: list[str] = field(default_factory=list)  # generations, in the copy
    mended: list[str] = field(default_factory=list)  # generations
    touched: set[str] = field(default_factory=set)  # generations that got files
    first_locks: dict[str, FirstLock] = field(default_factory=dict)  # of generations new to it
    why: list[str] = field(default_factory=list)  # for people
    rescue: dict[str, str] = field(default_factory=dict)  # what opens the copy without us

    def count(
        self, generation: Generation, copied: Copied, before: Replica | None, *, mended: bool
    ) -> None:
        """Count what was copied of a generation, or was there."""
        if copied.locked_until and not (before and generation.id in before.locked_until):
            first = FirstLock(copied.locked_until, shorter=bool(copied.found))
            self.first_locks[generation.id] = first
        if mended:
            self.mended.append(generation.id)
        if copied.files:
            self.touched.add(generation.id)
        self.files += copied.files
        self.size_bytes += copied.size_bytes
        self.read_again += len(copied.read_again)


def note_gone(act: Act, pair: Pair, state: DatasetState) -> list[str]:
    """Record what the copy was said to hold, and does not: until it is copied it counts no more."""
    before = state.replica(pair.copy.vault.url)
    told = []
    for generation in state.generations if before else ():
        claimed = {point.snapshot for point in generation.points if before and before.has(point)}
        if gone := claimed.intersection(_not_there(pair, generation)):
            what = f"{count(len(gone), 'recovery point')} of {generation.id} had gone from the copy"
            act.record(
                Kind.DAMAGED,
                bodies.damaged([generation.id]) | {"reason": what, "replica": pair.copy.vault.url},
            )
            told.append(what)
    return told


def copy_data(
    act: Act, pair: Pair, state: DatasetState, progress: Progress, go_on: Callable[[], None]
) -> Done:
    """Copy every generation that has recovery points; what cannot be copied is told, not fatal."""
    done = Done()
    before = act.place.state().replica(pair.copy.vault.url)  # with what had gone
    for generation in state.generations:
        if generation.state is not GenerationState.COMPLETED:
            continue
        mend = before is not None and generation.id in before.damaged
        try:
            copied = _copy_generation(act, pair, generation, progress, go_on, mend=mend)
        except ReplicaDamaged as error:
            done.damaged.append(generation.id)
            done.why.append(f"{generation.id}: {error.message}")
        except DamageFound as error:
            if not generation.damaged:  # said once
                act.note_damage(generation.id, error.message)
            done.missing += _not_there(pair, generation)
            done.why.append(f"{generation.id}: {error.message}")
        else:
            done.count(generation, copied, before, mended=mend)
    return done


def _is_whole_at_home(act: Act, generation: Generation) -> bool:
    """Whether what has no name by its bytes can be trusted there: key file and config open.

    Nothing whole in the copy is replaced by what is damaged at home.
    """
    if generation.damaged:
        return False
    try:
        act.place.repository(generation)
    except (DamageFound, KeyUnusable, ConfigurationInvalid) as error:
        log.warning("%s: %s", generation.id, error)
        return False
    return True


def _copy_generation(
    act: Act,
    pair: Pair,
    generation: Generation,
    progress: Progress,
    go_on: Callable[[], None],
    *,
    mend: bool,
) -> Copied:
    """Copy a generation; what leaves the home meanwhile is not needed.

    Raises:
        DamageFound: at home something is not as it was written, or gone.
        ReplicaDamaged, StorageError.
    """
    if mend and not _is_whole_at_home(act, generation):
        raise ReplicaDamaged("damaged in the copy, and not known to be whole at home")
    missed = ""  # a file that was listed and is not there: listed anew, it may be
    while True:
        current = act.place.state().generation(generation.id)
        if current is None or current.state is not GenerationState.COMPLETED:
            return Copied()
        try:
            route = _route(act, pair, generation, current, progress, go_on)
            return copy_generation(route, mend=mend)
        except FileAbsent as error:
            if act.place.state().generation(generation.id) != current:
                continue
            if missed == error.message:
                raise DamageFound(f"{error.message}; the home has lost it") from error
            missed = error.message


def _route(
    act: Act,
    pair: Pair,
    generation: Generation,
    current: Generation,
    progress: Progress,
    go_on: Callable[[], None],
) -> Route:
    now = act.now()
    before = act.place.state().replica(pair.copy.vault.url)
    own = before.locked_until.get(generation.id) if before else None
    locks = bool(pair.copy.vault.object_lock)
    staying = {point.snapshot for point in current.points}
    return Route(
        home=pair.home.folder,
        copy=pair.copy.folder,
        expiring=pair.expiring.folder,
        generation=generation.id,
        snapshots={
            point.snapshot: point.expires_at if locks and point.expires_at > now else None
            for point in generation.points
            if point.snapshot in staying
        },
        locked_until=locked_until(pair.copy, replace(generation, locked_until=own), now),
        day=(now - EPOCH).days,
        go_on=go_on,
        progress=progress,
    )


def _not_there(pair: Pair, generation: Generation) -> list[str]:
    """The snapshots that the copy lacks, each asked for by its name if no listing has it."""
    repository = generation_folder(pair.copy.folder, generation.id)
    there = {info.name.rpartition("/")[2] for info in repository.list("snapshots/")}
    unlisted = [point.snapshot for point in generation.points if point.snapshot not in there]
    return [one for one in unlisted if not _is_there(repository, f"snapshots/{one}")]


def _is_there(repository: Storage, name: str) -> bool:
    try:
        repository.stat(name)
    except (FileAbsent, DamageFound):
        return False
    return True
