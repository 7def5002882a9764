"""Every source under the laws of the suites, and what only directories can do to a source."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import EntryUnreadable, SourceGone
from include.backup.format.tree import NodeType
from include.backup.sources.filesystem import FilesystemSource
from include.backup.sources.s3.source import S3Source
from tests.suites.source_suite import (
    ChangingSuite,
    GrowingSuite,
    InstantSuite,
    SourceSuite,
    SourceTenant,
    content_of,
    node_at,
    noted,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.rgw import BucketKind, Rgw

NOBODY = 65534
SECRET = b"not of this dataset"


def open_above(folder: Path) -> None:
    """Let other users through to a folder of a test; pytest closes those above it."""
    for above in folder.parents:
        if above == Path(tempfile.gettempdir()):
            return
        above.chmod(0o755)


@contextmanager
def as_nobody() -> Iterator[None]:
    """To root nothing is refused."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def filesystem_tenant(root: Path) -> SourceTenant:
    root.mkdir()

    def put(path: bytes, content: bytes) -> None:
        full = root / os.fsdecode(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        with full.open("r+b" if full.exists() else "wb") as file:
            file.write(content)
            file.truncate()

    def remove(path: bytes) -> None:
        full = root / os.fsdecode(path)
        if full.is_dir():
            shutil.rmtree(full)
        else:
            full.unlink()

    return SourceTenant(
        source=FilesystemSource(str(root)),
        keeping=FilesystemSource(str(root), keep_changing=True),
        put=put,
        remove=remove,
        destroy=lambda: shutil.rmtree(root),
    )


def s3_tenant(server: Rgw, kind: BucketKind) -> SourceTenant:
    bucket, client, prefix = server.make_bucket(kind), server.client(), "some/prefix"
    client.put_object(Bucket=bucket, Key="some/other", Body=b"beside the prefix")

    def put(path: bytes, content: bytes) -> None:
        client.put_object(Bucket=bucket, Key=f"{prefix}/{path.decode()}", Body=content)

    def remove(path: bytes) -> None:
        key = f"{prefix}/{path.decode()}"
        listed = client.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", ())
        for entry in listed:
            if entry["Key"] == key or entry["Key"].startswith(f"{key}/"):
                client.delete_object(Bucket=bucket, Key=entry["Key"])

    def destroy() -> None:
        listed = client.list_object_versions(Bucket=bucket)
        for entry in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
            client.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
        client.delete_bucket(Bucket=bucket)

    source = S3Source(client, bucket, prefix)
    return SourceTenant(source=source, put=put, remove=remove, destroy=destroy)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where a dataset of files lies."""
    return tmp_path / "dataset"


@pytest.fixture
def dataset(root: Path) -> SourceTenant:
    """A directory, empty."""
    return filesystem_tenant(root)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the dataset, with the names that the dataset has."""
    folder = tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    for name in ("one", "small", "large", "inner/deep"):
        (folder / name).write_bytes(SECRET)
        os.setxattr(folder / name, "user.secret", SECRET)
    return folder


class TestDirectories(SourceSuite, ChangingSuite, GrowingSuite):
    """Directories."""


@pytest.mark.integration
class TestBuckets(SourceSuite, ChangingSuite):
    """Buckets that keep one version of each object."""

    @pytest.fixture
    def dataset(self, rgw: Rgw) -> SourceTenant:
        """A prefix, empty, in a bucket of its own."""
        return s3_tenant(rgw, "plain")


@pytest.mark.integration
class TestBucketsWithVersions(SourceSuite, InstantSuite):
    """Buckets that keep every version."""

    @pytest.fixture
    def dataset(self, rgw: Rgw) -> SourceTenant:
        """As above."""
        return s3_tenant(rgw, "versioned")


def test_links_are_read_and_not_followed(dataset: SourceTenant, root: Path, outside: Path) -> None:
    """A link is an entry of its own, with its own attributes, wherever it leads."""
    dataset.fill()
    (root / "way out").symlink_to(outside)
    (root / "to file").symlink_to(outside / "one")
    with dataset.read() as reading:
        nodes = walk(reading)
        for name, target in ((b"way out", outside), (b"to file", outside / "one")):
            assert nodes[name].type == NodeType.SYMLINK
            assert nodes[name].linktarget == os.fsencode(target)
            assert nodes[name].extended_attributes == ()
        assert not any(path.startswith(b"way out/") for path in nodes)


@pytest.mark.parametrize("listed", [False, True])
def test_a_directory_replaced_by_a_link_leads_nowhere(
    dataset: SourceTenant, root: Path, outside: Path, listed: bool
) -> None:
    """Not when it is listed, nor for what is below it: whoever writes here reads nothing else."""
    dataset.fill()
    with dataset.read() as reading:
        small, large = node_at(reading, b"folder/small"), node_at(reading, b"large")
        deep = node_at(reading, b"folder/inner/deep")
        if not listed:  # another directory was looked at since
            reading.list(b"")
            reading.list(b"folder/inner")
            reading.list(b"")
        (root / "folder").rename(root / "moved")
        (root / "folder").symlink_to(outside)
        (root / "large").unlink()
        (root / "large").symlink_to(outside / "large")
        for path in (b"folder", b"folder/inner"):
            assert all(node.extended_attributes == () for node in reading.list(path))
        for path, node in (
            (b"folder/small", small),
            (b"large", large),
            (b"folder/inner/deep", deep),
        ):
            read = reading.read_small(path, node)
            assert read is None or read[1] != SECRET
            assert content_of(reading, path, node) != SECRET
            assert reading.complete(path, node).extended_attributes == ()
        assert noted(reading, "large")


def test_a_directory_replaced_by_a_link_is_told(
    dataset: SourceTenant, root: Path, outside: Path
) -> None:
    """As one that vanished."""
    dataset.fill()
    with dataset.read() as reading:
        reading.list(b"")
        shutil.rmtree(root / "folder")
        (root / "folder").symlink_to(outside)
        assert reading.list(b"folder") == []
        assert noted(reading, "folder")


@pytest.mark.parametrize("path", [b"empty", b"one", b"large"])
@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_a_file_replaced_by_a_pipe_does_not_hold_up(
    dataset: SourceTenant, root: Path, path: bytes, kind: str
) -> None:
    """It is noted, and nobody waits for its other end."""
    dataset.fill()
    place = root / os.fsdecode(path)
    with dataset.read() as reading, socket.socket(socket.AF_UNIX) as listening:
        node = node_at(reading, path)
        place.unlink()
        if kind == "fifo":
            os.mkfifo(place)
        else:
            listening.bind(str(place))
        assert reading.read_small(path, node) is None
        assert content_of(reading, path, node) is None
        assert len(noted(reading, path.decode())) == 2


def test_a_dataset_may_be_named_by_a_link(
    dataset: SourceTenant, root: Path, tmp_path: Path
) -> None:
    """It is read as the directory itself is, also where no other file system is to be entered."""
    dataset.fill()
    os.setxattr(root, "user.note", b"of the directory")
    link = tmp_path / "link"
    link.symlink_to(root)
    through = FilesystemSource(str(link), one_file_system=True)
    with dataset.read() as reading, dataset.read(through) as again:
        assert walk(again) == walk(reading)
        assert again.root == reading.root
        assert again.root.extended_attributes == (("user.note", b"of the directory"),)
        assert not again.notes


def test_a_link_on_another_file_system_is_no_mount(dataset: SourceTenant, root: Path) -> None:
    """With `one_file_system`, what counts is where the dataset lies, not the link that names it."""
    dataset.fill()
    elsewhere = "/proc/self/cwd"  # a link on a file system of its own
    before = os.getcwd()  # noqa: PTH109  to be set again
    os.chdir(root)
    try:
        with dataset.read(FilesystemSource(elsewhere, one_file_system=True)) as reading:
            assert b"one" in walk(reading)
            assert not reading.notes
    finally:
        os.chdir(before)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_a_strange_cache_tag_marks_no_cache(
    dataset: SourceTenant, root: Path, kind: str, tmp_path: Path
) -> None:
    """A pipe by that name holds nobody up, and a link is not followed."""
    dataset.put(b"kept", b"k")
    tag = root / "CACHEDIR.TAG"
    if kind == "fifo":
        os.mkfifo(tag)
    elif kind == "folder":
        tag.mkdir()
    else:
        (tmp_path / "tag").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55")
        tag.symlink_to(tmp_path / "tag")
    with dataset.read(FilesystemSource(str(root), exclude_caches=True)) as reading:
        assert b"kept" in walk(reading)


def test_a_marked_cache_keeps_only_its_mark(dataset: SourceTenant, root: Path) -> None:
    """The rest is left out where the dataset says so."""
    dataset.put(b"cache/CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55\n")
    dataset.put(b"cache/left out", b"l")
    with dataset.read(FilesystemSource(str(root), exclude_caches=True)) as reading:
        assert set(walk(reading)) == {b"cache", b"cache/CACHEDIR.TAG"}
    with dataset.read() as reading:
        assert b"cache/left out" in walk(reading)


def test_an_attribute_that_no_tree_can_hold_is_told(dataset: SourceTenant, root: Path) -> None:
    """A name that is not UTF-8 would come back as another; it is left out, and noted."""
    dataset.fill()
    for path in (b"one", b"large", b"folder"):
        os.setxattr(os.fsencode(root) + b"/" + path, b"user.\xff", b"lost")
        os.setxattr(os.fsencode(root) + b"/" + path, b"user.kept", b"kept")
    with dataset.read() as reading:
        nodes = walk(reading)
        for path in (b"one", b"large", b"folder"):
            assert nodes[path].extended_attributes == (("user.kept", b"kept"),)
            assert noted(reading, path.decode())


def test_what_may_not_be_read_is_refused_or_told(tmp_path: Path) -> None:
    """An error that names it; a note where the dataset allows that."""
    tmp_path.chmod(0o755)
    open_above(tmp_path)
    root = tmp_path / "dataset"
    tenant = filesystem_tenant(root)
    tenant.fill()
    for name in ("one", "large", "folder"):
        (root / name).chmod(0)
    skipping = FilesystemSource(str(root), skip_unreadable=True)
    with as_nobody():
        with tenant.read() as reading:
            for path in (b"one", b"large"):
                node = node_at(reading, path)
                with pytest.raises(EntryUnreadable, match=path.decode()):
                    reading.read_small(path, node)
                with pytest.raises(EntryUnreadable, match=path.decode()):
                    content_of(reading, path, node)
            with pytest.raises(EntryUnreadable, match="folder"):
                reading.list(b"folder")
        with tenant.read(skipping) as reading:
            for path in (b"one", b"large"):
                assert reading.read_small(path, node_at(reading, path)) is None
            assert reading.list(b"folder") == []
            assert {note.path for note in reading.notes} == {"one", "large", "folder"}
    (root / "folder").chmod(0o700)


def test_a_file_is_no_dataset(tmp_path: Path) -> None:
    """Nor is what is not there."""
    (tmp_path / "file").touch()
    for name in ("file", "absent"):
        tenant = FilesystemSource(str(tmp_path / name))
        with pytest.raises(SourceGone, match=name):
            tenant.read(now=None, parent=None).__enter__()  # type: ignore[arg-type]


def test_paths_longer_than_the_kernel_takes_are_read(tmp_path: Path) -> None:
    """Six kilobytes deep, as programs that change directory can make them."""
    tenant = filesystem_tenant(tmp_path / "dataset")
    name, depth = b"d" * 200, 30
    fds = [os.open(tmp_path / "dataset", os.O_RDONLY)]
    for _ in range(depth):
        os.mkdir(name, dir_fd=fds[-1])
        fds.append(os.open(name, os.O_RDONLY, dir_fd=fds[-1]))
    fd = os.open(b"bottom", os.O_WRONLY | os.O_CREAT, dir_fd=fds[-1])
    os.write(fd, b"deep")
    os.setxattr(fd, "user.note", b"n")
    for opened in (*fds, fd):
        os.close(opened)
    bottom = b"/".join([name] * depth + [b"bottom"])
    with tenant.read() as reading:
        nodes = walk(reading)
        assert nodes[bottom].extended_attributes == (("user.note", b"n"),)
        assert content_of(reading, bottom, nodes[bottom]) == b"deep"
