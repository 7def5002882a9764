"""Checking everything that is stored of a dataset: ledger, envelopes, repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions.acts import CHECK, Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.errors import DamageFound
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count
from include.backup.repository.check import check_data, check_packs, check_trees, pack_sizes
from include.backup.repository.progress import Progress
from include.backup.vault import bodies
from include.backup.vault.generations import GenerationState

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.vault.generations import Generation

_MOST_DAMAGES = 1000  # in a record


def check(
    setting: Setting, name: str, *, read_data: bool, progress: Progress | None = None
) -> tuple[Outcome, list[str]]:
    """Check every completed generation of a dataset, and its ledger.

    Args:
        read_data: read every stored byte as well.

    Returns:
        The outcome, and one text for each damage; none means that all is as it was written.

    Raises:
        StorageError, KeyUnusable: the check could not be done.
        LedgerBroken: the ledger itself is damaged, and nothing was recorded.
    """
    place = DatasetVault.open_for_reading(setting, name)
    act = Act(place, CHECK)
    progress = progress or Progress()
    try:
        state = act.begin()
        place.ledger.verify()
        found: dict[str, list[str]] = {}
        checked = [g for g in state.generations if g.state is GenerationState.COMPLETED]
        for generation in checked:
            damages = _check_generation(place, generation, progress, read_data=read_data)
            if damages:
                found[generation.id] = damages
    except BaseException as error:
        told = sentences.check_failed(
            place.subject,
            reason=reason_of(error),
            damaged=isinstance(error, DamageFound),
            hint=hint_of(error),
        )
        error.outcome = act.fail(error, sentence=told)  # type: ignore[attr-defined]
        raise
    damages = [f"{generation}: {what}" for generation, all_ in found.items() for what in all_]
    told = sentences.checked(
        place.subject,
        generations=len(checked),
        points=sum(len(generation.points) for generation in checked),
        bytes_read=progress.bytes_done if read_data else None,
        damages=damages,
    )
    body = bodies.damaged(sorted(found)) | {
        "read_data": read_data,
        "bytes_read": progress.bytes_done,
        "damages": damages[:_MOST_DAMAGES],
    }
    what = f"{count(len(damages), 'damage')} found" if damages else "checked, whole"
    return act.end(Kind.CHECKED, body, say=lambda _: told, what=what), damages


def _check_generation(
    place: DatasetVault, generation: Generation, progress: Progress, *, read_data: bool
) -> list[str]:
    """One text for each damage in one generation."""
    try:
        repository = place.repository(generation)
    except DamageFound as error:
        return [error.message]
    spoilt: list[DamageFound] = []
    repository.load_index(damaged=spoilt)
    damages = [error.message for error in spoilt]
    damages += [str(damage) for damage in check_packs(repository, pack_sizes(repository))]
    stored = set(repository.file_ids("snapshots"))
    seen: set[bytes] = set()
    for point in generation.points:
        what = f"snapshot {point.snapshot[:8]}"
        if bytes.fromhex(point.snapshot) not in stored:
            damages.append(f"{what} of a recorded recovery point is gone")
            continue
        try:
            tree = repository.load_snapshot(bytes.fromhex(point.snapshot)).tree
        except DamageFound as error:
            damages.append(error.message)
            continue
        damages += [str(damage) for damage in check_trees(repository, [(what, tree)], seen=seen)]
    if read_data:
        damages += [str(damage) for damage in check_data(repository, progress=progress)]
    return list(dict.fromkeys(damages))  # a pack that is gone is met twice
