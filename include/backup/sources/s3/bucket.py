"""Requests to a bucket that is read, tried again as long as that may help, and what they answer.

    Gone, Changed      about an object: it is not there any more, or another than was listed
    SourceGone         the bucket itself is not there
    EntryUnreadable    the store refuses an object for good: archived, sealed with another's key
    SourceError        it refuses a listing, or gives no usable answer for minutes

Every read names the entity tag that was listed (If-Match), and the version where the bucket keeps
them, so that bytes of two objects are never mixed. Messages hold keys and codes, no secrets.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from include.backup.errors import (
    DamageFound,
    EntryUnreadable,
    FileAbsent,
    NameTaken,
    SourceError,
    SourceGone,
    StorageError,
    StorageUnreachable,
)
from include.backup.storage.retry import retried
from include.backup.storage.s3_errors import error_code, s3_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from threading import Event

    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_client import S3Client

Result = TypeVar("Result")

_TOKENS: Final = {  # of a page: how the next one is asked for
    "ContinuationToken": "NextContinuationToken",
    "KeyMarker": "NextKeyMarker",
    "VersionIdMarker": "NextVersionIdMarker",
}
_CREDENTIALS: Final = "correct the credentials of the dataset's connection"
_REGION: Final = "set the region of the bucket"
_RIGHTS: Final = 'give its role the rights that SOURCES.md, "Buckets", lists'
_SSE_C: Final = (
    "if it is encrypted with a key of the customer's own (SSE-C), only its owner can read it: "
    "exclude it"
)
_DENIED: Final = frozenset({"AccessDenied", "403"})
_HINTS: Final = {
    "NoSuchBucket": "correct the url of the dataset",
    "ExpiredToken": "renew the credentials of the dataset's connection",
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "InvalidObjectState": "it is archived: restore it in the bucket first, or exclude it",
    "InvalidRequest": _SSE_C,
    "InvalidArgument": _SSE_C,
    "400": _SSE_C,
}


class Gone(Exception):
    """The object is not there any more."""


class Changed(Exception):
    """The object is not the one that was listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One object, or one version of it, as it was listed."""

    key: str
    etag: str
    size_bytes: int
    modified_at: datetime
    version_id: str = ""  # empty: whatever is there


class SourceBucket:
    """One bucket that is read. All methods may be called from several threads."""

    def __init__(self, client: S3Client, name: str, *, patience: Patience) -> None:
        self.client = client
        self.name = name
        self.patience = patience

    def stoppable(self, stop: Event) -> SourceBucket:
        """The same bucket, of which nothing is asked again once `stop` is set."""
        return SourceBucket(self.client, self.name, patience=stoppable(self.patience, stop))

    def url(self, key: str) -> str:
        """The address of an object, for people."""
        return f"s3://{self.name}/{key}"

    def versioning(self) -> tuple[bool, datetime | None]:
        """Whether the bucket keeps every version, and what time it is there.

        Raises:
            SourceGone, SourceError.
        """
        with _told(SourceError):
            answer = self._ask(
                f"the versioning of {self.url('')}",
                lambda: self.client.get_bucket_versioning(Bucket=self.name),
            )
        return answer.get("Status") == "Enabled", _date_of(answer)

    def pages(
        self, prefix: str, *, versions: bool = False, after: str = "", **more: str
    ) -> Iterator[Mapping[str, Any]]:
        """The pages of a listing of keys that begin with a prefix.

        Args:
            after: only keys after this one; with VersionIdMarker, its older versions as well.

        Raises:
            SourceGone, SourceError.
        """
        listing = self.client.list_object_versions if versions else self.client.list_objects_v2
        what = f"the listing of {self.url(prefix)}"
        token = {"KeyMarker" if versions else "StartAfter": after} if after else {}
        while True:
            asked = {"Bucket": self.name, "Prefix": prefix, **more, **token}
            with _told(SourceError):
                page = self._ask(what, lambda asked=asked: listing(**asked))  # type: ignore[misc]
            yield page
            if not page.get("IsTruncated"):
                return
            following = {ask: page[told] for ask, told in _TOKENS.items() if page.get(told)}
            if not following or following == token:
                raise SourceError(f"{what} does not get on")
            token = following

    def look(self, key: str) -> Stored | None:
        """An object as it is now.

        Raises:
            SourceGone, SourceError.
        """
        page = next(self.pages(key))  # itself comes before what begins with it
        for entry in page.get("Contents", ()):
            if entry["Key"] == key:
                return stored(entry)
        return None

    def get(self, of: Stored, offset: int, length: int) -> tuple[bytes, Mapping[str, Any]]:
        """Some bytes of an object, and what the store says about it.

        Raises:
            Gone, Changed, EntryUnreadable, SourceGone.
        """
        what = self.url(of.key)
        whole = length == of.size_bytes  # an empty object has no range
        wanted = {} if whole else {"Range": f"bytes={offset}-{offset + length - 1}"}

        def ask() -> tuple[bytes, Mapping[str, Any]]:
            answer = self.client.get_object(**self._named(of), IfMatch=of.etag, **wanted)
            if not _is(answer["ETag"], of.etag) or _size(answer) != of.size_bytes:
                answer["Body"].close()
                raise Changed
            body = bytes(answer["Body"].read())
            if len(body) != length:
                raise StorageUnreachable(f"{what}: not the bytes that were asked for")
            return body, answer

        with _told(EntryUnreadable):
            return self._ask(what, ask)

    def tags(self, of: Stored) -> dict[str, str]:
        """The tags of an object.

        They cannot be asked for by an entity tag: whether they were still of this object is looked
        up afterwards.

        Raises:
            Gone, Changed, EntryUnreadable, SourceGone.
        """
        what = f"the tags of {self.url(of.key)}"
        with _told(EntryUnreadable, rights="grant s3:GetObjectTagging, or set tags: skip"):
            answer = self._ask(what, lambda: self.client.get_object_tagging(**self._named(of)))
            if not of.version_id:
                self._ask(what, lambda: self.client.head_object(**self._named(of), IfMatch=of.etag))
        return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", ())}

    def _named(self, of: Stored) -> dict[str, str]:
        named = {"Bucket": self.name, "Key": of.key}
        return {**named, "VersionId": of.version_id} if of.version_id else named

    def _ask(self, what: str, operation: Callable[[], Result]) -> Result:
        def once() -> Result:
            with s3_errors(what):
                return operation()

        return retried(once, self.patience)


def stored(entry: Mapping[str, Any]) -> Stored:
    """An object, or a version, of a page of a listing."""
    return Stored(
        key=entry["Key"],
        etag=entry["ETag"],
        size_bytes=entry["Size"],
        modified_at=entry["LastModified"].astimezone(UTC),
        version_id=entry.get("VersionId", ""),
    )


def stoppable(patience: Patience, stop: Event) -> Patience:
    """A patience that ends when nobody waits for the answer any more."""

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise SourceError("nobody waits for this any more")

    return replace(patience, sleep=sleep)


@contextmanager
def _told(kind: type[SourceError], *, rights: str = _RIGHTS) -> Iterator[None]:
    """Turn what a store answers into what it means for a source."""
    try:
        yield
    except FileAbsent as error:
        raise Gone from error
    except (NameTaken, DamageFound) as error:  # another tag, or shorter than it was
        raise Changed from error
    except StorageUnreachable as error:
        raise kind(error.message, hint=error.hint) from error
    except StorageError as error:
        code = _code(error)
        if code == "NoSuchBucket":
            raise SourceGone(error.message, hint=_HINTS[code]) from error
        hint = rights if code in _DENIED else _HINTS.get(code, error.hint)
        raise kind(error.message, hint=hint) from error


def _code(error: StorageError) -> str:
    from botocore.exceptions import ClientError  # noqa: PLC0415  boto3 is not for DAG parsing

    return error_code(error.__cause__) if isinstance(error.__cause__, ClientError) else ""


def _is(tag: str, other: str) -> bool:
    """Whether two entity tags are one: stores differ in where they write the quotes."""
    return tag.strip('"') == other.strip('"')


def _size(answer: Mapping[str, Any]) -> int:
    """The size of the whole object, in bytes."""
    if told := answer.get("ContentRange"):
        return int(told.rpartition("/")[2])
    return int(answer["ContentLength"])


def _date_of(answer: Mapping[str, Any]) -> datetime | None:
    told = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(told).astimezone(UTC)
    except ValueError:
        return None
