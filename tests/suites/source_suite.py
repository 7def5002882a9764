"""The laws that every source keeps, whatever its datasets are made of.

A tenant is one source with a dataset that the test changes from outside, also between two steps
of a reading: that is when sources go wrong.

    SourceSuite       every source
    ChangingSuite     besides, those that read each entry as it is when its turn comes
    InstantSuite      besides, those that read everything as it was at one instant
    GrowingSuite      besides, those whose entries can be changed in place
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import EntryUnreadable, SourceGone
from include.backup.format.tree import Node, NodeType, decode_tree, encode_tree
from include.backup.sources.base import MOST_TRIES, SMALL_BYTES, Reused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.backup.sources.base import Content, Parent, Part, Reading, Source

LARGE = Random(40).randbytes(SMALL_BYTES * 3 + 7)
CONTENTS = {
    b"empty": b"",
    b"one": b"1",
    b"folder/inner/deep": b"deep",
    b"folder/small": b"small",
    b"just small": LARGE[:SMALL_BYTES],
    b"just large": LARGE[: SMALL_BYTES + 1],
    b"large": LARGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTenant:
    """One source, its dataset empty, and the outside world's power over it.

    Args:
        put: make an entry with this content, or give it another; with what is above it.
        remove: an entry, with all below.
        destroy: the dataset itself.
        keeping: the same source, allowed to take what never holds still; None if it never is.
    """

    source: Source
    put: Callable[[bytes, bytes], None]
    remove: Callable[[bytes], None]
    destroy: Callable[[], None]
    keeping: Source | None = None

    @contextmanager
    def read(
        self, source: Source | None = None, *, parent: Parent | None = None
    ) -> Iterator[Reading]:
        """One pass, now."""
        now = datetime.now(UTC)
        with (source or self.source).read(now=now, parent=parent) as reading:
            yield reading

    def fill(self) -> None:
        """Put some files."""
        for path, content in CONTENTS.items():
            self.put(path, content)


def walk(reading: Reading) -> dict[bytes, Node]:
    """Every node of a dataset by its path, with what is costly to find out."""
    found, waiting = {}, [b""]
    while waiting:
        folder = waiting.pop()
        for node in reading.list(folder):
            path = folder + b"/" + node.name if folder else node.name
            found[path] = reading.complete(path, node)
            if node.type == NodeType.DIR:
                waiting.append(path)
    return found


def content_of(reading: Reading, path: bytes, node: Node) -> bytes | None:
    """The content of a file, read in pieces; None when it was passed over."""
    for attempt in range(1, MOST_TRIES + 1):
        with reading.open(path, node, None) as content:
            if content is None:
                return None
            read, buffer = bytearray(), memoryview(bytearray(100_000))
            for part in parts_of(content):
                while count := part.readinto(buffer):
                    read += buffer[:count]
            if content.settle(last=attempt == MOST_TRIES) is not None:
                return bytes(read)
    raise AssertionError(path)


def parts_of(content: Content) -> Iterator[Part]:
    """The parts of a content that is read as a whole."""
    for part in content.parts():
        assert not isinstance(part, Reused)
        yield part


@dataclass(frozen=True)
class Before:
    """A parent that knows its time alone."""

    taken_at: datetime

    def load(self, name: str) -> None:
        """See Parent."""


def noted(reading: Reading, path: str) -> list[str]:
    """What is noted about an entry."""
    return [note.what for note in reading.notes if note.path == path]


def node_at(reading: Reading, path: bytes) -> Node:
    """An entry as its directory lists it."""
    folder, _, name = path.rpartition(b"/")
    [node] = [node for node in reading.list(folder) if node.name == name]
    return node


class SourceSuite:
    """One test per law. Tenants come from the fixture `dataset`."""

    def test_read_twice_is_the_same(self, dataset: SourceTenant) -> None:
        """The same nodes, in the same order, with the same content."""
        dataset.fill()
        with dataset.read() as one, dataset.read() as other:
            first, second = walk(one), walk(other)
            assert list(first.items()) == list(second.items())
            assert CONTENTS.keys() <= first.keys()
            for path, content in CONTENTS.items():
                assert content_of(one, path, first[path]) == content
                assert first[path].size == len(content)
            assert not one.notes

    def test_nodes_are_what_a_tree_holds(self, dataset: SourceTenant) -> None:
        """Names unique and ascending, nothing of the engine's filled in; a tree takes them all."""
        dataset.fill()
        with dataset.read() as reading:
            for folder in (b"", b"folder", b"folder/inner"):
                nodes = reading.list(folder)
                assert all(node.content is None and node.subtree is None for node in nodes)
                stored = [
                    node._replace(subtree=bytes(32))
                    if node.type == NodeType.DIR
                    else node._replace(content=())
                    for node in nodes
                ]
                assert decode_tree(encode_tree(stored), what="tree") == stored
            assert reading.root.type == NodeType.DIR

    def test_small_files_are_read_at_once(self, dataset: SourceTenant) -> None:
        """With the content that reading in pieces finds."""
        dataset.fill()
        with dataset.read() as reading:
            for path, content in CONTENTS.items():
                if len(content) <= SMALL_BYTES:
                    node = node_at(reading, path)
                    assert reading.read_small(path, node) == (node, content)

    def test_many_threads_read_the_same(self, dataset: SourceTenant) -> None:
        """One reading serves them all at once."""
        dataset.fill()
        with dataset.read() as reading, ThreadPoolExecutor(8) as pool:
            nodes = walk(reading)
            jobs = list(CONTENTS) * 20
            read = pool.map(lambda path: content_of(reading, path, nodes[path]), jobs)
            assert list(read) == [CONTENTS[path] for path in jobs]

    def test_only_what_is_the_same_is_unchanged(self, dataset: SourceTenant) -> None:
        """An entry that is what it was in the parent, not one with another content."""
        dataset.fill()
        with dataset.read() as reading:
            before = walk(reading)
        dataset.put(b"one", b"2")  # of the same size
        late = datetime.now(UTC) + timedelta(seconds=5)
        with dataset.read(parent=Before(late)) as reading:
            after = walk(reading)
            same = {path for path in after if reading.unchanged(after[path], before[path])}
            assert b"one" not in same
            assert set(after) - {b"one"} <= same

    def test_a_dataset_that_is_gone_is_no_empty_one(self, dataset: SourceTenant) -> None:
        """Nor one that goes while it is read: what was read of it does not count."""
        dataset.fill()
        with pytest.raises(SourceGone), dataset.read() as reading:  # noqa: PT012  its end raises
            walk(reading)
            dataset.destroy()
        with pytest.raises(SourceGone), dataset.read() as reading:
            walk(reading)

    def test_a_dataset_that_goes_cannot_be_listed(self, dataset: SourceTenant) -> None:
        """An empty list of what is in it would be a lie."""
        dataset.fill()
        with pytest.raises(SourceGone), dataset.read() as reading:  # noqa: PT012  listing raises
            dataset.destroy()
            reading.list(b"")


class ChangingSuite:
    """Each entry is read as it is when its turn comes."""

    def test_what_may_have_changed_since_is_not_unchanged(self, dataset: SourceTenant) -> None:
        """An entry that is not older than the parent's consistency point is read again."""
        dataset.fill()
        early = datetime.now(UTC) - timedelta(days=1)
        with dataset.read(parent=Before(early)) as reading:
            assert not any(
                reading.unchanged(node, node)
                for node in walk(reading).values()
                if node.type == NodeType.FILE
            )

    @pytest.mark.parametrize("path", [b"one", b"large", b"folder/inner/deep"])
    def test_what_vanished_is_told(self, dataset: SourceTenant, path: bytes) -> None:
        """A file that goes between listing and reading is passed over, and noted by its name."""
        dataset.fill()
        with dataset.read() as reading:
            node = node_at(reading, path)
            dataset.remove(path)
            assert reading.read_small(path, node) is None
            assert content_of(reading, path, node) is None
            assert len(noted(reading, path.decode())) == 2

    def test_a_directory_that_vanished_is_told(self, dataset: SourceTenant) -> None:
        """It lists nothing, and is noted; what else there is goes on."""
        dataset.fill()
        with dataset.read() as reading:
            node = node_at(reading, b"folder/inner")
            deep = node_at(reading, b"folder/inner/deep")
            dataset.remove(b"folder")
            assert reading.list(b"folder/inner") == []
            assert reading.list(b"folder") == []
            assert reading.read_small(b"folder/inner/deep", deep) is None
            reading.complete(b"folder/inner", node)
            for path in ("folder", "folder/inner", "folder/inner/deep"):
                assert noted(reading, path)
            assert content_of(reading, b"one", node_at(reading, b"one")) == b"1"

    def test_a_file_that_became_a_directory_is_told(self, dataset: SourceTenant) -> None:
        """The file is gone; what stands in its place belongs to the next recovery point."""
        dataset.fill()
        with dataset.read() as reading:
            for path in (b"empty", b"one", b"large"):
                node = node_at(reading, path)
                dataset.remove(path)
                dataset.put(path + b"/inner", b"i")
                assert reading.read_small(path, node) is None
                assert content_of(reading, path, node) is None
                assert noted(reading, path.decode())

    def test_a_directory_that_became_a_file_is_told(self, dataset: SourceTenant) -> None:
        """As if it had vanished."""
        dataset.fill()
        with dataset.read() as reading:
            deep = node_at(reading, b"folder/inner/deep")
            dataset.remove(b"folder/inner")
            dataset.put(b"folder/inner", b"a file")
            assert reading.list(b"folder/inner") == []
            assert reading.read_small(b"folder/inner/deep", deep) is None
            assert noted(reading, "folder/inner")
            assert noted(reading, "folder/inner/deep")

    def test_what_changed_since_listing_is_read_as_it_is(self, dataset: SourceTenant) -> None:
        """The node tells of the content that was read, not of what was listed."""
        dataset.fill()
        with dataset.read() as reading:
            for path, content in (
                (b"one", b"another"),
                (b"empty", b"filled"),
                (b"large", LARGE[1:]),
            ):
                listed = node_at(reading, path)
                dataset.put(path, content)
                read = reading.read_small(path, listed)
                assert read is not None
                assert read[0].size == len(content)
                assert read[1] == (content if len(content) <= SMALL_BYTES else None)
                assert content_of(reading, path, listed) == content

    def test_what_never_holds_still_is_refused(self, dataset: SourceTenant) -> None:
        """Read again until the last try, then an error, unless the dataset allows it."""
        dataset.fill()

        def read_changing(reading: Reading) -> Node | None:
            node = node_at(reading, b"large")
            for attempt in range(1, MOST_TRIES + 1):
                with reading.open(b"large", node, None) as content:
                    assert content is not None
                    next(parts_of(content)).readinto(memoryview(bytearray(10)))
                    dataset.put(b"large", LARGE[attempt:])
                    settled = content.settle(last=attempt == MOST_TRIES)
                assert (settled is None) == (attempt < MOST_TRIES)
            return settled

        with dataset.read() as reading, pytest.raises(EntryUnreadable, match="large"):
            read_changing(reading)
        if dataset.keeping is None:
            return
        dataset.put(b"large", LARGE)
        with dataset.read(dataset.keeping) as reading:
            assert read_changing(reading) is not None
            assert noted(reading, "large")


class InstantSuite:
    """Everything is read as it was when the reading began."""

    def test_what_goes_is_read_as_it_was(self, dataset: SourceTenant) -> None:
        """Removed or replaced after the instant, before it is listed or before it is read."""
        dataset.fill()
        with dataset.read() as reading:
            nodes = {path: node_at(reading, path) for path in (b"one", b"large")}
            dataset.put(b"one", b"another")
            dataset.remove(b"large")
            dataset.remove(b"folder")
            assert reading.read_small(b"one", nodes[b"one"]) == (nodes[b"one"], b"1")
            assert content_of(reading, b"large", nodes[b"large"]) == LARGE
            found = walk(reading)
            assert CONTENTS.keys() <= found.keys()
            for path, content in CONTENTS.items():
                assert content_of(reading, path, found[path]) == content
            assert not reading.notes

    def test_what_comes_is_not_there(self, dataset: SourceTenant) -> None:
        """Made after the instant: an entry, a directory, one where another was before."""
        dataset.fill()
        dataset.put(b"had been", b"here")
        dataset.remove(b"had been")
        with dataset.read() as reading:
            before = walk(reading)
            for path in (b"had been", b"new", b"one/inner", b"folder/new", b"new folder/new"):
                dataset.put(path, b"new")
            assert walk(reading) == before
            assert b"had been" not in before

    def test_the_next_reading_finds_what_came(self, dataset: SourceTenant) -> None:
        """What one leaves out is the next one's, never nobody's."""
        dataset.fill()
        with dataset.read() as reading:
            dataset.put(b"new", b"new")
            dataset.remove(b"folder")
            assert b"new" not in walk(reading)
        with dataset.read() as reading:
            found = walk(reading)
            assert b"new" in found
            assert not any(path.startswith(b"folder") for path in found)


class GrowingSuite:
    """Entries can be changed in place, and so grow while they are read."""

    def test_what_grows_is_read_to_its_first_size(self, dataset: SourceTenant) -> None:
        """A log file that is written to is read as it was when it was opened, and noted."""
        dataset.fill()
        with dataset.read() as reading:
            with reading.open(b"large", node_at(reading, b"large"), None) as content:
                assert content is not None
                [part] = parts_of(content)
                dataset.put(b"large", LARGE + b"more")
                buffer, read = memoryview(bytearray(2 * len(LARGE))), 0
                while count := part.readinto(buffer[read:]):
                    read += count
                node = content.settle(last=False)
            assert node is not None
            assert (read, node.size, bytes(buffer[:read])) == (len(LARGE), len(LARGE), LARGE)
            assert any("grown" in what for what in noted(reading, "large"))
