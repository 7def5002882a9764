"""What earlier runs left behind without a record: packs in no index, snapshots in no ledger.

A run that was killed has stored packs that no index names yet. Each says itself, in its sealed
header, what it holds; named in an index, its blobs are not uploaded again. A snapshot that was
saved just before the end is a recovery point as soon as its blobs are checked and it is recorded.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.backup.actions.clocks import expiry_of
from include.backup.errors import DamageFound
from include.backup.evidence import sentences
from include.backup.evidence.kinds import Kind
from include.backup.format.ids import short
from include.backup.format.times import datetime_of_text
from include.backup.policy.model import Method
from include.backup.policy.suspicion import Figures, figures_of, suspicion
from include.backup.repository.check import check_packs, check_trees, pack_sizes
from include.backup.repository.repository import HOSTNAME, Repository
from include.backup.repository.salvage import unindexed_packs
from include.backup.repository.writer import save_index
from include.backup.vault import bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from include.backup.actions.acts import Act
    from include.backup.format.snapshot import Snapshot, SnapshotSummary
    from include.backup.vault.generations import Generation

log = logging.getLogger(__name__)


def require_packs(repository: Repository, sizes: Mapping[bytes, int]) -> None:
    """See that every pack of the loaded index is there, whole by its size.

    What an incremental refers to is not stored again: it must not build on what is lost.

    Args:
        sizes: as `pack_sizes` told.

    Raises:
        DamageFound: names the first.
    """
    if damages := check_packs(repository, sizes):
        others = f"; {len(damages) - 1} more damaged" if len(damages) > 1 else ""
        raise DamageFound(f"{damages[0]}{others}", hint="run check on this dataset")


def index_found_packs(
    repository: Repository,
    sizes: Mapping[bytes, int],
    *,
    confirm: Callable[[], None],
    locked_until: datetime | None,
) -> None:
    """Name in the index what an interrupted run had stored.

    Args:
        sizes: as `pack_sizes` told.
        confirm: called before anything is stored; raises when this run must not.
    """
    found = list(unindexed_packs(repository, sizes))
    if found:
        confirm()
        save_index(repository, found, locked_until=locked_until)
    for pack_id, blobs in found:
        repository.index.add_pack(pack_id, blobs)


def require_recorded_snapshots(
    repository: Repository, generation_now: Callable[[], Generation]
) -> set[bytes]:
    """Compare the snapshots of a generation with its ledger; return those without a record.

    Args:
        generation_now: by the ledger of this moment: points expire while a backup goes on.

    Raises:
        DamageFound: a recovery point of the ledger has lost its snapshot.
    """
    before = generation_now()
    stored = set(repository.file_ids("snapshots"))
    generation = generation_now()
    gone = {bytes.fromhex(point.snapshot) for point in before.points}
    gone |= {bytes.fromhex(one) for one in before.leaving}
    recorded = {bytes.fromhex(point.snapshot) for point in generation.points}
    unlisted = recorded - stored
    if lost := {one for one in unlisted if repository.size_of(f"snapshots/{one.hex()}") is None}:
        raise DamageFound(
            f"generation {generation.id} has lost the snapshot {short(min(lost))} of a recorded "
            "recovery point",
            hint="run check on this dataset",
        )
    return stored - recorded - gone - {bytes.fromhex(one) for one in generation.leaving}


def adopt(
    act: Act, repository: Repository, generation: Generation, snapshot_ids: set[bytes]
) -> int:
    """Record complete snapshots that have no record; return how many.

    Raises:
        DamageFound: one of them is not whole.
    """
    found = [(repository.load_snapshot(snapshot_id), snapshot_id) for snapshot_id in snapshot_ids]
    adopted = 0
    for snapshot, snapshot_id in sorted(found, key=lambda pair: pair[0].time):
        what = f"snapshot {short(snapshot_id)}"
        if not _is_ours(snapshot, act.place.dataset.name):
            log.warning("%s of %s was not made by us; it is left alone", what, generation.id)
            continue
        damages = [
            *check_packs(repository, pack_sizes(repository)),
            *check_trees(repository, [(what, snapshot.tree)]),
        ]
        if damages:
            raise DamageFound(
                f"{what} was saved without a record, and is not whole: {damages[0]}",
                hint="run check on this dataset",
            )
        # A run that was replaced may have saved its full after its successor had: one more point.
        method = Method.FULL if not generation.points and not adopted else Method.INCREMENTAL
        _record(act, repository, generation, snapshot, snapshot_id, method)
        adopted += 1
    return adopted


def _is_ours(snapshot: Snapshot, dataset: str) -> bool:
    """Whether a run of ours made it; a person may have backed up into the repository as well."""
    return snapshot.hostname == HOSTNAME and snapshot.paths == (f"/{dataset}",)


def _figures(summary: SnapshotSummary) -> Figures:
    folders = summary.dirs_new + summary.dirs_changed + summary.dirs_unmodified
    return Figures(
        entries=max(0, summary.total_files_processed + folders - 1),
        bytes_all=summary.total_bytes_processed,
        bytes_new=summary.data_added,
        bytes_stored=summary.data_added_packed,
    )


def _record(
    act: Act,
    repository: Repository,
    generation: Generation,
    snapshot: Snapshot,
    snapshot_id: bytes,
    method: Method,
) -> None:
    place = act.place
    tags = dict(tag.partition("=")[::2] for tag in snapshot.tags)
    summary = snapshot.summary
    committed_at = summary.backup_end if summary else act.now()
    expires, _ = expiry_of(place, repository, snapshot, snapshot_id, committed_at=committed_at)
    body = bodies.recovery_point(
        generation=generation.id,
        snapshot=snapshot_id.hex(),
        method=method,
        taken_at=snapshot.time,
        committed_at=committed_at,
        expires_at=expires,
        slot=datetime_of_text(tags["slot"]) if "slot" in tags else None,
        entries=summary.total_files_processed if summary else 0,
        bytes_read=summary.total_bytes_processed if summary else 0,
        bytes_new=summary.data_added if summary else 0,  # with the trees: restic's own figure
        bytes_stored=summary.data_added_packed if summary else 0,
    )
    if summary:
        body["bytes_all"] = summary.total_bytes_processed
        if suspicious := suspicion(
            _figures(summary),
            figures_of(place.state().sound_points),
            tolerance=place.dataset.shrink_tolerance,
        ):
            body["suspicious"] = suspicious
    told = sentences.adopted(
        place.subject,
        method=str(method),
        taken_at=snapshot.time,
        where=place.where,
        expires_at=expires,
    )
    record = act.record(Kind.ADOPTED, body, say=lambda _: told)
    log.warning("%s", sentences.with_evidence(told, record))
