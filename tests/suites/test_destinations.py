"""Every destination under the laws of the suite, and what only directories can do to one."""

from __future__ import annotations

import os
import resource
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.restoring import Restoring
from include.backup.errors import RestoreRefused
from include.backup.format.ids import BlobType
from include.backup.format.tree import Node, NodeType, encode_tree
from include.backup.repository.progress import Progress
from include.backup.repository.repository import Repository
from include.backup.sources import noting
from include.backup.sources.directory import Directory
from include.backup.storage.memory import MemoryStorage
from tests.suites.destination_suite import (
    CONTENTS,
    DestinationSuite,
    DestinationTenant,
    begin,
    file_node,
    folder_node,
    restore,
    write,
)
from tests.suites.test_sources import as_nobody, open_above
from tests.unit.repository.samples import NOW, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.sources.base import Destination

KEPT = {"one": b"outside", "folder/small": b"outside", "large": b"outside"}
ROOT_NODE = folder_node(b"root", 0o750)


def files_below(root: Path) -> dict[bytes, bytes]:
    """Every entry that is no directory; links as what they say."""
    found = {}
    for folder, folders, names in os.walk(os.fsencode(root)):
        for name in [*folders, *names]:
            path = folder + b"/" + name
            mode = os.lstat(path).st_mode
            relative = path[len(os.fsencode(root)) + 1 :]
            if stat.S_ISREG(mode):
                with open(path, "rb") as file:  # noqa: PTH123  paths are bytes
                    found[relative] = file.read()
            elif stat.S_ISLNK(mode):
                found[relative] = b"-> " + os.readlink(path)  # noqa: PTH115  paths are bytes
    return found


def directory_tenant(target: Path) -> DestinationTenant:
    def put(path: bytes, content: bytes) -> None:
        full = target / os.fsdecode(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content)

    return DestinationTenant(
        open=lambda overwrite: Directory(target, overwrite=overwrite),
        content=lambda: files_below(target),
        put=put,
    )


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a directory is restored to; not there yet."""
    return tmp_path / "target"


@pytest.fixture(params=["directory"])
def place(request: pytest.FixtureRequest, target: Path) -> DestinationTenant:
    """Each kind of destination in turn, empty."""
    return {"directory": directory_tenant}[request.param](target)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory beside the target, with names that are restored. It must stay as it is."""
    folder = tmp_path / "outside"
    (folder / "folder").mkdir(parents=True)
    for name, content in KEPT.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    folder.chmod(0o711)
    before = sights(folder)
    yield folder
    assert sights(folder) == before


def sights(folder: Path) -> list[tuple[str, int, int, int]]:
    return sorted(
        (str(path), status.st_mode, status.st_mtime_ns, status.st_ctime_ns)
        for path in [folder, *folder.rglob("*")]
        for status in [path.lstat()]
    )


class TestDestinations(DestinationSuite):
    """Directories."""


def test_links_in_the_target_are_replaced_and_not_followed(
    place: DestinationTenant, target: Path, outside: Path
) -> None:
    """In the place of a directory, of a file, of a link to be."""
    target.mkdir()
    (target / "folder").symlink_to(outside / "folder")
    (target / "large").symlink_to(outside / "large")
    (target / "empty").symlink_to(outside / "new")
    (target / "linked").symlink_to(outside / "one")
    destination = begin(place.open(True))
    for path, content in CONTENTS.items():
        sink = destination.create(path, file_node(path, content))
        write(sink, content)
        sink.close()
    destination.make(b"link", Node(name=b"link", type=str(NodeType.SYMLINK), linktarget=b"new"))
    destination.link(b"linked", b"large")
    assert list(destination.finish()) == []
    wanted = CONTENTS | {b"link": b"-> new", b"linked": CONTENTS[b"large"]}
    assert place.content() == wanted


def test_a_link_put_in_the_place_of_a_directory_leads_nowhere(
    place: DestinationTenant, target: Path, outside: Path
) -> None:
    """While the restore runs: it fails, or goes on where it was, and never outside."""
    destination = begin(place.open(False))
    begun = destination.create(b"folder/small", file_node(b"folder/small", b"small"))
    begun.write(b"sm", 0)
    (target / "folder").rename(target / "moved")
    (target / "folder").symlink_to(outside / "folder")
    begun.write(b"all", 2)
    destination.make(b"elsewhere", folder_node(b"elsewhere"))  # another directory comes between
    sink = destination.create(b"elsewhere/file", file_node(b"file"))
    sink.close()
    with pytest.raises(RestoreRefused):
        begun.close()
    for node in (
        folder_node(b"new"),
        Node(name=b"new", type=str(NodeType.FIFO), mode=0o777),
        Node(name=b"new", type=str(NodeType.SYMLINK), linktarget=b"l"),
    ):
        with pytest.raises(RestoreRefused):
            destination.make(b"folder/new", node)
    with pytest.raises(RestoreRefused):
        destination.create(b"folder/small", file_node(b"folder/small")).close()
    destination.link(b"folder/linked", b"elsewhere/file")
    notes = [note for note in destination.finish() if note.path.startswith("folder")]
    assert any("link to" in note.what for note in notes)
    assert any("metadata" in note.what for note in notes)


def test_a_target_may_be_named_by_a_link(tmp_path: Path, target: Path) -> None:
    """What it leads to is restored to, and the link stays."""
    (tmp_path / "disk").mkdir()
    target.symlink_to(tmp_path / "disk")
    restore(Directory(target))
    restore(Directory(target, overwrite=True))
    assert target.is_symlink()
    assert files_below(tmp_path / "disk") == CONTENTS
    assert stat.S_IMODE((tmp_path / "disk").stat().st_mode) == 0o750


def test_what_cannot_be_replaced_leaves_nothing_behind(
    place: DestinationTenant, target: Path
) -> None:
    """A directory stands where a file is to be: refused, and no temporary file stays."""
    (target / "large" / "kept").mkdir(parents=True)
    destination = begin(place.open(True))
    sink = destination.create(b"large", file_node(b"large", b"l"))
    sink.write(b"l", 0)
    open_before = len(open_below(target))  # elsewhere the garbage collector may close what it likes
    with pytest.raises(RestoreRefused, match="large"):
        sink.close()
    sink.abort()
    assert len(open_below(target)) == open_before - 1
    assert place.content() == {}
    assert (target / "large" / "kept").is_dir()


def test_files_share_few_descriptors(place: DestinationTenant) -> None:
    """However many are begun, where the limit is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 60, hard))  # noqa: PTH208  as short
    try:
        destination = begin(place.open(False))
        contents = {b"file %d" % number: b"%d" % number * 10 for number in range(300)}
        sinks = [destination.create(path, file_node(path, c)) for path, c in contents.items()]
        for half in (0, 1):
            for sink, content in zip(sinks, contents.values(), strict=True):
                middle = len(content) // 2
                sink.write((content[:middle], content[middle:])[half], (0, middle)[half])
        for sink in sinks:
            sink.close()
        destination.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert place.content() == contents


def test_each_attribute_is_set_by_itself(target: Path) -> None:
    """An owner that cannot be costs neither times nor permissions, but setuid goes with him."""
    destination = Directory(target)
    begin(destination)
    moment = "2001-02-03T04:05:06.000000007Z"
    strange = file_node(b"strange", mode=1 << 23 | 1 << 22 | 0o755)._replace(
        uid=1 << 40,
        gid=1 << 40,
        mtime=moment,
        atime=moment,
        extended_attributes=(("no such.space", b"v"), ("user.kept", b"k"), ("user.\0", b"v")),
    )
    destination.create(b"strange", strange).close()
    destination.finish()
    status = (target / "strange").stat()
    assert stat.S_IMODE(status.st_mode) == 0o755
    assert status.st_mtime_ns == 981_173_106_000_000_007
    assert os.listxattr(target / "strange") == ["user.kept"]
    told = [note.what for note in destination.notes if note.path == "strange"]
    assert any("setuid" in what for what in told)
    assert sum("attribute" in what for what in told) == 2


def test_what_is_lost_is_told_however_much_else_there_is_to_tell(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes are kept by name up to a number; a link that could not be made is counted always."""
    monkeypatch.setattr(noting, "MOST_KEPT", 2)
    destination = Directory(target)
    begin(destination)
    for number in range(5):
        destination.note(b"%d" % number, "odd")
        destination.link(b"link %d" % number, b"nothing")
    told = destination.finish()
    assert told.told().total == 5 + (not destination.owners)
    lost = told.told(lost=True)
    assert (len(lost.texts), lost.total) == (2, 5)
    assert lost.texts[0].startswith("link 0: link to nothing not made: ")


def test_a_time_that_is_none_is_told(target: Path) -> None:
    """It costs that entry its times, and nothing else."""
    destination = Directory(target)
    begin(destination)
    destination.create(b"odd", file_node(b"odd")._replace(mtime="2026-99-99T00:00:00Z")).close()
    destination.finish()
    assert (target / "odd").exists()
    assert [note.path for note in destination.notes if "99" in note.what] == ["odd"]


def test_another_user_repeats_a_restore_of_closed_directories(tmp_path: Path) -> None:
    """Directories that their owner may not write in are no obstacle to their owner."""
    tmp_path.chmod(0o777)
    open_above(tmp_path)
    with as_nobody():
        for overwrite in (False, True, True):
            destination = Directory(tmp_path / "target", overwrite=overwrite)
            destination.prepare()
            destination.make(b"", folder_node(b"root", 0o500))
            destination.make(b"closed", folder_node(b"closed", 0))
            sink = destination.create(b"closed/file", file_node(b"file", b"f"))
            write(sink, b"f")
            sink.close()
            notes = destination.finish()
            assert not [note for note in notes if note.path]
        assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o500
        assert stat.S_IMODE((tmp_path / "target" / "closed").stat().st_mode) == 0
    for closed in (tmp_path / "target", tmp_path / "target" / "closed"):
        closed.chmod(0o700)
    assert files_below(tmp_path / "target") == {b"closed/file": b"f"}


class Full:
    """A destination whose disk is full after some writes."""

    def __init__(self, target: Path, *, writes: int) -> None:
        self.directory = Directory(target)
        self._left = writes

    def __getattr__(self, name: str) -> object:
        return getattr(self.directory, name)

    def create(self, path: bytes, node: Node) -> object:
        """See Destination.create."""
        whole = self.directory.create(path, node)
        outer = self

        class Sink:
            close = whole.close
            abort = whole.abort

            def write(self, data: bytes, offset: int) -> None:
                outer._left -= 1
                if outer._left < 0:
                    raise RestoreRefused("no room")
                whole.write(data, offset)

        return Sink()


def a_snapshot(nodes: list[Node], *, blobs: tuple[bytes, ...] = ()) -> tuple[Repository, Node]:
    """A repository with the directory of a dataset; nodes without content get all the blobs."""
    repository = Repository.create(MemoryStorage(lambda: NOW), "p", now=NOW, locked_until=None)
    with writing(repository) as session:
        ids = tuple([session.add_blob(BlobType.DATA, blob) for blob in blobs])
        empty = session.add_blob(BlobType.TREE, encode_tree([]))
        filled = [
            node._replace(subtree=empty)
            if node.type == NodeType.DIR
            else node._replace(content=ids if node.type == NodeType.FILE else None)
            for node in nodes
        ]
        own = session.add_blob(BlobType.TREE, encode_tree(filled))
        session.flush()
    repository.load_index()
    return repository, folder_node(b"crm")._replace(subtree=own)


@pytest.mark.parametrize("name", [b"..", b"../out", b"/etc/out", b"a/b", b".", b"nul\0"])
@pytest.mark.parametrize("kind", [NodeType.FILE, NodeType.DIR, NodeType.SYMLINK])
def test_a_hostile_snapshot_writes_nothing(
    target: Path, outside: Path, name: bytes, kind: NodeType
) -> None:
    """A name that no directory can have is damage, and nothing of that tree is made."""
    node = Node(name=name, type=str(kind), mode=0o777, linktarget=b"/etc")
    repository, own = a_snapshot([node])
    destination = Directory(target)
    destination.prepare()
    restoring = Restoring(repository, destination, "", Progress())
    restoring.run(own)
    assert len(restoring.damages) == 1
    assert list(target.iterdir()) == []
    assert sorted(path.name for path in target.parent.iterdir()) == ["outside", "target"]


def test_a_snapshot_cannot_write_through_its_own_link(target: Path, outside: Path) -> None:
    """Two entries of one name, a link and a directory behind it, are damage."""
    link = Node(name=b"one", type=str(NodeType.SYMLINK), linktarget=os.fsencode(outside))
    repository, own = a_snapshot([link, folder_node(b"one")])
    destination = Directory(target)
    destination.prepare()
    restoring = Restoring(repository, destination, "", Progress())
    restoring.run(own)
    assert ["out of order" in what for what in restoring.damages.values()] == [True]
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_restore_that_fails_leaves_only_whole_files(target: Path, writes: int) -> None:
    """Whatever was begun is gone again, and nothing stays open."""
    parts = (b"first part", b"second part")
    nodes = [file_node(b"file %d" % number, b"".join(parts)) for number in range(3)]
    repository, own = a_snapshot(nodes, blobs=parts)
    destination: Destination = Full(target, writes=writes)  # type: ignore[assignment]
    destination.prepare()
    with pytest.raises(RestoreRefused, match="no room"):
        Restoring(repository, destination, "", Progress()).run(own)
    assert set(files_below(target).values()) <= {b"".join(parts)}
    assert open_below(target) == []


def open_below(folder: Path) -> list[str]:
    """What this process has open below a folder; other threads of it may open what they like."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.append(str(descriptor.readlink()))
    return [path for path in found if path.startswith(f"{folder}/")]
