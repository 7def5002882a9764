"""One dataset in a vault on disk, backed up by the real action at the real time.

The vault is a directory and the clock is the machine's, so that entries are found unchanged by
the rules that hold in production, and stock restic reads the very files that were written.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from include.backup.actions.about import ParentPoint
from include.backup.actions.archive import Archive
from include.backup.actions.back_up import back_up
from include.backup.actions.choosing import Order
from include.backup.actions.export_key import export_key
from include.backup.actions.put_back import PointFiles
from include.backup.actions.restore import restore
from include.backup.format.ids import digest
from include.backup.format.tree import encode_tree
from include.backup.policy.model import Method
from include.backup.repository.progress import Progress
from include.backup.repository.repository import Repository
from include.backup.repository.streaming import SnapshotFiles
from include.backup.sources.directory import Directory
from include.backup.storage.local import LocalStorage
from tests.damage.site import Site
from tests.unit.repository.samples import writing

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.format.tree import Node
    from tests.interop.conftest import Restic


class Archives(Site):
    """A site whose vault stock restic can read."""

    def __init__(self, folder: Path) -> None:
        self.vault = folder / "vault"
        super().__init__(folder, LocalStorage(self.vault))
        self.vault_url = f"file://{self.vault}"
        self._ahead = timedelta()
        self._passwords: dict[str, str] = {}

    def clock(self) -> datetime:
        """The machine's time, ahead by what was waited."""
        return datetime.now(UTC) + self._ahead

    def wait(self, **length: float) -> None:
        """Let time pass."""
        self._ahead += timedelta(**length)

    def add_second(self) -> None:
        """A second vault on disk, which holds a replica."""
        folder = self.folder / "second"
        folder.mkdir(exist_ok=True)
        self.second = LocalStorage(folder)
        self.second_url = f"file://{folder}"

    def back_up(self, method: Method = Method.INCREMENTAL) -> Outcome:
        """Take a recovery point; one that was not taken is a failure."""
        outcome = back_up(self.setting(), "crm", method=method)
        assert outcome.kind == "recovery-point", outcome.sentence
        return outcome

    def hold_still(self) -> None:
        """Wait until what is on disk was changed before the consistency point of the next backup.

        Entries changed in the second in which a backup begins are read again by the next one.
        """
        time.sleep(1.05 - time.time() % 1)

    def repository(self, outcome: Outcome) -> Repository:
        """The repository that a recovery point is in, with its index."""
        password = self.password(outcome)
        opened = Repository.open(LocalStorage(self.repository_folder(outcome)), password)
        opened.load_index()
        return opened

    def tree(self, outcome: Outcome) -> bytes:
        """The root tree of a recovery point."""
        repository = self.repository(outcome)
        return repository.load_snapshot(bytes.fromhex(outcome.details["snapshot"])).tree

    def stored(self, outcome: Outcome) -> PointFiles:
        """A recovery point, as a server that it is put back to sees it."""
        repository = self.repository(outcome)
        snapshot = repository.load_snapshot(bytes.fromhex(outcome.details["snapshot"]))
        point = ParentPoint(repository, snapshot)
        own = point.root(b"crm")
        assert own is not None
        assert own.subtree is not None
        return PointFiles(SnapshotFiles(repository, own.subtree), point)

    def data_root(self, outcome: Outcome) -> bytes:
        """What the root tree would be without what lies beside the dataset."""
        nodes = self.repository(outcome).load_tree(self.tree(outcome))
        return digest(encode_tree([node for node in nodes if node.name == b"crm"]))

    def read_whole(self, outcome: Outcome) -> bytes:
        """Read the dataset again with no parent, into the same repository; see `data_root`."""
        repository, source = self.repository(outcome), self.place().source()
        with (
            writing(repository) as session,
            source.read(now=self.clock(), parent=None) as reading,
        ):
            archive = Archive(
                repository,
                session,
                reading,
                parent_tree=None,
                progress=Progress(),
                guard=lambda: None,
            )
            root = reading.root._replace(name=b"crm", subtree=archive.run())
            session.flush()
        return digest(encode_tree([root]))

    def repository_folder(self, outcome: Outcome) -> Path:
        """Where stock restic finds it."""
        return self.vault / "datasets/crm/generations" / outcome.details["generation"]

    def password(self, outcome: Outcome) -> str:
        """What stock restic asks for."""
        return self.password_of(outcome.details["generation"])

    def password_of(self, generation: str) -> str:
        """The password of a generation, asked for once."""
        if generation not in self._passwords:
            self._passwords[generation] = export_key(self.setting(), "crm", generation)[1]
        return self._passwords[generation]

    def restic(self, restic: Restic, outcome: Outcome, *arguments: str) -> str:
        """Run stock restic on the repository that a recovery point is in."""
        return restic.run(
            *arguments,
            repository=self.repository_folder(outcome),
            password=self.password(outcome),
        )

    def restore(
        self, outcome: Outcome, target: Path, *, overwrite: bool = False, path: str = ""
    ) -> Outcome:
        """Restore a recovery point by our own means."""
        order = Order(
            recovery_point=outcome.details["snapshot"],
            address=str(target),
            requested_by="tests",
            path=path,
        )
        return restore(self.setting(), "crm", Directory(target, overwrite=overwrite), order)

    def restore_by_restic(self, restic: Restic, outcome: Outcome, target: Path) -> Path:
        """Restore a recovery point by stock restic; return where the dataset lies."""
        self.restic(
            restic, outcome, "restore", outcome.details["snapshot"], "--target", f"{target}"
        )
        return target / "crm"


def entries(repository: Repository, tree: bytes) -> dict[bytes, Node]:
    """Every node below a tree, by its path, however deep."""
    found: dict[bytes, Node] = {}
    waiting = [(b"", tree)]
    while waiting:
        above, tree_id = waiting.pop()
        for node in repository.load_tree(tree_id):
            found[above + node.name] = node
            if node.subtree is not None:
                waiting.append((above + node.name + b"/", node.subtree))
    return found


def allocated_bytes(path: Path) -> int:
    """How much room a file takes on disk."""
    return path.stat().st_blocks * 512
