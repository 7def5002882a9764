"""Saving one object so that it is stored once, whole, under a name that was free.

The answer that a name is taken may be the answer to our own request, repeated below us because
the first answer was lost. So the object that has the name is compared with ours before it counts
as another's; saving again after a doubtful end is safe.
"""

from __future__ import annotations

import base64
import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.backup.errors import (
    AccessRefused,
    DamageFound,
    FileAbsent,
    NameTaken,
    StorageUnreachable,
)
from include.backup.storage.s3_errors import DamagedInTransit, s3_errors
from include.backup.storage.s3_locks import LockMode, confirm_lock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_bucket import Bucket

SMALL_BYTES = 1 << 20  # a file that is sooner loaded, or hashed, than asked about


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file on its way."""

    name: str
    body: memoryview = field(repr=False)  # of bytes
    sha256: bytes
    locked_until: datetime | None  # in whole seconds; None: no lock

    @property
    def checksum(self) -> str:
        """The digest as S3 writes it."""
        return base64.b64encode(self.sha256).decode()

    def check(self) -> None:
        """Compare the bytes with their digest.

        Raises:
            DamageFound: they differ.
        """
        if hashlib.sha256(self.body).digest() != self.sha256:
            raise DamageFound(f"{self.name}: the bytes to save do not match their SHA-256")


def save(
    bucket: Bucket,
    upload: Upload,
    *,
    lock_mode: LockMode | None,
    conditional: bool,
    patience: Patience,
) -> None:
    """Save a file: send it, see that it is the one of its name, and that it is locked.

    Each of the three is tried again by itself: what is stored is not sent once more because a look
    at it failed. Where the outcome of sending is unknown and the bucket keeps versions, the name is
    looked up before it is sent again: not every store knows If-None-Match there, and keeps both.

    Args:
        conditional: whether the store knows If-None-Match; otherwise the name is looked up first.

    Raises:
        NameTaken, AccessRefused, StorageFull.
        StorageUnreachable: still no answer at the deadline; saving again is safe.
        DamageFound: the bytes do not match their digest.
    """
    until = upload.locked_until if lock_mode else None
    lock = {"ObjectLockMode": lock_mode, "ObjectLockRetainUntilDate": until} if until else {}
    sent = False

    def send() -> tuple[str, bool]:
        nonlocal sent
        doubtful = sent and bucket.keeps_versions()
        if doubtful and (found := _found_as_ours(bucket, upload)) is not None:
            return found, False
        sent = True
        return _send(bucket, upload, lock, conditional=conditional)

    version, is_new = bucket.retried(send, patience)
    if is_new:
        version = bucket.retried(lambda: _claim(bucket, upload, version), patience)
    if lock_mode and until:
        identifier, place = bucket.identifier(upload.name, version), bucket.place(upload.name)
        bucket.retried(
            lambda: confirm_lock(bucket.client, identifier, lock_mode, until, place=place), patience
        )


def _send(
    bucket: Bucket, upload: Upload, lock: Mapping[str, Any], *, conditional: bool
) -> tuple[str, bool]:
    """Send a file once; return its version, and whether it was stored just now.

    Raises:
        as `save`.
    """
    try:
        if not conditional:
            _see_that_it_is_free(bucket, upload.name)
        with s3_errors(bucket.place(upload.name)):
            answer = bucket.client.put_object(
                **bucket.identifier(upload.name),
                Body=_body(upload.body),
                ChecksumAlgorithm="SHA256",  # without it some stores ignore the value
                ChecksumSHA256=upload.checksum,
                **({"IfNoneMatch": "*"} if conditional else {}),
                **lock,
            )
    except DamagedInTransit:
        upload.check()  # damaged before it left: no retry helps
        raise
    except NameTaken:
        found = _found_as_ours(bucket, upload)
        if found is None:
            place = bucket.place(upload.name)
            raise StorageUnreachable(f"{place} was taken, and is gone") from None
        return found, False
    return answer.get("VersionId", ""), True


def _body(data: memoryview) -> bytes | _Stream:
    """What boto3 sends; it takes no views.

    For a stream it asks the store first (100-continue): worth it where much would be sent in vain.
    """
    return bytes(data) if len(data) <= SMALL_BYTES else _Stream(data)


class _Stream(io.RawIOBase):
    """A pack to be read by boto3 without a copy of it."""

    def __init__(self, body: memoryview) -> None:
        super().__init__()
        self._body = body
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._body)}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = len(self._body) if size < 0 else self._position + size
        data = bytes(self._body[self._position : end])
        self._position += len(data)
        return data


def _see_that_it_is_free(bucket: Bucket, name: str) -> None:
    with suppress(FileAbsent):
        bucket.stat(name)
        raise NameTaken(f"{bucket.place(name)} exists already")


def _claim(bucket: Bucket, upload: Upload, version: str) -> str:
    """See that nothing lies under the version just saved; return that of the file.

    A store calls a name free when a delete marker lies over it. Content that is named by its
    hash needs no such proof: what else is there has the same bytes, or shows as damage.

    Raises:
        NameTaken: something of another does; ours is taken back, as far as we may.
    """
    name = upload.name
    if name.endswith(upload.sha256.hex()) or not bucket.keeps_versions():
        return version
    if bucket.history(name).begins_with(version):
        bucket.remember(name, version)
        return version
    with suppress(AccessRefused):
        bucket.delete([{"Key": bucket.prefix + name, "VersionId": version}])
    if (found := _found_as_ours(bucket, upload)) in {None, version}:
        raise NameTaken(f"{bucket.place(name)} was there before")
    return str(found)


def _found_as_ours(bucket: Bucket, upload: Upload) -> str | None:
    """The version of the object that has the name, if it is what we are saving; None: none has.

    Raises:
        NameTaken: it is something else.
    """
    place = bucket.place(upload.name)
    try:
        version, _ = bucket.file_version_id(upload.name)
        with s3_errors(place):
            head = bucket.client.head_object(
                **bucket.identifier(upload.name, version), ChecksumMode="ENABLED"
            )
        ours = head["ContentLength"] == len(upload.body) and _holds(bucket, upload, head)
    except DamageFound:  # only a delete marker is left
        ours = False
    except FileAbsent:
        bucket.forget(upload.name)
        return None
    if not ours:
        raise NameTaken(f"{place} exists already")
    return version


def _holds(bucket: Bucket, upload: Upload, head: Mapping[str, Any]) -> bool:
    """Whether the object described by `head` has the bytes of `upload`."""
    if checksum := head.get("ChecksumSHA256"):
        return bool(checksum == upload.checksum)
    if len(upload.body) > SMALL_BYTES:
        # The ETag is the MD5 of the bytes, unless the store encrypts with keys of its own.
        md5 = hashlib.md5(upload.body, usedforsecurity=False).hexdigest()
        if head["ETag"].strip('"') == md5:
            return True
    return hashlib.sha256(bucket.load(upload.name, 0, None)).digest() == upload.sha256
