"""Filling a repository with one snapshot of a dataset, and committing it.

The snapshot is saved last, under a lease that was renewed just before; its record follows. Between
the two it waits to be adopted. The time of a recovery point is the consistency point of the data.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from include.backup.actions.about import RESTORE_MD, AboutFolder, ParentPoint, restore_md
from include.backup.actions.archive import Archive
from include.backup.actions.clocks import expiry_of
from include.backup.actions.generation import locked_until
from include.backup.actions.offsite import counted
from include.backup.errors import DamageFound, DeadlinePassed, LeaseLost, SourceGone
from include.backup.evidence import sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import Several, count, moment, some_of
from include.backup.format.ids import BlobType, digest
from include.backup.format.snapshot import Snapshot, SnapshotSummary, encode_snapshot
from include.backup.format.times import text_of_datetime
from include.backup.format.tree import NodeType, encode_tree
from include.backup.policy.durations import format_duration
from include.backup.policy.retention import expires_at
from include.backup.policy.suspicion import Figures, figures_of, suspicion
from include.backup.repository.check import load_pack
from include.backup.repository.repository import HOSTNAME, Repository
from include.backup.repository.writer import WriteSession
from include.backup.vault import bodies
from include.backup.vault.rescue import UNWRAP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from include.backup.actions.acts import Act
    from include.backup.actions.outcome import Outcome
    from include.backup.format.tree import Node
    from include.backup.policy.model import Method
    from include.backup.repository.lock import RepositoryLock
    from include.backup.repository.progress import Progress
    from include.backup.sources.base import Reading
    from include.backup.sources.noting import Notes
    from include.backup.vault.generations import Generation
    from include.backup.vault.leases import Lease
    from include.backup.vault.state import DatasetState

PROGRAM: Final = "holdfast 0.1.0"
SAMPLE_SHARE: Final = 0.01  # of the new packs, read back before they count
_dice = random.SystemRandom()


@dataclass(slots=True, kw_only=True)
class Taking:
    """One snapshot on its way into a generation."""

    act: Act
    generation: Generation
    repository: Repository
    method: Method
    lease: Lease
    lock: RepositoryLock
    deadline: datetime | None
    progress: Progress
    remarks: list[str]
    bytes_found: int = 0  # what interrupted runs have stored for it before
    rescue: Mapping[str, object] = field(default_factory=dict)  # how it opens without us
    unwrap: str = UNWRAP  # the name of the script that does
    _before: DatasetState = field(init=False)
    _contents: str = field(init=False)  # what was read, for people
    _data_new: int = field(init=False)  # bytes of the dataset's own data that were not known

    def run(self) -> Outcome:
        """Read the dataset, store what is new, commit.

        Raises:
            SourceError, StorageError, DamageFound, LeaseLost, DeadlinePassed, RepositoryLocked.
        """
        place = self.act.place
        self._before = place.state()
        begun = self.act.now()
        parent_id, parent = _parent(self.repository, self.generation)
        self._remark_clock(begun)
        session = WriteSession(
            self.repository,
            progress=self.progress,
            guard=self._guard_storing,
            locked_until=locked_until(place, self.generation, begun),
        )
        try:
            with place.source().read(now=begun, parent=parent) as reading:
                archive = Archive(
                    self.repository,
                    session,
                    reading,
                    parent_tree=_own_tree(parent, place.dataset.name),
                    progress=self.progress,
                    guard=self._guard,
                )
                own_tree = archive.run()
                self._refuse_emptied(archive)
                root = reading.root._replace(
                    name=place.dataset.name.encode(), type=str(NodeType.DIR), subtree=own_tree
                )
                self._data_new = session.added.data_bytes
                about = self._about(session, parent, reading, archive)
                tree = session.add_blob(BlobType.TREE, encode_tree([about, root]))
                taken_at, notes = reading.taken_at, reading.notes
                self._contents = reading.contents(archive.counts.files)
            session.flush()
            read_back(self.repository, session, tree)
            snapshot = self._snapshot(taken_at, begun, tree, parent_id, archive, session)
            self._guard_storing()
            self.lease.check()
            return self._commit(snapshot, archive, session, notes)
        finally:
            session.close()

    def _about(
        self,
        session: WriteSession,
        parent: ParentPoint | None,
        reading: Reading,
        archive: Archive,
    ) -> Node:
        """Store what lies beside the data: how to restore it, what the source says of it."""
        text = restore_md(
            self.act.place,
            self.generation,
            archive.counts,
            reading.restore_steps(),
            unwrap=self.unwrap,
        )
        folder = AboutFolder(
            self.repository, session, parent, taken_at=reading.taken_at, go_on=self._guard
        )
        return folder.store({RESTORE_MD: text, **reading.about()})

    def _guard(self) -> None:
        """Stop a run that must not write any more.

        Raises:
            LeaseLost, DeadlinePassed.
        """
        if self.lease.over:
            raise LeaseLost(self.lease.over)
        self.lock.check()
        if self.deadline is not None and self.act.now() > self.deadline:
            raise DeadlinePassed(
                f"the time to complete ended at {moment(self.deadline)}",
                hint="what was stored is kept and used by the next run",
            )

    def _guard_storing(self) -> None:
        """Stop a run before it stores what it must not.

        Raises:
            RepositoryLocked: `restic prune` began at the same moment.
            LeaseLost, DeadlinePassed.
        """
        self._guard()
        self.lock.confirm()

    def _remark_clock(self, begun: datetime) -> None:
        newest = self._before.newest_point
        if newest is not None and begun <= newest.taken_at:
            self.remarks.append(
                f"the clock stands before the newest recovery point ({moment(newest.taken_at)}): "
                "it was set back, or was wrong then"
            )

    def _refuse_emptied(self, archive: Archive) -> None:
        newest = self._before.newest_point
        if archive.counts.entries <= 1 and newest is not None and newest.entries > 0:
            raise SourceGone(
                f"{self.act.place.dataset.address} is empty, and held "
                f"{count(newest.entries, 'entry', 'entries')} at the newest recovery point",
                hint="is the volume mounted? If it is meant to be empty, "
                "retire the dataset and list a new one",
            )

    def _snapshot(
        self,
        taken_at: datetime,
        begun: datetime,
        tree: bytes,
        parent_id: bytes | None,
        archive: Archive,
        session: WriteSession,
    ) -> Snapshot:
        place, counts, added = self.act.place, archive.counts, session.added
        tags = [f"class={place.data_class.name}", f"method={self.method}"]
        if self.act.slot is not None:  # so that whoever adopts the snapshot knows it
            tags.append(f"slot={text_of_datetime(self.act.slot)}")
        return Snapshot(
            time=taken_at,
            tree=tree,
            paths=(f"/{place.dataset.name}",),
            hostname=HOSTNAME,
            username="holdfast",
            parent=parent_id,
            tags=tuple(tags),
            program_version=PROGRAM,
            summary=SnapshotSummary(
                backup_start=begun,
                backup_end=self.act.now(),
                files_new=counts.files_new,
                files_changed=counts.files_changed,
                files_unmodified=counts.files_unmodified,
                dirs_new=counts.dirs_new,
                dirs_changed=counts.dirs_changed,
                dirs_unmodified=counts.dirs_unmodified,
                data_blobs=added.data_blobs,
                tree_blobs=added.tree_blobs,
                data_added=added.plaintext_bytes,
                data_added_packed=added.stored_bytes,
                total_files_processed=counts.files,
                total_bytes_processed=counts.bytes_all,
            ),
        )

    def _commit(
        self, snapshot: Snapshot, archive: Archive, session: WriteSession, notes: Notes
    ) -> Outcome:
        """Save the snapshot, then its record."""
        place = self.act.place
        snapshot_id = self._save(snapshot, expires_at(snapshot.time, place.data_class.retention))
        committed_at = self.act.now()  # a save may take long: that is no wrong clock
        expires, behind = expiry_of(
            place, self.repository, snapshot, snapshot_id, committed_at=committed_at
        )
        if behind:
            self.remarks.append(
                f"the clock of this machine is {format_duration(behind)} behind that of the vault; "
                "it is kept by that of the vault"
            )
        if notes:
            told = Several([f"{note.path} ({note.what})" for note in notes], notes.told().total)
            self.remarks.append(f"{count(told.total, 'note')}: {some_of(told)}")
        figures = self._figures(archive, session)
        suspicious = self._suspicion(figures, archive.counts.bytes_all)
        if suspicious:
            self.remarks.append(
                f"in doubt: {suspicious}; nothing expires until somebody has looked"
            )
        evidence = self._evidence(archive, session, notes)
        if suspicious:
            evidence["suspicious"] = suspicious
        body = bodies.recovery_point(
            generation=self.generation.id,
            snapshot=snapshot_id.hex(),
            method=self.method,
            taken_at=snapshot.time,
            committed_at=committed_at,
            expires_at=expires,
            slot=self.act.slot,
            **figures,
        )
        details = {
            "snapshot": snapshot_id.hex(),
            "generation": self.generation.id,
            "method": str(self.method),
        }
        return self.act.end(
            Kind.RECOVERY_POINT,
            body | evidence | dict(self.rescue),
            say=self._say(self._taken(snapshot, expires, archive)),
            what=f"{self.method} recovery point complete",
            details=details | figures | evidence,
        )

    def _save(self, snapshot: Snapshot, expires: datetime) -> bytes:
        """Save the snapshot; return its id."""
        data = encode_snapshot(self.repository.key, snapshot)
        snapshot_id = digest(data)
        self.repository.storage.save(
            f"snapshots/{snapshot_id.hex()}",
            data,
            sha256=snapshot_id,
            locked_until=expires if self.act.place.vault.object_lock else None,
        )
        return snapshot_id

    def _figures(self, archive: Archive, session: WriteSession) -> dict[str, int]:
        """What the ledger counts with; all but `entries` in bytes."""
        return {
            "entries": archive.counts.entries - 1,  # without the dataset's own directory
            "bytes_read": archive.counts.bytes_read,
            "bytes_new": self._data_new,
            "bytes_stored": session.added.stored_bytes,
            "bytes_found": self.bytes_found,
        }

    def _suspicion(self, figures: dict[str, int], bytes_all: int) -> str:
        """What is suspicious about this recovery point, compared with those before (3.2)."""
        now = Figures(
            entries=figures["entries"],
            bytes_all=bytes_all,
            bytes_new=figures["bytes_new"],
            bytes_stored=figures["bytes_stored"],
        )
        return suspicion(
            now,
            figures_of(self._before.sound_points),
            tolerance=self.act.place.dataset.shrink_tolerance,
        )

    def _evidence(self, archive: Archive, session: WriteSession, notes: Notes) -> dict[str, object]:
        """What the record says besides."""
        return {
            "sent": self.act.place.sent,
            "files": archive.counts.files,
            "bytes_all": archive.counts.bytes_all,
            "bytes_trees": session.added.plaintext_bytes - self._data_new,
            "packs": len(session.added.packs),
            **bodies.noted(notes.told()),
            "remarks": list(self.remarks),
        }

    def _taken(self, snapshot: Snapshot, expires: datetime, archive: Archive) -> sentences.Taken:
        """The recovery point, for its sentence."""
        return sentences.Taken(
            method=str(self.method),
            taken_at=snapshot.time,
            where=self.act.place.where,
            contents=self._contents,
            bytes_read=archive.counts.bytes_read,
            bytes_new=self._data_new,
            bytes_found=self.bytes_found,
            sent=self.act.place.sent,
            expires_at=expires,
        )

    def _say(self, taken: sentences.Taken) -> Callable[[DatasetState], str]:
        def say(state: DatasetState) -> str:
            place, now = self.act.place, self.act.now()
            before = counted(place.setting, place.dataset, self._before, now)
            after = counted(place.setting, place.dataset, state, now)
            ages = sentences.Ages(
                before=before.age(now),
                greatest=after.greatest_age_seen,
                limit=place.data_class.rpo,
                damaged=bool(before.points),
            )
            return sentences.backed_up(place.subject, taken, ages, remarks=self.remarks)

        return say


def read_back(repository: Repository, session: WriteSession, tree: bytes) -> int:
    """Read a sample of the new packs from the storage again; return how many.

    At least one pack of each type and one in a hundred, and always the root tree.

    Raises:
        DamageFound: what was stored is not what was sent.
    """
    sample: set[bytes] = set()
    for kind in BlobType:
        of_kind = [pack_id for pack_id, pack_kind in session.added.packs if pack_kind is kind]
        count = min(len(of_kind), max(1, round(len(of_kind) * SAMPLE_SHARE)))
        sample.update(_dice.sample(of_kind, count))
    for pack_id in sample:
        load_pack(repository, pack_id)
    repository.load_tree(tree)
    return len(sample)


def _parent(
    repository: Repository, generation: Generation
) -> tuple[bytes | None, ParentPoint | None]:
    """The newest recovery point of the generation, by the ledger's order."""
    if not generation.points:
        return None, None
    snapshot_id = bytes.fromhex(generation.points[-1].snapshot)
    return snapshot_id, ParentPoint(repository, repository.load_snapshot(snapshot_id))


def _own_tree(parent: ParentPoint | None, name: str) -> bytes | None:
    """The dataset's own directory in the parent snapshot."""
    if parent is None:
        return None
    if (own := parent.root(name.encode())) is not None:
        return own.subtree
    raise DamageFound(f"the parent snapshot holds no directory {name!r}")
