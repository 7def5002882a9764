"""Putting one snapshot back: into a directory, blob by blob, or into a server, which takes it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.actions.about import ParentPoint
from include.backup.actions.restoring import Restoring
from include.backup.errors import DamageFound, FileAbsent, RestoreRefused
from include.backup.evidence.wording import Several, count
from include.backup.quality.comparing import Everything, Restored, everything
from include.backup.repository.streaming import SnapshotFiles
from include.backup.sources.base import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

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


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPoint:
    """A recovery point that can be read."""

    dataset: str
    repository: Repository  # its index loaded
    snapshot: Snapshot
    damages: Sequence[str]  # of its generation, but for that of blobs

    @property
    def size_bytes(self) -> int:
        """Of the data in it; 0 when nobody knows."""
        summary = self.snapshot.summary
        return 0 if summary is None else summary.total_bytes_processed

    @property
    def own(self) -> Node:
        """The dataset's own directory.

        Raises:
            DamageFound: there is none.
        """
        node = ParentPoint(self.repository, self.snapshot).root(self.dataset.encode())
        if node is None or node.subtree is None:
            raise DamageFound(f"the snapshot holds no directory {self.dataset!r}")
        return node


def open_point(act: Act, point: Point) -> OpenPoint:
    """Open a recovery point; what is damaged on the way is recorded.

    Raises:
        DamageFound: it cannot be read.
        KeyUnusable, StorageError.
    """
    place = act.place
    generation = place.state().generation(point.generation)
    assert generation is not None
    repository, damages = place.repository_to_restore(generation)
    for damage in damages:
        act.note_damage(generation.id, damage)
    return OpenPoint(
        dataset=place.dataset.name,
        repository=repository,
        snapshot=_snapshot(repository, point),
        damages=damages,
    )


def put_back(
    point: OpenPoint, destination: Destination | Server, pattern: str, progress: Progress
) -> Done:
    """Put a recovery point back.

    Raises:
        DamageFound: some entries could not be restored; of a directory the others are.
        RestoreRefused, StorageFull: the destination did not take all of it.
        StorageError.
    """
    if point.snapshot.summary is not None:
        files = point.snapshot.summary.total_files_processed
        progress.bytes_total = 0 if pattern else progress.bytes_done + point.size_bytes
        progress.entries_total = 0 if pattern else progress.entries + files
    if isinstance(destination, Server):
        return _into_server(point, destination, progress)
    return _into_directory(point, destination, pattern, progress)


def _snapshot(repository: Repository, point: Point) -> Snapshot:
    try:
        return repository.load_snapshot(bytes.fromhex(point.snapshot))
    except FileAbsent:
        raise DamageFound(
            f"snapshot {point.snapshot[:8]} of a recorded recovery point is gone",
            hint="`recovery-points DATASET` lists the others",
        ) from None


def _into_directory(
    point: OpenPoint, destination: Destination, pattern: str, progress: Progress
) -> Done:
    restoring = Restoring(point.repository, destination, pattern, progress)
    restoring.run(point.own)
    refused = _joined(restoring.notes.told(lost=True), restoring.refused)
    if restoring.damages:
        raise damaged_entries(restoring.damages, refused=refused)
    if refused.total:
        raise refused_entries(refused)
    return Done(
        files=restoring.files,
        bytes_written=restoring.bytes_written,
        contents=count(restoring.files, "file"),
        notes=_joined(restoring.notes.told(), point.damages),
        matched=restoring.matched,
    )


def _into_server(point: OpenPoint, server: Server, progress: Progress) -> Done:
    progress.entries_total = 0  # a server counts otherwise
    with opened_files(point) as files:
        done = server.put(files, lambda written: progress.add(bytes_done=written))
    if (lost := done.notes.told(lost=True)).total:
        raise refused_entries(lost)
    return Done(
        files=done.files,
        bytes_written=done.bytes_written,
        contents=done.contents,
        notes=_joined(done.notes.told(), point.damages),
        matched=done.files > 0,
    )


@contextmanager
def opened_files(point: OpenPoint) -> Iterator[PointFiles]:
    """The files of a recovery point.

    Raises:
        DamageFound, StorageError.
    """
    subtree = point.own.subtree
    assert subtree is not None
    with SnapshotFiles(point.repository, subtree) as files:
        yield PointFiles(files, ParentPoint(point.repository, point.snapshot))


@contextmanager
def restored(
    point: OpenPoint,
    notes: Several,
    progress: Progress,
    *,
    now: datetime,
    wanted: Callable[[bytes], bool] = everything,
    alone: bool = True,
) -> Iterator[Restored]:
    """A recovery point that was put back, to be compared with what is there now.

    Args:
        notes: those of the restore: what is known to be not as it was is no fault.
        wanted, alone: see Restored.

    Raises:
        DamageFound, StorageError.
    """
    tree = point.own.subtree
    assert tree is not None
    if progress.bytes_total:
        progress.bytes_total = progress.bytes_done + point.size_bytes  # all of it once more
    with opened_files(point) as files:
        yield Restored(
            repository=point.repository,
            tree=tree,
            files=files,
            excused=Everything() if len(notes.texts) < notes.total else set(_named_in(notes.texts)),
            progress=progress,
            now=now,
            wanted=wanted,
            alone=alone,
        )


def _named_in(notes: Iterable[str]) -> Iterator[str]:
    """What stands before a colon in a note: the path of the entry, which may hold one itself."""
    for note in notes:
        parts = note.split(": ")
        for end in range(1, len(parts)):
            yield ": ".join(parts[:end])


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
