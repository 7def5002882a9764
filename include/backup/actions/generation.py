"""Opening the repository of a generation: a new one, or one that exists already.

A new generation is recorded before any of its files exists: the ledger knows of everything that
is in the vault, and what a crash leaves half-made is abandoned by name.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from include.backup.actions.acts import lock_owner
from include.backup.actions.unrecorded import (
    adopt,
    index_found_packs,
    require_packs,
    require_recorded_snapshots,
)
from include.backup.errors import BackupError, FileAbsent, KeyUnusable
from include.backup.evidence.kinds import Kind
from include.backup.policy.retention import closes_at
from include.backup.repository.check import pack_sizes
from include.backup.repository.lock import remove_dead
from include.backup.repository.repository import Repository
from include.backup.vault import bodies
from include.backup.vault.generations import GenerationState
from include.backup.vault.keyring import KeyContext, new_envelope
from include.backup.vault.layout import envelope_folder, generation_folder, new_generation

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.acts import Act
    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.repository.lock import RepositoryLock
    from include.backup.vault.generations import Generation


def open_new(act: Act, *, new_key: bool = False) -> tuple[Generation, Repository]:
    """Open a new generation: record, envelope, key file, config.

    Args:
        new_key: whether it may have another master key than the newest generation.

    Raises:
        KeyUnusable: it would have; whoever wants to restore would need to know both.
        StorageError, LeaseLost.
    """
    place, now = act.place, act.now()
    _refuse_other_key(place, new_key=new_key)
    name = new_generation(now, [generation.id for generation in place.state().generations])
    context = KeyContext(dataset=place.dataset.name, generation=name)
    offline = place.setting.datasets.key.offline
    envelope, secret = new_envelope(place.provider(), context, now=now, offline=offline)
    closing = closes_at(now, place.full_interval, place.setting.policy.grace)
    act.record(
        Kind.OPENED,
        bodies.opened(
            generation=name,
            opened_at=now,
            closes_at=closing,
            key=envelope.master_key_id,
            envelope_sha256=envelope.sha256,
            locked_until=_first_lock(place, closing),
        ),
    )
    generation = place.state().generation(name)
    assert generation is not None
    until = locked_until(place, generation, now)
    place.folder.save(envelope.name, envelope.to_bytes(), locked_until=until)
    storage = generation_folder(place.folder, name)
    return generation, Repository.create(storage, secret.password, now=now, locked_until=until)


def _refuse_other_key(place: DatasetVault, *, new_key: bool) -> None:
    ours = place.provider().master_key_id
    known = [generation for generation in place.state().generations if generation.points]
    if known and known[-1].key != ours and not new_key:
        raise KeyUnusable(
            f"generation {known[-1].id} of {place.dataset.name} opens with master key "
            f"{known[-1].key}, and {ours} was given",
            hint="give that key; to go on with another one: back-up --full --new-key",
        )


def resume(
    act: Act,
    generation: Generation,
    repository: Repository,
    *,
    lock: RepositoryLock,
) -> int:
    """Load the index of a generation that exists, with what dead runs have left in it.

    Args:
        lock: held, so that no `restic prune` makes the index untrue once it is loaded.

    Returns:
        How many snapshots without a record became recovery points of the ledger.

    Raises:
        DamageFound, StorageError, LeaseLost, RepositoryLocked.
    """
    place = act.place
    repository.load_index()
    sizes = pack_sizes(repository)
    require_packs(repository, sizes)
    _remove_dead(place, repository)
    until = locked_until(place, generation, act.now())
    index_found_packs(repository, sizes, confirm=lock.confirm, locked_until=until)

    def generation_now() -> Generation:
        return place.state().generation(generation.id) or generation

    unrecorded = require_recorded_snapshots(repository, generation_now)
    if unrecorded:
        lock.confirm()
    return adopt(act, repository, generation, unrecorded)


def remove_dead_locks(place: DatasetVault) -> None:
    """Remove restic's locks that acts have left which were killed after their last record.

    Who goes on in a generation does so there; no act comes back to an older one, and stock restic
    would refuse to check it until somebody unlocks it.
    """
    for generation in place.state().generations:
        if generation.state is GenerationState.EXPIRED:
            continue
        if any(True for _ in generation_folder(place.folder, generation.id).list("locks/")):
            with suppress(BackupError):  # no key, or a damaged one: that is told elsewhere
                _remove_dead(place, place.repository(generation))


def _remove_dead(place: DatasetVault, repository: Repository) -> None:
    def living() -> set[str]:
        return {lock_owner(place, known.id) for known in place.state().acts}

    remove_dead(repository, ours=lock_owner(place, ""), living=living)


def bytes_found(act: Act, generation: Generation, repository: Repository) -> int:
    """What interrupted runs have stored in a generation, and no recovery point accounts for.

    Their packs may be named in an index already: one is saved every few minutes. Without a failure
    since the last recovery point, what nobody accounts for was put there by somebody else.
    """
    if generation.points and not act.place.state().failures:
        return 0
    accounted = sum(point.bytes_in_vault for point in generation.points) + generation.bytes_gone
    return max(0, repository.index.blob_bytes - accounted)


def is_half_made(place: DatasetVault, generation: Generation) -> bool:
    """Whether a run died while it made the files of a generation: nothing can be in it yet."""
    if not any(True for _ in place.folder.list(envelope_folder(generation.id))):
        return True
    try:
        generation_folder(place.folder, generation.id).stat("config")
    except FileAbsent:
        return True
    return False


def locked_until(place: DatasetVault, generation: Generation, now: datetime) -> datetime | None:
    """The lock date of everything in a generation but its snapshots (invariant 8).

    None where nothing is locked; or when the date has passed, for a store takes no such date.
    """
    if not place.vault.object_lock:
        return None
    date = generation.locked_until or _first_lock(place, generation.closes_at)
    return date if date is not None and date > now else None


def _first_lock(place: DatasetVault, closing: datetime) -> datetime | None:
    """That of a new generation: the last point that can be added to it is kept so long."""
    if not place.vault.object_lock:
        return None
    return closing + place.data_class.complete_within + place.data_class.retention
