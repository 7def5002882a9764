"""A bucket that a recovery point of a bucket is put back into: keys, bytes, metadata, tags.

Paths become keys again (names.py), below whatever prefix was named. Several objects are under way
at a time; memory holds eight parts of 8 MiB, whatever the sizes of the objects. Uploading the
same again leads to the same objects, so a restore that failed is begun anew with `overwrite`.

Never into the place that the objects came from, unless that is meant: a restore is no repair.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import DamageFound, RestoreRefused
from include.backup.evidence.wording import count
from include.backup.format.tree import NodeType
from include.backup.sources.base import PutBack
from include.backup.sources.erasing import paths_of, require_paths
from include.backup.sources.file_nodes import shown
from include.backup.sources.noting import Notes
from include.backup.sources.s3 import names
from include.backup.sources.s3.about import MANIFEST, bucket_and_prefix
from include.backup.sources.s3.metadata import metadata_of
from include.backup.sources.s3.refusals import ClassUnknown, ask
from include.backup.sources.s3.source import PATIENCE
from include.backup.sources.s3.upload import Uploads, tagging
from include.backup.storage.s3_client import checked_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.base import StoredFiles
    from include.backup.sources.erasing import ToErase
    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_client import S3Client

_MOST_NAMED: Final = 20  # damaged objects that an error names


class S3Target:
    """A prefix of a bucket that objects are restored to.

    Args:
        overwrite: replace objects that are there; others are left alone.
        into_source: it may be where the objects were backed up from.
        wanted: which paths of the recovery point are restored.
        jobs: how many objects are under way at a time.
        insecure_reason: why http:// or unverified TLS to another machine is acceptable.

    Raises:
        ConfigurationInvalid: the transport is not safe.
    """

    def __init__(  # noqa: PLR0913  keywords
        self,
        client: S3Client,
        bucket: str,
        prefix: str,
        *,
        overwrite: bool = False,
        into_source: bool = False,
        wanted: Callable[[bytes], bool] = lambda _: True,
        jobs: int = 8,
        insecure_reason: str = "",
        patience: Patience = PATIENCE,
    ) -> None:
        checked_transport(client, insecure_reason=insecure_reason, whose="destination")
        self.client = client
        self.bucket = bucket
        prefix = prefix.strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.overwrite = overwrite
        self.into_source = into_source
        self.wanted = wanted
        self.jobs = jobs
        self.insecure_reason = insecure_reason
        self.patience = patience

    @property
    def url(self) -> str:
        """Where the objects go, for people."""
        return f"s3://{self.bucket}/{self.prefix}"

    def prepare(self) -> None:
        """See Server.prepare."""
        self._look()

    def standing(self, files: StoredFiles) -> list[str]:
        """See Server.standing."""
        self._require_other_place(files)
        told = f"{self.url} holds objects: those of the same keys are replaced"
        return [told] if self._look() else []

    def _look(self) -> bool:
        """Whether anything is there; refuse it, unless it may be replaced."""
        page = ask(
            self.url,
            lambda: self.client.list_objects_v2(
                Bucket=self.bucket, Prefix=self.prefix, Delimiter="/"
            ),
            self.patience,
        )
        there = bool(page.get("Contents") or page.get("CommonPrefixes"))
        if there and not self.overwrite:
            raise RestoreRefused(
                f"{self.url} holds objects", hint="name another prefix, or give --overwrite"
            )
        return there

    def put(self, files: StoredFiles, progress: Callable[[int], None]) -> PutBack:
        """See Server.put.

        Raises:
            RestoreRefused: the store refuses an object; or these are no objects, or of this place.
            DamageFound: some objects are damaged; all others are there.
            StorageError.
        """
        self._require_other_place(files)
        return _Putting(self, files, progress).run()

    def erase(self, files: StoredFiles, requests: Sequence[ToErase]) -> list[int]:
        """See Server.erase: every version of an object goes."""
        require_paths(requests)
        return [
            sum(
                self._remove(path)
                for path, kind in paths_of(files, request.matches)
                if kind != NodeType.DIR and self.wanted(path)
            )
            for request in requests
            if request.matches is not None
        ]

    def _remove(self, path: bytes) -> int:
        try:
            key = self.prefix + names.key_of(path.decode())
        except ValueError:
            return 0  # it was no object, and was not restored
        place = f"an object of {self.url}"  # its name is not told
        page = ask(
            place,
            lambda: self.client.list_object_versions(Bucket=self.bucket, Prefix=key),
            self.patience,
        )
        listed = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        versions = [one["VersionId"] for one in listed if one["Key"] == key]
        for version in versions:
            self._remove_version(place, key, version)
        return 1 if versions else 0

    def _remove_version(self, place: str, key: str, version: str) -> None:
        ask(
            place,
            lambda: self.client.delete_object(Bucket=self.bucket, Key=key, VersionId=version),
            self.patience,
        )

    def _require_other_place(self, files: StoredFiles) -> None:
        came_from = bucket_and_prefix(files.about(MANIFEST))
        if came_from is None:
            raise RestoreRefused(
                "this recovery point is not of a bucket", hint="restore it to a directory"
            )
        bucket, prefix = came_from
        overlaps = prefix.startswith(self.prefix) or self.prefix.startswith(prefix)
        if bucket == self.bucket and overlaps and not self.into_source:
            raise RestoreRefused(
                f"{self.url} is where the objects were backed up from (s3://{bucket}/{prefix})",
                hint="restore to another prefix or bucket, and look at it first",
            )


class _Putting:
    """One recovery point on its way into a bucket."""

    def __init__(
        self, target: S3Target, files: StoredFiles, progress: Callable[[int], None]
    ) -> None:
        self._target = target
        self._files = files
        self._progress = progress
        self._uploads: Uploads
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._objects = 0
        self._bytes = 0
        self._notes = Notes()
        self._damaged: list[str] = []

    def run(self) -> PutBack:
        """Put every object that is wanted; see S3Target.put."""
        jobs = self._target.jobs
        with (
            ThreadPoolExecutor(jobs, thread_name_prefix="s3-part") as parts,
            ThreadPoolExecutor(jobs, thread_name_prefix="s3-put") as pool,
        ):
            self._uploads = Uploads(
                self._target.client,
                self._target.bucket,
                patience=self._target.patience,
                pool=parts,
                stop=self._stop,
            )
            under_way: set[Future[None]] = set()
            try:
                for path, node in self._wanted():
                    under_way.add(pool.submit(self._put, path, node))
                    if len(under_way) >= 2 * jobs:
                        under_way = self._settle(under_way)
                while under_way:
                    under_way = self._settle(under_way)
            except BaseException:
                self._stop.set()
                for one in under_way:
                    one.cancel()
                raise
        if self._damaged:
            raise DamageFound(
                f"{len(self._damaged)} objects are damaged and left out: "
                + "; ".join(self._damaged[:_MOST_NAMED]),
                hint="everything else was restored; an older recovery point may have them whole",
            )
        return PutBack(
            files=self._objects,
            bytes_written=self._bytes,
            contents=count(self._objects, "object"),
            notes=self._notes,
        )

    def _settle(self, under_way: set[Future[None]]) -> set[Future[None]]:
        """Wait until one is done; raise what one of them failed with."""
        done, rest = wait(under_way, return_when=FIRST_COMPLETED)
        for one in done:
            one.result()
        return rest

    def _wanted(self) -> Iterator[tuple[bytes, Node]]:
        """The files to restore; one directory after the other is in memory, and those above it."""
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            inner = []
            try:
                nodes = self._files.list(folder)
            except DamageFound as damage:
                self._damage(folder or b".", damage)
                continue
            for node in nodes:
                path = folder + b"/" + node.name if folder else node.name
                if node.type == NodeType.DIR:
                    inner.append(path)
                elif self._target.wanted(path):
                    yield path, node
            waiting.extend(reversed(inner))

    def _put(self, path: bytes, node: Node) -> None:
        if self._stop.is_set():
            return
        try:
            key = self._target.prefix + names.key_of(path.decode())
            headers, tags = metadata_of(node)
        except ValueError:
            self._notes.add(path, "left out: it is no object of a bucket", lost=True)
            return
        except DamageFound as damage:
            self._damage(path, damage)
            return
        if not key:  # of the prefix itself, as consoles make it
            what = "left out: without a prefix there is no key for it"
            self._notes.add(path, what, lost=node.size > 0)
            return
        arguments = {**self._accepted(path, headers), **tagging(tags)}
        try:
            try:
                self._send(key, path, node, arguments)
            except ClassUnknown:
                if "StorageClass" not in arguments:
                    raise
                self._notes.add(path, f"storage class {arguments.pop('StorageClass')} not restored")
                self._send(key, path, node, arguments)
        except DamageFound as damage:
            self._damage(path, damage)
        else:
            with self._lock:
                self._objects += 1
                self._bytes += node.size

    def _send(self, key: str, path: bytes, node: Node, arguments: dict[str, Any]) -> None:
        self._uploads.put(key, node.size, self._content(path, node), arguments, self._progress)

    def _content(self, path: bytes, node: Node) -> Iterator[bytes]:
        """The bytes of a file.

        Raises:
            DamageFound: there are not as many as its node says.
        """
        length = 0
        for piece in self._files.stream(path):
            if self._stop.is_set():
                raise RestoreRefused("another object failed")
            length += len(piece)
            yield piece
        if length != node.size:
            raise DamageFound(f"its blobs have {length} bytes, its node says {node.size}")

    def _accepted(self, path: bytes, headers: dict[str, Any]) -> dict[str, Any]:
        """What boto3 can send of the headers; the rest is noted."""
        accepted = dict(headers)
        metadata = accepted.get("Metadata", {})
        for name in [name for name, value in metadata.items() if not f"{name}{value}".isascii()]:
            self._notes.add(path, f"metadata {name} not restored: it is not ASCII")
            accepted["Metadata"] = {k: v for k, v in accepted["Metadata"].items() if k != name}
        if "Expires" in accepted and (moment := _date(accepted["Expires"])) is None:
            self._notes.add(path, "header Expires not restored: it is no date")
            del accepted["Expires"]
        elif "Expires" in accepted:
            accepted["Expires"] = moment
        return accepted

    def _damage(self, path: bytes, damage: DamageFound) -> None:
        with self._lock:
            self._damaged.append(f"{shown(path)}: {damage.message}")


def _date(text: str) -> Any:  # noqa: ANN401  a datetime, or None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  seldom used

    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
