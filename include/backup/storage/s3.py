"""A storage in an S3 bucket.

    s3://bucket/prefix/datasets/crm/…    one object per file, saved by one PutObject, never in parts

Each object is sent with its SHA-256, and only where the name is free (If-None-Match). "The name
is taken" may be the answer to our own request, repeated because the first answer was lost, so the
object is compared with ours before it counts as another's. Lock dates go with the object, and
are read back.

In a bucket with versions the oldest version of a name is the file: overwriting and delete markers
are somebody's tampering (s3_versions), and can be removed (s3_undelete).

Needed rights: ListBucket, GetBucketVersioning, GetObject, PutObject; with versions
ListBucketVersions, GetObjectVersion; with locks PutObjectRetention, GetObjectRetention,
for holds PutObjectLegalHold, GetObjectLegalHold; to delete
DeleteObject, DeleteObjectVersion.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from include.backup.errors import (
    AccessRefused,
    ConfigurationInvalid,
    DamageFound,
    FileHeld,
    FileLocked,
)
from include.backup.storage.base import FileInfo
from include.backup.storage.names import (
    LONGEST_NAME,
    checked_folder,
    checked_name,
    checked_prefix,
    is_name,
)
from include.backup.storage.retry import Patience
from include.backup.storage.s3_bucket import Bucket, cut_short
from include.backup.storage.s3_client import checked_transport, make_client, sign_prehashed
from include.backup.storage.s3_deletion import delete_files
from include.backup.storage.s3_locks import (
    ON_HOLD,
    LockMode,
    extend_locks,
    kept_by_lock,
    lock_date,
    require_no_default,
    set_holds,
)
from include.backup.storage.s3_pages import pages
from include.backup.storage.s3_save import SMALL_BYTES, Upload, save
from include.backup.storage.s3_undelete import undelete_files
from include.backup.storage.s3_versions import histories
from include.backup.storage.tampering import Remains, Tampering

if TYPE_CHECKING:
    import builtins  # list is a method here
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from include.backup.storage.s3_client import S3Access, S3Client

LARGEST_BYTES = 5 << 30  # of one PutObject
_KEY_BYTES = 1024


class S3Storage:
    """Files below a prefix of a bucket. All methods may be called from several threads."""

    def __init__(  # noqa: PLR0913 keywords, and stores do differ that much
        self,
        client: S3Client,
        bucket: str,
        prefix: str = "",
        *,
        lock_mode: LockMode | None = None,
        governed: Callable[[str], bool] | None = None,
        conditional_writes: bool = True,
        prehashed: bool = True,
        insecure_reason: str = "",
        patience: Patience | None = None,
        renew: Callable[[], S3Client] | None = None,
    ) -> None:
        """Say where the files are; send nothing.

        Args:
            client: of boto3, made by Airflow's S3Hook or by s3_client.make_client.
            lock_mode: the mode of the lock dates given to `save`; None: dates are ignored.
            governed: names that are locked in governance, whatever the mode of the others.
            conditional_writes: False for stores without If-None-Match. Then a name is looked up
                before it is used, and of two writers at the same moment both may succeed, unless
                the bucket keeps versions.
            prehashed: sign uploads with the digest they carry (s3_client.sign_prehashed). Where
                it is off or cannot be had, bytes are compared with their digest here.
            insecure_reason: why http:// or unverified TLS to another machine is acceptable.
            patience: how long operations are retried.
            renew: makes another client when the credentials of this one have expired, and what
                failed is done once more; None: nobody has newer ones.

        Raises:
            ConfigurationInvalid: the transport is not safe, or bucket or prefix are not legal.
        """
        self._insecure_reason = insecure_reason
        self._transport = checked_transport(client, insecure_reason=insecure_reason)
        prefix = prefix.strip("/")
        if not bucket or "/" in bucket or (prefix and not is_name(prefix)):
            raise ConfigurationInvalid(f"s3://{bucket}/{prefix} is not a legal address of a vault")
        if len(prefix) + 1 + LONGEST_NAME > _KEY_BYTES:
            raise ConfigurationInvalid(f"the prefix of s3://{bucket}/{prefix} is too long")
        self._bucket = Bucket(
            client,
            bucket,
            f"{prefix}/" if prefix else "",
            renew=(lambda: self._prepared(renew())) if renew else None,
        )
        self._lock_mode = lock_mode
        self._governed = governed
        self._conditional = conditional_writes
        self._prehashed = prehashed and sign_prehashed(client)
        self._patience = patience or Patience()

    def _prepared(self, client: S3Client) -> S3Client:
        """A client in the place of another."""
        checked_transport(client, insecure_reason=self._insecure_reason)
        if self._prehashed:
            sign_prehashed(client)
        return client

    @property
    def url(self) -> str:
        """The address as ``s3://bucket/prefix``."""
        return self._bucket.url

    @property
    def restic_address(self) -> str:
        """See Storage.restic_address."""
        endpoint = str(self._bucket.client.meta.endpoint_url).rstrip("/")
        return f"s3:{endpoint}/{self.url.removeprefix('s3://')}"

    @property
    def transport(self) -> str:
        """See Storage.transport."""
        return self._transport

    def save(
        self,
        name: str,
        data: bytes | bytearray | memoryview,
        *,
        sha256: bytes | None = None,
        locked_until: datetime | None = None,
    ) -> None:
        """See Storage.save.

        Raises:
            DamageFound: `data` does not hash to `sha256`.
        """
        checked_name(name)
        until = lock_date(locked_until) if self._lock_mode and locked_until else None
        body = memoryview(data).cast("B")
        if len(body) > LARGEST_BYTES:
            raise ConfigurationInvalid(f"{name} is larger than the 5 GiB that S3 takes at once")
        digest = sha256 or hashlib.sha256(body).digest()
        upload = Upload(name=name, body=body, sha256=digest, locked_until=until)
        if sha256 and (not self._prehashed or len(body) <= SMALL_BYTES):
            upload.check()
        save(
            self._bucket,
            upload,
            lock_mode=self._mode_of(name),
            conditional=self._conditional,
            patience=self._patience,
        )

    def load(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See Storage.load."""
        checked_name(name)
        if length == 0:  # there is no range without bytes
            size = self.stat(name).size_bytes
            if offset > size:
                raise cut_short(self._bucket.place(name), size, offset)
            return b""
        try:
            return self._bucket.retried(
                lambda: self._bucket.load(name, offset, length), self._patience
            )
        except DamageFound:  # also the answer to a range that begins where the file ends
            if length is None and offset == self.stat(name).size_bytes:
                return b""
            raise

    def stat(self, name: str) -> FileInfo:
        """See Storage.stat."""
        checked_name(name)
        return self._bucket.retried(lambda: self._bucket.stat(name), self._patience)

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """See Storage.list."""
        return filter(_has_name, self._list(checked_prefix(prefix)))

    def folders(self, prefix: str = "") -> builtins.list[str]:
        """See Storage.folders."""
        start = self._bucket.prefix + checked_folder(prefix)
        pages = self._pages(start, versions=self._keeps_versions(), delimiter="/")
        found = (each["Prefix"] for page in pages for each in page.get("CommonPrefixes", ()))
        return sorted(filter(is_name, (folder[len(start) : -1] for folder in found)))

    def extend_lock(self, names: Sequence[str], until: datetime) -> None:
        """See Storage.extend_lock. A request or two for each file, several at a time."""
        by_mode: dict[LockMode, builtins.list[str]] = {}
        for name in map(checked_name, names):
            if (mode := self._mode_of(name)) is not None:
                by_mode.setdefault(mode, []).append(name)
        for mode, alike in by_mode.items():
            extend_locks(self._bucket, alike, mode, lock_date(until), self._patience)

    def require_lockable(self) -> None:
        """See s3_locks.require_no_default; nothing is asked where there are no lock dates."""
        if self._lock_mode is not None:
            require_no_default(self._bucket.client, self._bucket.bucket)

    def hold(self, names: Sequence[str], *, on: bool) -> None:
        """See Storage.hold."""
        if self._lock_mode is not None:
            set_holds(self._bucket, [checked_name(name) for name in names], self._patience, on=on)

    def delete(self, names: Sequence[str], *, bypass_governance: bool = False) -> None:
        """See Storage.delete."""
        wanted = sorted({checked_name(name) for name in names})
        refused = delete_files(
            self._bucket, wanted, self._patience, bypass_governance=bypass_governance
        )
        for name, (version, code) in sorted(refused.items()):
            raise self._refused(name, version, code)

    def tampering(self, prefix: str = "") -> Iterator[Tampering]:
        """See Storage.tampering. What has a name of no file of ours is passed over."""
        if not self._keeps_versions():
            return
        start = self._bucket.prefix + checked_prefix(prefix)
        for history in histories(self._pages(start, versions=True)):
            if len(history.versions) != 1 or history.markers:
                name = history.key.removeprefix(self._bucket.prefix)
                if is_name(name):
                    yield Tampering(name, len(history.versions), len(history.markers))

    def undelete(self, names: Sequence[str]) -> builtins.list[Remains]:
        """See Storage.undelete."""
        wanted = sorted({checked_name(name) for name in names})
        return undelete_files(self._bucket, wanted, self._patience)

    def _list(self, prefix: str) -> Iterator[FileInfo]:
        bucket, start = self._bucket, self._bucket.prefix + prefix
        if self._keeps_versions():
            for history in histories(self._pages(start, versions=True)):
                if history.oldest is not None:
                    name = history.key.removeprefix(bucket.prefix)
                    bucket.remember(name, history.oldest.id)
                    yield FileInfo(name, history.oldest.size_bytes, history.oldest.saved_at)
            return
        for page in self._pages(start, versions=False):
            for entry in page.get("Contents", ()):
                name = entry["Key"].removeprefix(bucket.prefix)
                yield FileInfo(name, entry["Size"], entry["LastModified"])

    def _pages(
        self, start: str, *, versions: bool, delimiter: str = ""
    ) -> Iterator[Mapping[str, Any]]:
        return pages(self._bucket, start, self._patience, versions=versions, delimiter=delimiter)

    def _mode_of(self, name: str) -> LockMode | None:
        if self._lock_mode is None:
            return None
        return "GOVERNANCE" if self._governed and self._governed(name) else self._lock_mode

    def _refused(self, name: str, version: str, code: str) -> AccessRefused:
        identifier = self._bucket.identifier(name, version)
        kept_by = self._bucket.retried(
            lambda: kept_by_lock(self._bucket.client, identifier), self._patience
        )
        place = self._bucket.place(name)
        if kept_by:
            return (FileHeld if kept_by == ON_HOLD else FileLocked)(f"{place} is {kept_by}")
        return AccessRefused(
            f"{place} could not be deleted: the store answered {code}",
            hint="the role needs s3:DeleteObject, with versions s3:DeleteObjectVersion too",
        )

    def _keeps_versions(self) -> bool:
        return self._bucket.retried(self._bucket.keeps_versions, self._patience)


def open_s3(
    url: str,
    access: S3Access,
    *,
    lock_mode: LockMode | None = None,
    governed: Callable[[str], bool] | None = None,
    conditional_writes: bool = True,
    insecure_reason: str = "",
    patience: Patience | None = None,
) -> S3Storage:
    """Return the storage at ``s3://bucket/prefix`` with a client made of `access`.

    Raises:
        ConfigurationInvalid: the address is not one of S3, or the transport is not safe.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or parts.query or parts.fragment or parts.username:
        raise ConfigurationInvalid(f"{url!r} is not an address like s3://bucket/prefix")
    return S3Storage(
        make_client(access),
        parts.netloc,
        parts.path,
        lock_mode=lock_mode,
        governed=governed,
        conditional_writes=conditional_writes,
        insecure_reason=insecure_reason,
        patience=patience,
        renew=lambda: make_client(access),  # of a profile, or of files, that somebody renewed
    )


def _has_name(info: FileInfo) -> bool:
    return is_name(info.name)
