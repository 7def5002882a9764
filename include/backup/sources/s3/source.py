"""Reading the objects of a bucket below a prefix.

Keys are paths split at "/" (names.py); what a store says of an object beside its bytes goes into
extended attributes (metadata.py). Each directory is one listing, so memory holds the largest of
them, never the bucket. Small objects are fetched by one request each as soon as it is clear that
they will be read, large ones by several ranges at a time (content.py).

Fingerprint: entity tag, size, Last-Modified and version. An object of which they all are the
parent's is not asked for. One that changes between listing and reading is listed anew and read
as it is then, three times at most. In a bucket that keeps versions nothing changes: everything is
read as it was at one instant, the end of the second, by the store's clock, in which the reading
began. It waits for that second to end, so that nothing can be added to it afterwards.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import EntryUnreadable, SourceError
from include.backup.evidence.wording import count
from include.backup.format.times import text_of_datetime
from include.backup.sources.base import JOBS, MOST_TRIES, SMALL_BYTES, Note
from include.backup.sources.exclude import Exclusion
from include.backup.sources.file_nodes import shown
from include.backup.sources.s3 import names
from include.backup.sources.s3.about import MANIFEST, PUT_OBJECTS, STEPS, manifest, put_objects
from include.backup.sources.s3.bucket import Changed, Gone, SourceBucket
from include.backup.sources.s3.content import WINDOW_BYTES, ObjectContent, Window, changing
from include.backup.sources.s3.examine import examine
from include.backup.sources.s3.listing import list_before, list_now
from include.backup.sources.s3.metadata import (
    folder_node,
    is_fixed,
    is_same,
    node_of,
    stored_of,
    with_metadata,
)
from include.backup.storage.retry import Patience
from include.backup.storage.s3_client import checked_transport

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import Any

    from include.backup.format.tree import Node
    from include.backup.sources.base import Parent
    from include.backup.sources.s3.bucket import Stored
    from include.backup.storage.s3_client import S3Client

_MOST_NOTES: Final = 10_000
_BETWEEN_LOOKS_SECONDS: Final = 0.1  # at the store's clock, which shows whole seconds
_MOST_LOOKS: Final = 50
PATIENCE: Final = Patience(deadline=timedelta(minutes=5))

_Small = tuple["Node", bytes | None] | None


class S3Source:
    """The objects of a bucket below a prefix.

    Args:
        client: of boto3, made by Airflow's S3Hook or by s3_client.make_client.
        exclude: patterns as in a .gitignore, of keys relative to the prefix.
        with_tags: keep the tags of objects.
        jobs: how many requests are under way at a time; each large one holds 8 MiB.
        insecure_reason: why http:// or unverified TLS to another machine is acceptable.

    Raises:
        ConfigurationInvalid: the transport is not safe.
    """

    def __init__(  # noqa: PLR0913  keywords
        self,
        client: S3Client,
        bucket: str,
        prefix: str = "",
        *,
        exclude: tuple[str, ...] = (),
        with_tags: bool = True,
        jobs: int = 8,
        insecure_reason: str = "",
        patience: Patience = PATIENCE,
    ) -> None:
        checked_transport(client, insecure_reason=insecure_reason, whose="dataset")
        self.bucket = SourceBucket(client, bucket, patience=patience)
        prefix = prefix.strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.exclusion = Exclusion(exclude)
        self.with_tags = with_tags
        self.jobs = jobs

    def preflight(self) -> str:
        """See Source.preflight."""
        return f"{self.bucket.url(self.prefix)}: {examine(self)}"

    @contextmanager
    def read(self, *, now: datetime, parent: Parent | None) -> Iterator[S3Reading]:
        """See Source.read."""
        keeps_versions, there = self.bucket.versioning()
        instant = self._next_second(there) if keeps_versions else None
        horizon = ""
        if parent is not None:
            # Times of objects are the store's, so the parent's is put on its clock: by the
            # difference found now, less the fraction of a second that no header tells.
            apart = there.replace(microsecond=0) - now if there else timedelta()
            horizon = text_of_datetime(parent.taken_at + apart)[:19]
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="s3-read") as pool:
            reading = S3Reading(self, pool, now, horizon, instant)
            try:
                yield reading
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        self.bucket.versioning()  # what was read does not count if the bucket is gone

    def _next_second(self, begun: datetime | None) -> datetime:
        """Wait until the store's clock shows another second; return which.

        Raises:
            SourceGone, SourceError.
        """
        for _ in range(_MOST_LOOKS):
            time.sleep(_BETWEEN_LOOKS_SECONDS)
            _, there = self.bucket.versioning()
            if begun is not None and there is not None and there > begun:
                return there
        raise SourceError(f"{self.bucket.url('')}: the store does not say what time it is")


class S3Reading:
    """One pass over the objects of a bucket.

    Args:
        horizon: the parent's time, as text of whole seconds; what is younger may have changed.
        instant: what was written from then on does not exist; None: everything there is does.
    """

    def __init__(
        self,
        source: S3Source,
        pool: ThreadPoolExecutor,
        taken_at: datetime,
        horizon: str,
        instant: datetime | None,
    ) -> None:
        self.taken_at = taken_at
        self.root = folder_node(b"root")
        self.notes: builtins.list[Note] = []
        self.late: frozenset[bytes] = frozenset()
        self.largest_first = False
        self.jobs = JOBS  # that cut and seal; requests have threads of their own
        self._source = source
        self._bucket = source.bucket
        self._pool = pool
        self._horizon = horizon
        self._instant = instant
        self._room = threading.Semaphore(source.jobs)
        self._expected: dict[bytes, Future[_Small]] = {}
        self._lock = threading.Lock()
        self._tags_readable = not source.with_tags  # or nobody has tried yet

    def list(self, path: bytes) -> builtins.list[Node]:
        """See Reading.list."""
        below = names.below(path.decode())
        base = self._source.prefix + below.prefix
        found = (
            list_now(self._bucket, base)
            if self._instant is None
            else list_before(self._bucket, base, self._instant, pool=self._pool)
        )
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
        with self._lock:
            if len(self.notes) < _MOST_NOTES:
                self.notes.append(Note(path=shown(path), what=what))

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
