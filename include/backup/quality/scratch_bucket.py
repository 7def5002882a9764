"""A prefix of a bucket for restores that are tried: one prefix below it for each, and its owner.

    PREFIX/holdfast-verify-5f2c….json     the process that restores
    PREFIX/holdfast-verify-5f2c…/         what was restored

Nothing is left of it: no object, no version of one, and no part of an upload that was broken off.
"""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from include.backup.errors import BackupError, FileAbsent, RestoreRefused, StorageError
from include.backup.quality.bucket import compare_bucket
from include.backup.quality.data import Files
from include.backup.quality.scratch import LONGEST
from include.backup.sources.s3.refusals import ask
from include.backup.sources.s3.source import PATIENCE, S3Source
from include.backup.sources.s3.target import S3Target
from include.backup.storage.s3_client import checked_transport
from include.backup.storage.s3_errors import s3_errors
from include.backup.vault.owners import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.backup.quality.comparing import Compared, Restored
    from include.backup.quality.scratch import Scratch
    from include.backup.storage.s3_client import S3Client

NAME: Final = "holdfast-verify-"
_RIGHTS: Final = (
    "the role needs s3:ListBucket, s3:ListBucketVersions, s3:ListBucketMultipartUploads, "
    "s3:GetObject, s3:PutObject, s3:DeleteObject, s3:DeleteObjectVersion and "
    "s3:AbortMultipartUpload there"
)


class BucketScratch:
    """See scratch.Scratch."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, insecure_reason: str) -> None:
        # The store may be that of the dataset: the prefix is ours, and empty.
        self.destination = S3Target(
            client, bucket, prefix, into_source=True, insecure_reason=insecure_reason
        )
        self._source = S3Source(client, bucket, prefix, insecure_reason=insecure_reason)

    def compare(self, restored: Restored) -> Compared:
        """See Scratch.compare."""
        return compare_bucket(restored, self._source)

    def data(self, restored: Restored) -> Files:
        """See Scratch.data."""
        del restored
        return Files(open=self._open, size_bytes=self._size_bytes)

    def _open(self, path: str) -> BinaryIO:
        answer = self._asked(self.destination.client.get_object, path)
        return io.BytesIO(answer["Body"].read())

    def _size_bytes(self, path: str) -> int:
        return int(self._asked(self.destination.client.head_object, path)["ContentLength"])

    def _asked(self, request: Any, path: str) -> Any:  # noqa: ANN401  of boto3
        target = self.destination
        try:
            with s3_errors(path):
                return request(Bucket=target.bucket, Key=f"{target.prefix}{path}")
        except FileAbsent:
            raise FileNotFoundError(path) from None
        except StorageError as error:
            raise RestoreRefused(error.message, hint=error.hint) from None


class BucketPlace:
    """See scratch.ScratchPlace.

    Raises:
        ConfigurationInvalid: the transport is not safe.
    """

    def __init__(
        self, client: S3Client, bucket: str, prefix: str, *, connection: str, insecure_reason: str
    ) -> None:
        checked_transport(client, insecure_reason=insecure_reason, whose="verification")
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/{NAME}"
        self._insecure_reason = insecure_reason
        self.address = f"connection:{connection}/{bucket}/{prefix}"

    def sweep(self, now: datetime) -> list[str]:
        """See ScratchPlace.sweep."""
        dead = [name for name in self._left() if self._is_dead(name, now)]
        for name in dead:
            self._remove(name)
        return [f"s3://{self._bucket}/{self._prefix}{name}/" for name in dead]

    def blames_data(self, error: BackupError) -> bool:
        """See ScratchPlace.blames_data: a bucket takes any objects."""
        del error
        return False

    @contextmanager
    def make(self, name: str, owner: Owner, size_bytes: int) -> Iterator[Scratch]:
        """See ScratchPlace.make."""
        del size_bytes  # a store does not tell how much room it has
        prefix = f"{self._prefix}{name}"
        self._ask(
            self._client.put_object,
            Key=f"{prefix}.json",
            Body=json.dumps(owner.to_json()).encode(),
        )
        try:
            yield BucketScratch(self._client, self._bucket, prefix, self._insecure_reason)
        finally:
            self._remove(name)

    def _left(self) -> list[str]:
        """The names of all that lies there."""
        found: dict[str, None] = {}
        token: dict[str, str] = {}
        while True:
            page = self._ask(
                self._client.list_objects_v2, Prefix=self._prefix, Delimiter="/", **token
            )
            for one in page.get("CommonPrefixes", ()):
                found[one["Prefix"].removeprefix(self._prefix).rstrip("/")] = None
            for one in page.get("Contents", ()):
                found[one["Key"].removeprefix(self._prefix).removesuffix(".json")] = None
            if not page.get("IsTruncated"):
                return list(found)
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _is_dead(self, name: str, now: datetime) -> bool:
        """Whether nobody restores there any more."""
        page = self._ask(
            self._client.list_objects_v2, Prefix=f"{self._prefix}{name}.json", MaxKeys=1
        )
        marks = page.get("Contents", ())
        if not marks:
            return True  # the mark is made first, and goes last
        if now - marks[0]["LastModified"] > LONGEST:
            return True
        answer = self._ask(self._client.get_object, Key=marks[0]["Key"])
        try:
            owner = Owner.of_json(json.loads(answer["Body"].read()))
        except (OSError, ValueError):
            return False
        return owner is not None and owner.is_dead()

    def _remove(self, name: str) -> None:
        """Remove what was made, the mark last.

        Raises:
            RestoreRefused: something is left; names it.
        """
        prefix = f"{self._prefix}{name}"
        try:
            self._abort_uploads(f"{prefix}/")
            self._delete(f"{prefix}/")
            self._delete(f"{prefix}.json")
        except BackupError as error:
            raise RestoreRefused(
                f"customers' data is left in s3://{self._bucket}/{prefix}/: {error.message}",
                hint="the next verification there removes it; or remove it by hand. " + _RIGHTS,
            ) from error

    def _abort_uploads(self, prefix: str) -> None:
        while uploads := self._ask(self._client.list_multipart_uploads, Prefix=prefix).get(
            "Uploads", ()
        ):
            for one in uploads:
                self._ask(
                    self._client.abort_multipart_upload, Key=one["Key"], UploadId=one["UploadId"]
                )

    def _delete(self, prefix: str) -> None:
        """Delete every version of every object below a prefix."""
        while True:
            page = self._ask(self._client.list_object_versions, Prefix=prefix)
            found = [
                {"Key": one["Key"], "VersionId": one["VersionId"]}
                for kind in ("Versions", "DeleteMarkers")
                for one in page.get(kind, ())
            ]
            if not found:
                return
            answer = self._ask(
                self._client.delete_objects, Delete={"Objects": found, "Quiet": True}
            )
            if refused := answer.get("Errors"):
                raise RestoreRefused(
                    f"{refused[0].get('Key')} cannot be deleted: {refused[0].get('Code')}"
                )

    def _ask(self, request: Any, **arguments: Any) -> Any:  # noqa: ANN401  of boto3
        return ask(
            self.address, lambda: request(Bucket=self._bucket, **arguments), patience=PATIENCE
        )
