"""A museum of hostile repositories: sealed with the right key, and written to do harm.

Whoever has the password of a repository and may write to the vault, or a fault of ours, can put any
tree into it. Laws of every exhibit: nothing outside of the target is made, changed or removed; what
cannot be put back is named by an error or a note of ours; and the rest is restored.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions import about, restoring
from include.backup.actions.put_back import OpenPoint, opened_files, put_back
from include.backup.errors import BackupError, DamageFound
from include.backup.format.ids import BlobType
from include.backup.format.snapshot import Snapshot
from include.backup.format.tree import Node, NodeType, encode_tree
from include.backup.repository.check import check_trees
from include.backup.repository.progress import Progress
from include.backup.sources import folders
from include.backup.sources.directory import Directory
from include.backup.sources.erasing import ToErase, paths_of
from tests.unit.repository.samples import NOW, bare, memory, writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.repository.writer import WriteSession

WHEN = "2026-11-01T02:03:04Z"
OURS = {"uid": os.geteuid(), "gid": os.getegid()}
GOOD = b"good"


class Hostile:
    """Writes whatever it is told to, with our own writer."""

    def __init__(self, session: WriteSession, outside: Path) -> None:
        self._session = session
        self.outside = outside

    def file(self, name: bytes, data: bytes = b"x", **more: Any) -> Node:
        """A file, with its content stored."""
        blob = self._session.add_blob(BlobType.DATA, data)
        fields = {"size": len(data), "content": (blob,), "mode": 0o644, **more}
        return self.node(name, "file", **fields)

    def folder(self, name: bytes, *nodes: Node, **more: Any) -> Node:
        """A directory."""
        tree = self._session.add_blob(BlobType.TREE, encode_tree(nodes))
        return self.node(name, "dir", subtree=tree, **{"mode": 1 << 31 | 0o755, **more})

    def link(self, name: bytes, target: bytes, **more: Any) -> Node:
        """A symbolic link."""
        return self.node(name, "symlink", linktarget=target, mode=1 << 27 | 0o777, **more)

    def node(self, name: bytes, kind: str, **more: Any) -> Node:
        """Any node."""
        return Node(name, kind, **{"mtime": WHEN, "atime": WHEN, "ctime": WHEN, **OURS, **more})


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A directory ``evil`` of hostile nodes beside a good file."""

    name: str
    nodes: Callable[[Hostile], list[Node]]
    told: str = ""  # part of an error, or of a note
    there: tuple[str, ...] = ()  # what is restored all the same, below ``evil``
    not_there: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def named(name: bytes) -> Callable[[Hostile], list[Node]]:
    """One file of an impossible name."""
    return lambda made: [made.file(name)]


_NAME = "which no directory can have"
_LONG = b"n" * 300
_BIG = 1 << 70
EXHIBITS = [
    Exhibit(name="dots", nodes=named(b".."), told=_NAME),
    Exhibit(name="a dot", nodes=named(b"."), told=_NAME),
    Exhibit(name="no name", nodes=named(b""), told=_NAME),
    Exhibit(name="a path", nodes=named(b"../../outside/new"), told=_NAME),
    Exhibit(name="an absolute path", nodes=named(b"/etc/holdfast-was-here"), told=_NAME),
    Exhibit(name="NUL in a name", nodes=named(b"a\0b"), told=_NAME),
    Exhibit(
        name="dots as a directory",
        nodes=lambda made: [made.folder(b"..", made.file(b"new"))],
        told=_NAME,
    ),
    Exhibit(
        name="a link and a directory of one name",
        nodes=lambda made: [
            made.link(b"a", bytes(made.outside)),
            made.folder(b"a", made.file(b"victim", b"changed")),
        ],
        told="out of order",
    ),
    Exhibit(
        name="a file and a directory of one name",
        nodes=lambda made: [made.file(b"a"), made.folder(b"a", made.file(b"b"))],
        told="out of order",
    ),
    Exhibit(name="a name twice", nodes=lambda made: [made.file(b"a")] * 2, told="out of order"),
    Exhibit(
        name="a link that has files below it",
        nodes=lambda made: [
            made.link(b"a", bytes(made.outside), subtree=made.folder(b"", made.file(b"x")).subtree),
            made.file(b"b"),
        ],
        there=("b",),
        not_there=("a/x",),
    ),
    Exhibit(
        name="a hard link to a link that leads outside",
        nodes=lambda made: [
            made.link(b"a", bytes(made.outside / "victim"), links=2, inode=7, device_id=1),
            made.file(b"b", b"own", links=2, inode=7, device_id=1),
        ],
        there=("b",),
    ),
    Exhibit(
        name="links that lead nowhere",
        nodes=lambda made: [
            made.link(b"a", b"a\0b"),
            made.link(b"b", b""),
            made.link(b"c", b"x" * 5000),
            made.file(b"d"),
        ],
        told="a",
        there=("d",),
        not_there=("a", "b", "c"),
    ),
    Exhibit(
        name="names that no file system takes",
        nodes=lambda made: [
            made.file(b"a"),
            made.file(_LONG, b"long"),
            made.folder(_LONG + b"o", made.file(b"below"), made.folder(b"deeper", made.file(b"x"))),
            made.node(_LONG + b"p", "fifo"),
            made.link(_LONG + b"q", b"x"),
            made.file(b"z"),
        ],
        told="name too long",
        there=("a", "z"),
    ),
    Exhibit(
        name="devices that cannot be",
        nodes=lambda made: [
            made.node(b"a", "dev", device=_BIG),
            made.node(b"b", "chardev", device=-1),
            made.file(b"c"),
        ],
        told="not made",
        there=("c",),
        not_there=("a",),
    ),
    Exhibit(
        name="numbers without end",
        nodes=lambda made: [
            made.file(b"a", mode=_BIG | 0o600, uid=_BIG, gid=-_BIG, inode=_BIG, device_id=_BIG),
            made.file(b"b", mode=-1, links=_BIG, mtime="9999-12-31T23:59:59Z"),
            made.file(b"c", mtime="99999-12-31T23:59:59Z"),
            made.file(b"d"),
        ],
        told="a: owner not restored",
        there=("a", "b", "c", "d"),
    ),
    Exhibit(
        name="sizes that lie",
        nodes=lambda made: [
            made.file(b"a", size=1 << 62),
            made.file(b"b", size=-1),
            made.node(b"c", "file", content=(), size=1 << 62),
            made.file(b"d"),
        ],
        told="3 entries are damaged",
        there=("d",),
        not_there=("a", "b", "c"),
    ),
    Exhibit(
        name="attributes that cannot be",
        nodes=lambda made: [
            made.file(
                b"a",
                extended_attributes=(
                    ("user.\0", b"x"),
                    ("", b"x"),
                    ("user.big", bytes(1 << 20)),
                    ("no-such-class.x", b"x"),
                    ("user." + "x" * 300, b"x"),
                    ("user.\udc80", b"x"),
                ),
            ),
            made.file(b"b"),
        ],
        told="a: attribute",
        there=("a", "b"),
    ),
    Exhibit(
        name="content that is nowhere",
        nodes=lambda made: [
            made.node(b"a", "file", content=(bytes(32),), size=1),
            made.node(b"b", "dir", subtree=bytes(32)),
            made.file(b"c", content=(made.folder(b"").subtree,)),  # a tree is no data
            made.node(b"d", "dir", subtree=(made.file(b"").content or (b"",))[0]),
            made.file(b"e"),
        ],
        told="4 entries are damaged",
        there=("e",),
        not_there=("a", "c"),
    ),
    Exhibit(
        name="our own temporary file",
        nodes=lambda made: [made.file(b".holdfast-restore-0123456789abcdef"), made.file(b"b")],
        there=(".holdfast-restore-0123456789abcdef", "b"),
    ),
]


def outside_of(folder: Path) -> Path:
    """What must stay as it is."""
    outside = folder / "outside"
    (outside / "below").mkdir(parents=True)
    (outside / "victim").write_bytes(b"precious")
    os.utime(outside / "victim", ns=(10**18, 10**18))
    return outside


def seen(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below a folder that a restore could change."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        what = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, content)
        found[str(path)] = what
    return found


def hostile_point(folder: Path, nodes: Callable[[Hostile], list[Node]]) -> OpenPoint:
    """A dataset with a directory of such nodes, and a good file."""
    repository = bare(memory())
    with writing(repository) as session:
        made = Hostile(session, folder / "outside")
        inner = [made.folder(b"evil", *nodes(made)), made.file(b"good", GOOD)]
        root = session.add_blob(BlobType.TREE, encode_tree([made.folder(b"crm", *inner)]))
        session.flush()
    repository.load_index()
    list(check_trees(repository, [("snapshot", root)]))  # names damage, raises nothing
    snapshot = Snapshot(time=NOW, tree=root, paths=("/crm",))
    return OpenPoint(dataset="crm", repository=repository, snapshot=snapshot, damages=())


def restore(point: OpenPoint, target: Directory, pattern: str = "") -> str:
    """Put it back; return what was told."""
    target.prepare()
    try:
        return "; ".join(put_back(point, target, pattern, Progress()).notes.texts)
    except BackupError as error:
        return str(error)


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=str)
def test_nothing_leaves_the_target(exhibit: Exhibit, tmp_path: Path) -> None:
    """What is hostile is named, what is good is restored, and outside nothing has changed."""
    outside = outside_of(tmp_path)
    before = seen(outside)
    target = tmp_path / "target"
    told = restore(hostile_point(tmp_path, exhibit.nodes), Directory(target))
    assert seen(outside) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "target"]
    assert exhibit.told.lower() in told.lower(), told
    assert (target / "good").read_bytes() == GOOD
    for name in exhibit.there:
        path = target / "evil" / name
        assert stat.S_ISREG(path.lstat().st_mode), told
    for name in exhibit.not_there:
        assert not os.path.lexists(target / "evil" / name), told


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=str)
def test_streams_refuse_the_same(exhibit: Exhibit, tmp_path: Path) -> None:
    """Whoever reads file after file, as a server does, meets nothing but errors of ours."""
    outside_of(tmp_path)
    point = hostile_point(tmp_path, exhibit.nodes)
    with opened_files(point) as files:
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            with suppress(BackupError):
                for node in files.list(folder):
                    path = folder + b"/" + node.name if folder else node.name
                    if node.type == NodeType.DIR:
                        waiting.append(path)
                    with suppress(BackupError):
                        assert len(files.load(path)) < 100
        assert files.load(b"good") == GOOD


def planted(target: Path, outside: Path) -> None:
    """Somebody has put links to outside where directories and files are to be."""
    (target / "evil").mkdir(parents=True)
    (target / "evil" / "sub").symlink_to(outside)
    (target / "evil" / "victim").hardlink_to(outside / "victim")
    (target / "evil" / "file").symlink_to(outside / "victim")
    (target / "good").symlink_to(outside / "new")


def ordinary(made: Hostile) -> list[Node]:
    """Nothing hostile in itself."""
    below = made.folder(b"below", made.file(b"new"), mode=1 << 31 | 0o700)
    return [
        made.file(b"file", b"ours"),
        made.folder(b"sub", below, made.file(b"victim", b"ours"), mode=1 << 31 | 0o711),
        made.file(b"victim", b"ours"),
    ]


def test_links_in_an_old_target_are_replaced_not_followed(tmp_path: Path) -> None:
    """With --overwrite: neither symbolic links nor hard links lead out."""
    outside, target = outside_of(tmp_path), tmp_path / "target"
    planted(target, outside)
    (target / "evil" / "victim").unlink()  # a hard link more changes the victim: not part of this
    before = seen(outside)
    os.link(outside / "victim", target / "evil" / "victim")
    restore(hostile_point(tmp_path, ordinary), Directory(target, overwrite=True))
    assert seen(outside) == before
    for name in ("file", "sub/victim", "victim"):
        assert (target / "evil" / name).read_bytes() == b"ours"
    assert (target / "good").read_bytes() == GOOD
    assert not (target / "evil" / "sub").is_symlink()


class Racing(Directory):
    """Somebody else exchanges a directory for a link to outside, before or after one is made."""

    def __init__(self, path: Path, outside: Path, at: int) -> None:
        super().__init__(path)
        self._outside, self._left = outside, at

    def _race(self) -> None:
        self._left -= 1
        sub = Path(os.fsdecode(self.path)) / "evil" / "sub"
        if self._left == 0 and sub.is_dir():
            sub.rename(sub.with_name("moved"))
            sub.symlink_to(self._outside)

    def make(self, path: bytes, node: Node) -> None:
        """See Destination."""
        self._race()
        super().make(path, node)
        self._race()

    def create(self, path: bytes, node: Node) -> Any:
        """See Destination."""
        self._race()
        sink = super().create(path, node)
        self._race()
        return sink

    def dress(self, entry: bytes | int, path: bytes, node: Node, *, follow: bool = True) -> None:
        """Of files: between the last byte and the renaming; of directories: at the end."""
        self._race()
        super().dress(entry, path, node, follow=follow)


@pytest.mark.parametrize("at", range(1, 25, 2))
def test_who_exchanges_a_directory_for_a_link_leads_nobody_out(at: int, tmp_path: Path) -> None:
    """At every moment of a restore: it ends with an error of ours, or the directory was done."""
    outside, target = outside_of(tmp_path), tmp_path / "target"
    before = seen(outside)
    restore(hostile_point(tmp_path, ordinary), Racing(target, outside, at))
    assert seen(outside) == before


def test_of_a_directory_that_cannot_be_made_nothing_below_is_tried(tmp_path: Path) -> None:
    """Also where a pattern asks for a file deep in it; what else it asks for is restored."""
    outside_of(tmp_path)
    deep = b"n" * 300

    def nodes(made: Hostile) -> list[Node]:
        wanted = made.folder(b"in", made.file(b"wanted"))
        return [made.folder(deep, wanted, made.file(b"wanted")), made.file(b"wanted")]

    told = restore(hostile_point(tmp_path, nodes), Directory(tmp_path / "target"), "*/wanted")
    assert told.count("File name too long") == 1
    assert (tmp_path / "target" / "evil" / "wanted").read_bytes() == b"x"


def deep_nodes(levels: int, name: bytes) -> Callable[[Hostile], list[Node]]:
    """A directory in a directory in a directory."""

    def nodes(made: Hostile) -> list[Node]:
        inner = [made.file(b"bottom")]
        for _ in range(levels):
            inner = [made.folder(name, *inner)]
        return inner

    return nodes


def test_trees_of_any_depth_are_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without recursion, without the kernel's end of a path, and without beginning at the root."""
    outside_of(tmp_path)
    levels, opened = 1200, []

    class Counted(folders.Folder):
        __slots__ = ()

        def __init__(self, fd: int) -> None:
            super().__init__(fd)
            opened.append(1)

    monkeypatch.setattr(folders, "Folder", Counted)
    point = hostile_point(tmp_path, deep_nodes(levels, b"dd"))
    told = restore(point, Directory(tmp_path / "target"))
    assert "not restored" not in told.replace("owners were not restored", "")
    path = b"evil/" + b"/".join([b"dd"] * levels) + b"/bottom"
    with opened_files(point) as files:
        assert files.load(path) == b"x"
        assert [one for one, _ in paths_of(files, lambda one: one == path)] == [path]
        again = Directory(tmp_path / "target", overwrite=True)
        again.prepare()
        everything = ToErase(id="all", matches=lambda one: one.startswith(b"evil"))
        assert again.erase(files, [everything]) == [levels + 2]  # no test runner gets that deep
    assert len(opened) < 20 * levels


def test_a_path_longer_than_any_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work of a walk grows with the square of the depth, and so has an end."""
    outside_of(tmp_path)
    monkeypatch.setattr(restoring, "LONGEST_PATH_BYTES", 1000)
    point = hostile_point(tmp_path, deep_nodes(30, b"d" * 100))
    told = restore(point, Directory(tmp_path / "target"))
    assert "1 entry is damaged" in told
    assert "it lies too deep" in told
    assert (tmp_path / "target" / "good").read_bytes() == GOOD


def test_what_lies_beside_the_data_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One blob, named a thousand times, is no manifest."""
    outside_of(tmp_path)
    monkeypatch.setattr(about, "LARGEST_ABOUT_BYTES", 100_000)
    repository = bare(memory())
    with writing(repository) as session:
        made = Hostile(session, tmp_path)
        large = made.file(b"manifest.json", b"x" * 1000)
        small = made.file(b"RESTORE.md", b"page")
        assert large.content is not None
        nodes = [small, large._replace(content=large.content * 1000)]
        tree = encode_tree([made.folder(b".holdfast", *nodes)])
        root = session.add_blob(BlobType.TREE, tree)
        session.flush()
    repository.load_index()
    point = about.ParentPoint(repository, Snapshot(time=NOW, tree=root, paths=("/crm",)))
    assert point.load("RESTORE.md") == b"page"
    with pytest.raises(DamageFound, match="too large"):
        point.load("manifest.json")
