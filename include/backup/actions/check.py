"""Checking everything that is stored of a dataset: ledger, envelopes, repositories."""

from __future__ import annotations

import logging
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from include.backup.actions.acts import Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_acts import CHECK
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.rescuing import strangers
from include.backup.actions.undelete import tampering_in
from include.backup.errors import (
    DamageFound,
    FileAbsent,
    LedgerBroken,
    ReplicaDamaged,
    StorageError,
)
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count
from include.backup.repository.check import check_data, check_packs, check_trees, pack_sizes
from include.backup.repository.progress import Progress
from include.backup.vault import bodies
from include.backup.vault.coverage import (
    SHARES,
    Read,
    coverage,
    next_shares,
    share_of,
    shares_of,
    with_reads,
)
from include.backup.vault.generations import GenerationState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.repository.repository import Repository
    from include.backup.vault.coverage import Coverage, Share
    from include.backup.vault.generations import Generation, Point

log = logging.getLogger(__name__)
_MOST_DAMAGES = 1000  # in a record


class Reading(Enum):
    """How much of the stored data a check reads."""

    NOTHING = "nothing"  # the structure alone
    NEXT = "next"  # of each generation the share that was not read for the longest time
    ALL = "all"


def check(
    setting: Setting,
    name: str,
    *,
    reading: Reading,
    progress: Progress | None = None,
    replica: str = "",
) -> tuple[Outcome, list[str]]:
    """Check every completed generation of a dataset, and its ledger.

    Args:
        reading: which of the stored bytes are read as well.
        replica: the name of the vault whose copy is checked; empty: what the home holds.

    Returns:
        The outcome, and one text for each damage, and for each of the first names that somebody has
        tampered with; none means that all is as it was written.

    Raises:
        StorageError, KeyUnusable: the check could not be done.
        LedgerBroken: the ledger itself is damaged, and nothing was recorded.
    """
    place = DatasetVault.open_to_rescue(setting, name, replica=replica)
    act = Act(place, CHECK)
    progress = progress or Progress()

    def failed(error: BaseException) -> str:
        return sentences.check_failed(
            place.subject,
            reason=reason_of(error),
            damaged=isinstance(error, DamageFound),
            hint=hint_of(error),
        )

    with act.ending(failed):
        state = act.begin()
        damages = list(_ledger_damages(place))
        if replica:
            _check_copied_ledger(act)
        checked = [g for g in state.generations if g.state is GenerationState.COMPLETED]
        found, read = _check_generations(act, checked, progress, reading)
        damages += [f"{generation}: {what}" for generation, all_ in found.items() for what in all_]
        damages += _strangers(place)
        hidden = tampering_in(place.folder)
    covered = _covered(checked, read, act.now()) if reading is Reading.NEXT else None
    told = sentences.checked(
        place.subject,
        generations=len(checked),
        points=sum(len(generation.points) for generation in checked),
        bytes_read=None if reading is Reading.NOTHING else progress.bytes_done,
        coverage=covered,
        late=covered is not None and covered.is_late(act.now()),
        damages=damages,
        tampering=hidden,
    )
    # What was read of a replica says nothing about the bytes at home.
    body = bodies.checked(damaged=sorted(found), read=None if replica else read) | {
        "read_data": reading is Reading.ALL,
        "reading": reading.value,
        "bytes_read": progress.bytes_done,
        "damages": damages[:_MOST_DAMAGES],
        "tampering": hidden.to_json(),
    }
    what = f"{count(len(damages), 'damage')} found" if damages else "checked, whole"
    what += f", {count(hidden.names, 'file')} tampered with" if hidden.names else ""
    details: dict[str, object] = {"damages": len(damages), "tampering": hidden.names}
    outcome = act.end(Kind.CHECKED, body, say=lambda _: told, what=what, details=details)
    return outcome, [*damages, *hidden.told()]


def _check_generations(
    act: Act, checked: Sequence[Generation], progress: Progress, reading: Reading
) -> tuple[dict[str, list[str]], dict[str, list[Share]]]:
    """The damages of those that have some, and what was read of each, damaged or not."""
    found: dict[str, list[str]] = {}
    read: dict[str, list[Share]] = {}
    for generation in checked:
        damages, read[generation.id] = _check_generation(act, generation, progress, reading)
        if damages:
            found[generation.id] = damages
    return found, read


def _ledger_damages(place: DatasetVault) -> Iterator[str]:
    """What is wrong with the ledger, where the glass was broken: else it ends the check.

    Raises:
        LedgerBroken: it does not fit.
    """
    try:
        place.ledger.verify()
    except LedgerBroken as error:
        if place.salvaged is None:
            raise
        yield error.message
    else:
        if place.salvaged is not None:
            yield "the ledger is gone"


def _strangers(place: DatasetVault) -> list[str]:
    """What lies at the root of the vault to be followed in need, and is not ours."""
    try:
        return strangers(place.setting, place.vault)
    except StorageError as error:
        log.warning("%s: nobody can say whose RECOVERY.txt it has: %s", place.where, error)
        return []


def _check_copied_ledger(act: Act) -> None:
    """See that the copy of the ledger fits as well.

    Raises:
        ReplicaDamaged: it does not; that of the home does.
    """
    try:
        act.place.alone().ledger.verify()
    except LedgerBroken as error:
        raise ReplicaDamaged(f"in {act.place.where}: {error.message}") from error


def _covered(
    checked: Sequence[Generation], read: Mapping[str, Sequence[Share]], now: datetime
) -> Coverage:
    """What will have been read again, this check included."""
    after = (
        replace(
            one,
            reads=with_reads(one.reads, (Read(share, now, packs, size_bytes)
                             for share, packs, size_bytes in read.get(one.id, ()))),
        )
        for one in checked
    )  # fmt: skip
    return coverage(after, now=now)


def _check_generation(
    act: Act, generation: Generation, progress: Progress, reading: Reading
) -> tuple[list[str], list[Share]]:
    """One text for each damage in one generation; and the shares of it that were read."""
    try:
        repository = act.place.repository(generation)
    except DamageFound as error:
        return [error.message], []
    spoilt: list[DamageFound] = []
    repository.load_index(damaged=spoilt)
    damages = [error.message for error in spoilt]
    damages += [str(damage) for damage in check_packs(repository, pack_sizes(repository))]
    seen: set[bytes] = set()
    for point in generation.points:
        what = f"snapshot {point.snapshot[:8]}"
        try:
            tree = _tree_of(repository, point)
        except DamageFound as error:
            if _is_still_there(act, point):  # else it has expired meanwhile
                damages.append(error.message)
            continue
        damages += [str(damage) for damage in check_trees(repository, [(what, tree)], seen=seen)]
    held = shares_of(repository.index.pack_bytes())
    wanted = _wanted(generation, reading, held, act.now())
    if wanted:
        found = check_data(
            repository, progress=progress, wanted=lambda pack: share_of(pack) in wanted
        )
        damages += [str(damage) for damage in found]
    read = [one for one in held if one.share in wanted]
    return list(dict.fromkeys(damages)), read  # a pack that is gone is met twice


def _tree_of(repository: Repository, point: Point) -> bytes:
    try:
        return repository.load_snapshot(bytes.fromhex(point.snapshot)).tree
    except FileAbsent:
        raise DamageFound(
            f"snapshot {point.snapshot[:8]} of a recorded recovery point is gone"
        ) from None


def _is_still_there(act: Act, point: Point) -> bool:
    """Whether the ledger of this moment has a recovery point."""
    return any(one.snapshot == point.snapshot for one in act.place.state().points)


def _wanted(
    generation: Generation, reading: Reading, held: Sequence[Share], now: datetime
) -> frozenset[int]:
    """The shares that are read."""
    if reading is Reading.ALL:
        return frozenset(range(SHARES))
    if reading is Reading.NOTHING:
        return frozenset()
    opened_at = generation.opened_at
    return frozenset(next_shares(generation.reads, held, opened_at=opened_at, now=now))
