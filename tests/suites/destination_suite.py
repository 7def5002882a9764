"""The laws that every destination of a restore keeps, whatever it is made of.

A tenant is one place to restore to, empty at first; `open` gives the destination as a new restore
sees it, so that a test can break one off and begin another.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import RestoreRefused
from include.backup.format.tree import Node, NodeType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.backup.sources.base import Destination, Sink, StoredFiles

NO_FILES: StoredFiles = None  # type: ignore[assignment]  a directory asks for none
PART = 100_000
LARGE = Random(41).randbytes(5 * PART)
CONTENTS = {
    b"empty": b"",
    b"folder/inner/deep": b"deep",
    b"folder/small": b"small",
    b"large": LARGE,
    b"not utf-8 \xff\n": b"odd name",
    b"zeros": bytes(3 * PART),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationTenant:
    """One place to restore to, and what is in it.

    Args:
        open: begin a restore, `overwrite` or not.
        content: every file that is there, by its path; with what a restore leaves behind.
        put: a file that was there before.
    """

    open: Callable[[bool], Destination]
    content: Callable[[], Mapping[bytes, bytes]]
    put: Callable[[bytes, bytes], None]


def folder_node(name: bytes = b"folder", mode: int = 0o750) -> Node:
    """A directory as a tree has it."""
    return Node(name=name, type=str(NodeType.DIR), mode=1 << 31 | mode, subtree=bytes(32))


def file_node(path: bytes, content: bytes = b"", mode: int = 0o640) -> Node:
    """A file as a tree has it."""
    name = path.rpartition(b"/")[2]
    return Node(name=name, type=str(NodeType.FILE), mode=mode, size=len(content), links=1)


def begin(destination: Destination) -> Destination:
    """Prepare a destination and make the directories of CONTENTS."""
    destination.prepare()
    for path in (b"", b"folder", b"folder/inner"):
        destination.make(path, folder_node(path.rpartition(b"/")[2] or b"root"))
    return destination


def write(sink: Sink, content: bytes) -> None:
    """Write a file in parts, the last one first."""
    for offset in reversed(range(0, len(content), PART)):
        sink.write(content[offset : offset + PART], offset)


def restore(destination: Destination, contents: Mapping[bytes, bytes] = CONTENTS) -> None:
    """All of it."""
    begin(destination)
    for path, content in contents.items():
        sink = destination.create(path, file_node(path, content))
        write(sink, content)
        sink.close()
    destination.finish()


class DestinationSuite:
    """One test per law. Tenants come from the fixture `place`."""

    def test_what_was_written_is_there(self, place: DestinationTenant) -> None:
        """Every file, whole, in whatever order its parts came."""
        restore(place.open(False))
        assert place.content() == CONTENTS

    def test_many_threads_write_at_once(self, place: DestinationTenant) -> None:
        """Into one file and into many."""
        destination = begin(place.open(False))
        sinks = {
            path: destination.create(path, file_node(path, content))
            for path, content in CONTENTS.items()
        }
        parts = [
            (path, offset) for path in CONTENTS for offset in range(0, len(CONTENTS[path]), PART)
        ]
        with ThreadPoolExecutor(8) as pool:
            for path, offset in Random(1).sample(parts, len(parts)):
                part = CONTENTS[path][offset : offset + PART]
                pool.submit(sinks[path].write, part, offset)
        for sink in sinks.values():
            sink.close()
        destination.finish()
        assert place.content() == CONTENTS

    def test_many_files_are_begun_before_one_is_whole(self, place: DestinationTenant) -> None:
        """A blob that two thousand files share goes into all of them at once."""
        destination = begin(place.open(False))
        contents = {b"file %d" % number: b"shared" + b"%d" % number for number in range(2000)}
        sinks = {
            path: destination.create(path, file_node(path, content))
            for path, content in contents.items()
        }
        for sink in sinks.values():
            sink.write(b"shared", 0)
        for path, sink in sinks.items():
            sink.write(contents[path][6:], 6)
        for sink in sinks.values():
            sink.close()
        destination.finish()
        assert place.content() == contents

    def test_nothing_is_seen_before_it_is_whole(self, place: DestinationTenant) -> None:
        """And nothing is left of what was broken off, begun or not."""
        destination = begin(place.open(False))
        begun = destination.create(b"folder/small", file_node(b"folder/small", b"small"))
        begun.write(b"sm", 0)
        destination.create(b"empty", file_node(b"empty")).abort()
        assert b"folder/small" not in place.content()
        begun.abort()
        begun.abort()
        destination.finish()
        assert place.content() == {}

    def test_what_is_not_empty_is_refused(self, place: DestinationTenant) -> None:
        """Unless it is allowed to be; then what is in the way is replaced, and nothing else."""
        place.put(b"large", b"old")
        place.put(b"folder/kept", b"kept")
        place.put(b"other/kept", b"kept")
        with pytest.raises(RestoreRefused, match="not empty"):
            place.open(False).prepare()
        restore(place.open(True))
        kept = {b"folder/kept": b"kept", b"other/kept": b"kept"}
        assert place.content() == CONTENTS | kept

    def test_a_look_changes_nothing(self, place: DestinationTenant) -> None:
        """Nothing is there; it is refused; it would be replaced."""
        assert place.open(False).standing(NO_FILES) == []
        assert place.content() == {}
        place.put(b"large", b"old")
        with pytest.raises(RestoreRefused, match="not empty"):
            place.open(False).standing(NO_FILES)
        [told] = place.open(True).standing(NO_FILES)
        assert "1 entry" in told
        assert place.content() == {b"large": b"old"}

    def test_a_restore_repeats(self, place: DestinationTenant) -> None:
        """Over its own result, the same comes of it."""
        restore(place.open(False))
        restore(place.open(True))
        assert place.content() == CONTENTS

    @pytest.mark.parametrize("whole", range(len(CONTENTS)))
    def test_a_killed_restore_can_be_repeated(self, place: DestinationTenant, whole: int) -> None:
        """Whatever it had done when it died, its repetition leaves what is wanted and no more."""
        destination = begin(place.open(False))
        for number, (path, content) in enumerate(CONTENTS.items()):
            sink = destination.create(path, file_node(path, content))
            write(sink, content)
            if number < whole:
                sink.close()  # the others are begun, and nobody ends them
        del destination
        restore(place.open(True))
        assert place.content() == CONTENTS

    @pytest.mark.parametrize(
        "path", [b"..", b"../out", b"folder/../../out", b"/out", b"folder//out", b".", b"folder/."]
    )
    def test_no_path_leads_out(self, place: DestinationTenant, path: bytes) -> None:
        """The reader of trees refuses such names; so does a destination, should it not."""
        destination = begin(place.open(False))
        for kind in (NodeType.DIR, NodeType.SYMLINK, NodeType.FIFO):
            node = Node(name=b"out", type=str(kind), mode=0o700, linktarget=b"l")
            with pytest.raises(RestoreRefused):
                destination.make(path, node)
        sink = destination.create(path, file_node(path, b"o"))
        with pytest.raises(RestoreRefused):
            sink.write(b"o", 0)
        with pytest.raises(RestoreRefused):
            sink.close()
        sink.abort()
        sink = destination.create(b"empty", file_node(b"empty"))
        sink.close()
        destination.link(path, b"empty")
        destination.link(b"linked", path)
        assert len([note for note in destination.finish() if "link to" in note.what]) == 2
        assert place.content() == {b"empty": b""}
