"""What stock restic backed up, we restore by our own means, and write again to the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.actions.restoring import Restoring
from include.backup.format.ids import BlobType, digest
from include.backup.format.tree import decode_tree, encode_tree
from include.backup.repository.progress import Progress
from include.backup.repository.repository import Repository
from include.backup.sources.directory import Directory
from include.backup.storage.local import LocalStorage
from tests.interop.archives import entries
from tests.interop.conftest import PASSWORD
from tests.interop.nasty import make_everything
from tests.interop.survey import differences, survey
from tests.interop.trees import File, Folder, grow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.conftest import Restic

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a dataset, crm, with one of everything."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "crm").mkdir()
    make_everything(folder / "crm")
    return folder


@pytest.fixture(scope="module", params=["auto", "off", "max"])
def repository(restic: Restic, folder: Path, request: pytest.FixtureRequest) -> Repository:
    """Two snapshots by stock restic, the second an incremental, at each of its compressions."""
    vault = folder / f"vault-{request.param}"
    more = folder / "crm" / "second"
    restic.run("init", "--repository-version", "2", repository=vault)
    backup = ("backup", "--compression", request.param, "crm")
    restic.run(*backup, repository=vault, cwd=folder)
    if not more.exists():
        more.mkdir()
        grow(more, Folder(entries={b"added": File(seed=9, noise_bytes=2 << 20)}))
    restic.run(*backup, repository=vault, cwd=folder)
    opened = Repository.open(LocalStorage(vault), PASSWORD)
    opened.load_index()
    return opened


def test_we_restore_what_stock_restic_backed_up(
    repository: Repository, folder: Path, tmp_path: Path
) -> None:
    """Content, modes, owners, times, links, attributes and device numbers, at the newest point."""
    snapshots = sorted(
        (snapshot for _, snapshot in repository.snapshots()), key=lambda snapshot: snapshot.time
    )
    assert len(snapshots) == 2
    target = Directory(tmp_path / "restored")
    target.prepare()
    restoring = Restoring(repository, target, "", Progress())
    roots = repository.load_tree(snapshots[-1].tree)
    restoring.run(next(node for node in roots if node.name == b"crm"))
    assert restoring.damages == {}
    told = restoring.notes.told().texts
    assert [note for note in told if "socket" not in note and "owners" not in note] == []
    assert not restoring.notes.told(lost=True).total
    assert differences(survey(folder / "crm"), survey(tmp_path / "restored")) == []


def test_every_tree_is_written_again_to_the_same_bytes(repository: Repository) -> None:
    """Of both snapshots, down to the deepest."""
    for _, snapshot in repository.snapshots():
        trees = {node.subtree for node in entries(repository, snapshot.tree).values()}
        trees = (trees | {snapshot.tree}) - {None}
        assert len(trees) > 200
        for tree in trees:
            assert tree is not None
            text = repository.load_blob(BlobType.TREE, tree)
            again = encode_tree(decode_tree(text, what="tree"))
            assert again == text
            assert digest(again) == tree
