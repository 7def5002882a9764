"""One pass over the objects of a bucket.

Small objects are fetched by one request each as soon as it is clear that they will be read, large
ones by several ranges at a time (content.py). An object that changed between listing and reading
is listed anew and read as it is then, three times at most.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from include.backup.errors import EntryUnreadable
from include.backup.evidence.wording import count
from include.backup.sources.base import JOBS, MOST_TRIES, SMALL_BYTES
from include.backup.sources.noting import Notes
from include.backup.sources.s3 import names
from include.backup.sources.s3.about import MANIFEST, PUT_OBJECTS, STEPS, manifest, put_objects
from include.backup.sources.s3.bucket import Changed, Gone
from include.backup.sources.s3.content import WINDOW_BYTES, ObjectContent, Window, changing
from include.backup.sources.s3.listing import Lister
from include.backup.sources.s3.metadata import (
    folder_node,
    is_fixed,
    is_same,
    node_of,
    stored_of,
    with_metadata,
)

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future, ThreadPoolExecutor
    from datetime import datetime
    from typing import Any

    from include.backup.format.tree import Node
    from include.backup.sources.s3.bucket import SourceBucket, Stored
    from include.backup.sources.s3.source import S3Source

_ACCEPTED: Final = "(accepted: "  # in what a transport is called that needed a reason

_Small = tuple["Node", bytes | None] | None


class S3Reading:
    """One pass over the objects of a bucket.

    Args:
        bucket: that of the source; asks nothing again once the reading is over.
        horizon: the parent's time, as text of whole seconds; what is younger may have changed.
        instant: what was written from then on does not exist; None: everything there is does.
    """

    def __init__(
        self,
        source: S3Source,
        bucket: SourceBucket,
        pool: ThreadPoolExecutor,
        taken_at: datetime,
        horizon: str,
        instant: datetime | None,
    ) -> None:
        self.taken_at = taken_at
        self.root = folder_node(b"root")
        self.notes = Notes()
        if _ACCEPTED in source.transport:
            url = bucket.url(source.prefix)
            self.notes.add(url, source.transport.replace("sent", "read"))
        self.late: frozenset[bytes] = frozenset()
        self.largest_first = False
        self.jobs = JOBS  # that cut and seal; requests have threads of their own
        self._source = source
        self._bucket = bucket
        self._pool = pool
        self._horizon = horizon
        self._instant = instant
        self._lister = Lister(bucket, source.prefix, instant, pool)
        self._room = threading.Semaphore(source.jobs)
        self._expected: dict[bytes, Future[_Small]] = {}
        self._lock = threading.Lock()
        self._tags_readable = not source.with_tags  # or nobody has tried yet

    def list(self, path: bytes) -> builtins.list[Node]:
        """See Reading.list."""
        below = names.below(path.decode())
        base = self._source.prefix + below.prefix
        found = self._lister.list(base, is_folder=not below.heads)
        if path and not found.objects and not found.prefixes:
            self._note_vanished(path, base)
        head = "".join(below.heads)
        folders = {prefix[len(base) : -1] for prefix in found.prefixes}
        nodes: dict[bytes, Node] = {}
        for part in folders:
            if not self._covers(f"{below.prefix}{part}", is_folder=True):
                rest = below.rest(head + part, is_folder=True, beside_folder=False)
                if rest is not None:
                    name = names.name_of(rest, is_folder=True).encode()
                    nodes[name] = folder_node(name)
        for of in found.objects:
            part = of.key[len(base) :]
            beside = part in folders
            if self._covers(f"{below.prefix}{part}", is_folder=False):
                continue
            rest = below.rest(head + part, is_folder=False, beside_folder=beside)
            if rest is not None:
                name_text = names.name_of(rest, is_folder=False, beside_folder=beside)
                name = name_text.encode()
                begins = names.begins_a_name(name_text)
                nodes[name] = folder_node(name) if begins else node_of(name, of)
        return [nodes[name] for name in sorted(nodes)]

    def _covers(self, key: str, *, is_folder: bool) -> bool:
        exclusion = self._source.exclusion
        return bool(exclusion) and exclusion.covers(key.encode(), is_folder=is_folder)

    def unchanged(self, entry: Node, parent: Node) -> bool:
        """See Reading.unchanged."""
        return is_same(entry, parent) and (is_fixed(entry) or entry.ctime < self._horizon)

    def expect(self, path: bytes, entry: Node) -> None:
        """See ReadsAhead.expect."""
        self._expected[path] = self._pool.submit(self._read_small, path, entry)

    def read_small(self, path: bytes, entry: Node) -> _Small:
        """See Reading.read_small."""
        expected = self._expected.pop(path, None)
        return self._read_small(path, entry) if expected is None else expected.result()

    def _read_small(self, path: bytes, entry: Node) -> _Small:
        node: Node | None = entry
        if entry.size > SMALL_BYTES and self._instant is None:
            node = self._look(path, entry.name)
        for _ in range(MOST_TRIES):
            if node is None:
                break
            if node.size > SMALL_BYTES:
                return node, None
            of = stored_of(self._key(path), node)
            try:
                data, answer = self._bucket.get(of, 0, of.size_bytes)
                return self._complete(of, node, answer), data
            except Changed:
                node = self._look(path, entry.name)
            except Gone:
                break
        else:
            raise changing(self._bucket.url(self._key(path)))
        self._note_vanished(path, self._key(path))
        return None

    @contextmanager
    def open(self, path: bytes, entry: Node, was: Node | None) -> Iterator[ObjectContent | None]:
        """See Reading.open."""
        del was  # an object that changed is read as a whole
        content = self._open(path, entry)
        try:
            yield content
        finally:
            if content is not None:
                content.close()

    def _open(self, path: bytes, entry: Node) -> ObjectContent | None:
        node: Node | None = entry
        for _ in range(MOST_TRIES):
            if node is None:
                break
            of = stored_of(self._key(path), node)
            self._room.acquire()
            try:
                # Not by the pool: its threads may all wait for room that contents hold.
                got = self._bucket.get(of, 0, min(WINDOW_BYTES, of.size_bytes))
                complete = self._complete(of, node, got[1])
            except Changed:
                self._room.release()
                node = self._look(path, entry.name)
            except Gone:
                self._room.release()
                break
            except BaseException:
                self._room.release()
                raise
            else:
                return ObjectContent(
                    self._bucket, of, complete, Window(*got), self._pool, self._room
                )
        else:
            raise changing(self._bucket.url(self._key(path)))
        self._note_vanished(path, self._key(path))
        return None

    def complete(self, path: bytes, entry: Node) -> Node:
        """See Reading.complete: what is costly is found out by reading."""
        del path
        return entry

    def about(self) -> Mapping[str, bytes]:
        """See Reading.about."""
        return {
            MANIFEST: manifest(
                self._bucket.client.meta.endpoint_url,
                self._bucket.name,
                self._source.prefix,
                keeps_versions=self._instant is not None,
                with_tags=self._source.with_tags,
            ),
            PUT_OBJECTS: put_objects(),
        }

    def contents(self, files: int) -> str:
        """See Reading.contents."""
        return count(files, "object")

    def restore_steps(self) -> str:
        """See Reading.restore_steps."""
        return STEPS

    def note(self, path: bytes, what: str) -> None:
        """Remember something about an entry."""
        self.notes.add(path, what)

    def _key(self, path: bytes) -> str:
        return self._source.prefix + names.key_of(path.decode())

    def _note_vanished(self, path: bytes, key: str) -> None:
        """Note what is not there any more.

        Raises:
            EntryUnreadable: it never was there under this name.
        """
        if "\ufffd" in key:  # what stands for bytes that are no UTF-8
            raise EntryUnreadable(
                f"{self._bucket.url(key)} is listed, and is not there: is its key no UTF-8?",
                hint="rename it, or exclude it",
            )
        self.note(path, "vanished between listing and reading")

    def _look(self, path: bytes, name: bytes) -> Node | None:
        """The node of an object as it is now; None when it is not there any more."""
        if self._instant is not None:
            raise EntryUnreadable(f"{self._bucket.url(self._key(path))}: a version has changed")
        of = self._bucket.look(self._key(path))
        return None if of is None else node_of(name, of)

    def _complete(self, of: Stored, node: Node, answer: Mapping[str, Any]) -> Node:
        """A node with the metadata and the tags of an object that was just read.

        A store tells how many tags there are only to who may read them: without the right there
        seem to be none. So once the tags of an object are asked for in any case.
        """
        tags: dict[str, str] = {}
        if self._source.with_tags and (answer.get("TagCount") or not self._tags_readable):
            tags = self._bucket.tags(of)
            self._tags_readable = True
        return with_metadata(node, answer, tags)
