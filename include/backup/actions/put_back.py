"""Putting one snapshot back: into a directory, blob by blob, or into a server, which takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.actions.about import ParentPoint
from include.backup.actions.restoring import Restoring
from include.backup.errors import DamageFound, FileAbsent, RestoreRefused
from include.backup.evidence.wording import Several, count
from include.backup.repository.streaming import SnapshotFiles
from include.backup.sources.base import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.backup.actions.acts import Act
    from include.backup.format.snapshot import Snapshot
    from include.backup.format.tree import Node
    from include.backup.repository.progress import Progress
    from include.backup.repository.repository import Repository
    from include.backup.sources.base import Destination
    from include.backup.vault.generations import Point

_MOST_NAMED: Final = 20  # damaged entries that an error names; the record holds them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was put back."""

    files: int
    bytes_written: int
    contents: str  # for people
    notes: Several
    matched: bool  # whether the pattern, if there was one, fits anything


def put_back(
    act: Act, point: Point, destination: Destination | Server, pattern: str, progress: Progress
) -> Done:
    """Put a recovery point back; what is damaged on the way is recorded.

    Raises:
        DamageFound: some entries could not be restored; of a directory the others are.
        RestoreRefused, StorageFull: the destination did not take all of it.
        KeyUnusable, StorageError.
    """
    place = act.place
    generation = place.state().generation(point.generation)
    assert generation is not None
    repository, damages = place.repository_to_restore(generation)
    for damage in damages:
        act.note_damage(generation.id, damage)
    snapshot = _snapshot(repository, point)
    if snapshot.summary is not None:
        progress.bytes_total = 0 if pattern else snapshot.summary.total_bytes_processed
        progress.entries_total = 0 if pattern else snapshot.summary.total_files_processed
    name = place.dataset.name
    if isinstance(destination, Server):
        return _into_server(repository, snapshot, destination, name, progress, damages)
    return _into_directory(repository, snapshot, destination, name, pattern, progress, damages)


def _snapshot(repository: Repository, point: Point) -> Snapshot:
    try:
        return repository.load_snapshot(bytes.fromhex(point.snapshot))
    except FileAbsent:
        raise DamageFound(
            f"snapshot {point.snapshot[:8]} of a recorded recovery point is gone",
            hint="`recovery-points DATASET` lists the others",
        ) from None


def _into_directory(
    repository: Repository,
    snapshot: Snapshot,
    destination: Destination,
    name: str,
    pattern: str,
    progress: Progress,
    damages: Sequence[str],
) -> Done:
    restoring = Restoring(repository, destination, pattern, progress)
    restoring.run(snapshot.tree, name)
    refused = _joined(restoring.notes.told(lost=True), restoring.refused)
    if restoring.damages:
        raise damaged_entries(restoring.damages, refused=refused)
    if refused.total:
        raise refused_entries(refused)
    return Done(
        files=restoring.files,
        bytes_written=restoring.bytes_written,
        contents=count(restoring.files, "file"),
        notes=_joined(restoring.notes.told(), damages),
        matched=restoring.matched,
    )


def _into_server(
    repository: Repository,
    snapshot: Snapshot,
    server: Server,
    name: str,
    progress: Progress,
    damages: Sequence[str],
) -> Done:
    point = ParentPoint(repository, snapshot)
    own = point.root(name.encode())
    if own is None or own.subtree is None:
        raise DamageFound(f"the snapshot holds no directory {name!r}")
    progress.entries_total = 0  # a server counts otherwise
    with SnapshotFiles(repository, own.subtree) as files:
        done = server.put(
            PointFiles(files, point), lambda written: progress.add(bytes_done=written)
        )
    if (lost := done.notes.told(lost=True)).total:
        raise refused_entries(lost)
    return Done(
        files=done.files,
        bytes_written=done.bytes_written,
        contents=done.contents,
        notes=_joined(done.notes.told(), damages),
        matched=True,
    )


class PointFiles:
    """A dataset in a recovery point; see sources.base.StoredFiles."""

    def __init__(self, files: SnapshotFiles, point: ParentPoint) -> None:
        self._files = files
        self._point = point

    def list(self, path: bytes) -> list[Node]:
        """See StoredFiles.list."""
        return self._files.list(path)

    def find(self, path: bytes) -> Node | None:
        """See StoredFiles.find."""
        return self._files.find(path)

    def load(self, path: bytes) -> bytes:
        """See StoredFiles.load."""
        return self._files.load(path)

    def stream(self, path: bytes) -> Iterator[bytes]:
        """See StoredFiles.stream."""
        return self._files.stream(path)

    def about(self, name: str) -> bytes | None:
        """See StoredFiles.about."""
        return self._point.load(name)


def damaged_entries(damages: dict[str, str], *, refused: Several) -> DamageFound:
    """One error for all entries that could not be restored."""
    named = _named([f"{path}: {what}" for path, what in damages.items()])
    others = f"; besides, {refused_entries(refused).message}" if refused.total else ""
    entries = count(len(damages), "entry is", "entries are")
    return DamageFound(
        f"{entries} damaged and left out: {named}{others}",
        hint="everything else was restored; an older recovery point may have them whole",
    )


def refused_entries(refused: Several) -> RestoreRefused:
    """One error for all entries that were not put back for what stands in their place."""
    entries = count(refused.total, "entry was", "entries were")
    return RestoreRefused(
        f"{entries} not put back: {_named(refused.texts)}",
        hint="everything else was restored; move away what stands there, or restore elsewhere",
    )


def _named(entries: Sequence[str]) -> str:
    return "; ".join(entries[:_MOST_NAMED])


def _joined(several: Several, more: Sequence[str]) -> Several:
    return Several([*several.texts, *more], several.total + len(more))
