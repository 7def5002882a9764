"""A dataset whose ledger is lost or cannot be believed, as its repositories themselves tell it.

Only for a rescue (invariant 10): every snapshot of ours in every generation that the master key
opens is a recovery point, in the order of their times. What the ledger alone knows is not known:
what was damaged, held, erased, verified; whether a snapshot was ever recorded.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from include.backup.errors import BackupError
from include.backup.policy.model import Method
from include.backup.policy.retention import expires_at
from include.backup.repository.repository import HOSTNAME, Repository
from include.backup.vault.generations import Generation, GenerationState, Point
from include.backup.vault.keyring import KeyContext, load_secret
from include.backup.vault.layout import GENERATIONS, generation_folder, opened_at_of
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from include.backup.format.snapshot import Snapshot
    from include.backup.storage.base import Storage
    from include.backup.vault.keyring import KeyProvider

log = logging.getLogger(__name__)


def salvaged_state(
    folder: Storage, dataset: str, provider: KeyProvider, *, retention: timedelta
) -> DatasetState:
    """What can be restored of a dataset. Generations that cannot be opened are told in the log.

    Args:
        folder: of the dataset.
        retention: of its class, for want of what the records had said.

    Raises:
        StorageError: the folder cannot be read.
    """
    generations = []
    for name in folder.folders(GENERATIONS):
        try:
            generations.append(_generation(folder, dataset, name, provider, retention))
        except BackupError as error:
            log.warning("generation %s of %s cannot be opened: %s", name, dataset, error)
    found = sorted((point for one in generations for point in one.points), key=_taken_at)
    order = {point.snapshot: number for number, point in enumerate(found, start=1)}
    since = min((one.opened_at for one in generations), default=None)
    return DatasetState(
        since=since, generations=tuple(_numbered(one, order) for one in generations)
    )


def _numbered(generation: Generation, order: Mapping[str, int]) -> Generation:
    points = (replace(one, sequence=order[one.snapshot]) for one in generation.points)
    return replace(generation, points=tuple(points))


def _generation(
    folder: Storage, dataset: str, name: str, provider: KeyProvider, retention: timedelta
) -> Generation:
    opened_at = opened_at_of(name)
    secret = load_secret(folder, provider, KeyContext(dataset=dataset, generation=name))
    repository = Repository.open(generation_folder(folder, name), secret.password)
    points = []
    for snapshot_id in repository.file_ids("snapshots"):
        try:
            snapshot = repository.load_snapshot(snapshot_id)
        except BackupError as error:
            log.warning("snapshot %s of %s cannot be read: %s", snapshot_id.hex()[:8], name, error)
            continue
        if snapshot.hostname == HOSTNAME and snapshot.paths == (f"/{dataset}",):
            points.append(_point(snapshot, snapshot_id, name, retention))
    return Generation(
        id=name,
        state=GenerationState.COMPLETED,
        opened_at=opened_at,
        closes_at=opened_at,
        key=provider.master_key_id,
        envelope_sha256="",
        points=tuple(sorted(points, key=_taken_at)),
    )


def _point(snapshot: Snapshot, snapshot_id: bytes, generation: str, retention: timedelta) -> Point:
    summary = snapshot.summary
    full = f"method={Method.FULL}" in snapshot.tags
    return Point(
        snapshot=snapshot_id.hex(),
        generation=generation,
        method=Method.FULL if full else Method.INCREMENTAL,
        taken_at=snapshot.time,
        committed_at=summary.backup_end if summary else snapshot.time,
        expires_at=expires_at(snapshot.time, retention),
        slot=None,
        entries=summary.total_files_processed if summary else 0,
        bytes_read=summary.total_bytes_processed if summary else 0,
        bytes_new=summary.data_added if summary else 0,
        bytes_stored=summary.data_added_packed if summary else 0,
        bytes_all=summary.total_bytes_processed if summary else 0,
        sequence=1,
    )


def _taken_at(point: Point) -> tuple[datetime, str]:
    return point.taken_at, point.snapshot
