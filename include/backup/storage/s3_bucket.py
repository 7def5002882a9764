"""Single requests to one prefix of a bucket, and what is known about its versions.

Every method tries once, but `retried`, which does a whole operation again.

An answer counts only if it is complete: a listing says whether more follows, a deletion names each
key. What is silent about one was spoiled on the way, and silence is never read as absence. Without
TLS nothing vouches for an answer: listings and small files are asked for until two agree.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from include.backup.errors import DamageFound, FileAbsent, MarkerLeft, StorageUnreachable
from include.backup.storage.base import FileInfo
from include.backup.storage.retry import agreed, retried
from include.backup.storage.s3_errors import CredentialsExpired, s3_errors
from include.backup.storage.s3_pages import Page, require_complete
from include.backup.storage.s3_versions import History, histories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_client import S3Client
    from include.backup.storage.s3_versions import Version

Result = TypeVar("Result")

_KNOWN_VERSIONS = 100_000  # at most remembered; some 15 MB
_AGAIN = frozenset({"InternalError", "SlowDown", "ServiceUnavailable", "OperationAborted"})
_VERSIONING = frozenset({"Enabled", "Suspended", None})
_SMALL_BYTES = 64 << 10  # records, envelopes, leases, config, key files
_GONE = frozenset({"NoSuchKey", "NoSuchVersion"})
_RANGE_GIVEN = 206
_TOKENS = {  # of a page: how the next one is asked for
    "ContinuationToken": "NextContinuationToken",
    "KeyMarker": "NextKeyMarker",
    "VersionIdMarker": "NextVersionIdMarker",
}


class _Got(NamedTuple):
    """The answer to a GetObject."""

    status: int
    content_range: str  # empty where everything was sent
    body: bytes


class Bucket:
    """One prefix of one bucket. Names are relative to the prefix, keys are not."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        prefix: str,
        *,
        renew: Callable[[], S3Client] | None = None,
    ) -> None:
        """Say where the files are.

        Args:
            prefix: empty, or with "/" at its end.
            renew: makes a client of the credentials that there are now, when those of this one
                have expired; None: nobody has newer ones.
        """
        self.client = client
        self.bucket = bucket
        self.prefix = prefix
        self._renew = renew
        self._vouched = str(client.meta.endpoint_url).startswith("https:")
        self._keeps_versions: bool | None = None  # not asked yet
        self._known: dict[str, str] = {}  # name: id of its oldest version, which never changes
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address as ``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def place(self, name: str) -> str:
        """The name and where it is, for messages."""
        return f"{name} in {self.url}"

    def identifier(self, name: str, version: str = "") -> dict[str, str]:
        """The arguments of boto3 that name an object, or one version of it."""
        parts = {"Bucket": self.bucket, "Key": self.prefix + name}
        return {**parts, "VersionId": version} if version else parts

    def retried(self, operation: Callable[[], Result], patience: Patience) -> Result:
        """Do an operation until there is an answer; with newer credentials if these have expired.

        Raises:
            as `retry.retried`.
        """
        client = self.client
        try:
            return retried(operation, patience)
        except CredentialsExpired:
            if self._renew is None:
                raise
            with self._lock:  # of many threads one renews them
                if self.client is client:
                    self.client = self._renew()
            return retried(operation, patience)

    def keeps_versions(self) -> bool:
        """Whether overwriting and deleting leaves versions behind; asked once.

        Raises:
            AccessRefused, StorageUnreachable.
        """
        with self._lock:
            if self._keeps_versions is None:
                # Suspended: older versions are there, and may lie under newer ones.
                self._keeps_versions = self._agreed(self._versioning) is not None
            return self._keeps_versions

    def _agreed(self, ask: Callable[[], Result]) -> Result:
        """One answer over TLS; else what two agree on."""
        return ask() if self._vouched else agreed(ask)

    def _versioning(self) -> str | None:
        what = f"the versioning of {self.url}"
        with s3_errors(what):
            status = self.client.get_bucket_versioning(Bucket=self.bucket).get("Status")
        if status not in _VERSIONING:
            raise StorageUnreachable(f"{what}: the answer cannot be read")
        return None if status is None else str(status)

    def stat(self, name: str) -> FileInfo:
        """See Storage.stat.

        Raises:
            MarkerLeft: only a delete marker is left.
        """
        if self.keeps_versions():
            oldest = self.file_version(name)
            return FileInfo(name, oldest.size_bytes, oldest.saved_at)
        try:
            with s3_errors(self.place(name)):
                head = self.client.head_object(**self.identifier(name))
        except FileAbsent:
            self.page(self.prefix + name, MaxKeys=1)  # a missing bucket answers HEAD the same way
            raise
        return FileInfo(name, head["ContentLength"], head["LastModified"])

    def file_version(self, name: str) -> Version:
        """The oldest version of a name, in a bucket that keeps versions.

        Raises:
            FileAbsent.
            MarkerLeft: only a delete marker is left.
        """
        history = self.history(name)
        if history.oldest is not None:
            self.remember(name, history.oldest.id)
            return history.oldest
        if history.markers:
            raise MarkerLeft(f"only a delete marker is left of {self.place(name)}")
        raise FileAbsent(f"{self.place(name)} is not there")

    def file_version_id(self, name: str) -> tuple[str, bool]:
        """The id of the version to read (empty without versions), and whether it was remembered."""
        if not self.keeps_versions():
            return "", False
        if known := self._known.get(name):
            return known, True
        return self.file_version(name).id, False

    def remember(self, name: str, version: str) -> None:
        """Keep in mind which version is the file."""
        if len(self._known) >= _KNOWN_VERSIONS:
            self._known.clear()
        self._known[name] = version

    def forget(self, name: str) -> None:
        """The name was deleted."""
        self._known.pop(name, None)

    def history(self, name: str) -> History:
        """All versions and markers of one name."""
        key = self.prefix + name

        def pages() -> Iterator[Mapping[str, Any]]:
            token: dict[str, str] | None = {}
            while token is not None:
                page, token = self.page(key, versions=True, token=token, MaxKeys=100)
                yield page

        # The key itself comes first, before the keys that only begin with it: as a rule one page.
        first = next(histories(pages()), History(key=key))
        return first if first.key == key else History(key=key)

    def page(
        self,
        prefix: str,
        *,
        versions: bool = False,
        token: Mapping[str, str] | None = None,
        **more: object,
    ) -> tuple[Mapping[str, Any], dict[str, str] | None]:
        """One page of a listing of keys, and the token that asks for the next; None at the end."""
        listing = self.client.list_object_versions if versions else self.client.list_objects_v2
        what = f"the listing of s3://{self.bucket}/{prefix}"

        def ask() -> Page:
            with s3_errors(what):
                page = listing(Bucket=self.bucket, Prefix=prefix, **(token or {}), **more)
            return Page(require_complete(page, what, prefix))

        page = self._agreed(ask).answer
        if not page.get("IsTruncated"):
            return page, None
        following = {ask: page[told] for ask, told in _TOKENS.items() if page.get(told)}
        if not following or following == token:
            raise StorageUnreachable(f"{what} does not get on")
        return page, following

    def load(self, name: str, offset: int, length: int | None) -> bytes:
        """See Storage.load; `length` is not 0.

        Raises:
            DamageFound: also if `offset` is where the file ends.
        """
        wanted = {}
        if offset or length is not None:
            end = "" if length is None else str(offset + length - 1)
            wanted["Range"] = f"bytes={offset}-{end}"
        version, remembered = self.file_version_id(name)
        identifier = self.identifier(name, version)
        try:
            got = self._get(name, identifier | wanted)
            if not self._vouched and len(got.body) <= _SMALL_BYTES:
                got = agreed(lambda: self._get(name, identifier | wanted), first=got)
        except FileAbsent:
            if not remembered:
                raise
            self.forget(name)  # deleted, and perhaps saved anew, since we knew it
            return self.load(name, offset, length)
        body, size = got.body, len(got.body)
        if not wanted:
            return body
        if got.status == _RANGE_GIVEN:
            size = int(got.content_range.rpartition("/")[2])
        else:  # the store ignores ranges and sent everything
            body = body[offset:] if length is None else body[offset : offset + length]
        end_bytes = size if length is None else offset + length
        if max(offset, end_bytes) > size:
            raise cut_short(self.place(name), size, end_bytes)
        if len(body) != end_bytes - offset:
            raise StorageUnreachable(f"{self.place(name)}: not the bytes that were asked for")
        return body

    def _get(self, name: str, arguments: Mapping[str, str]) -> _Got:
        with s3_errors(self.place(name)):
            answer = self.client.get_object(**arguments)
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            return _Got(status, answer.get("ContentRange", ""), bytes(answer["Body"].read()))

    def delete(
        self, identifiers: Sequence[Mapping[str, str]], *, bypass_governance: bool = False
    ) -> dict[str, tuple[str, str]]:
        """Send one DeleteObjects of at most 1000 keys; return name: (version, code) of refusals.

        Raises:
            AccessRefused: everything was refused.
            StorageUnreachable: some must be tried again.
        """
        bypass = {"BypassGovernanceRetention": True} if bypass_governance else {}
        with s3_errors(f"deletion in {self.url}"):
            answer = self.client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": list(identifiers)}, **bypass
            )
        refused: dict[str, tuple[str, str]] = {}
        told = [*answer.get("Deleted", ()), *answer.get("Errors", ())]
        if not {each["Key"] for each in identifiers} <= {each.get("Key") for each in told}:
            raise StorageUnreachable(f"deletion in {self.url}: the answer is not complete")
        for error in answer.get("Errors", ()):
            code = error.get("Code", "")
            if code in _AGAIN:
                raise StorageUnreachable(f"deletion in {self.url}: the store answered {code}")
            if code not in _GONE:
                name = error["Key"].removeprefix(self.prefix)
                refused.setdefault(name, (error.get("VersionId") or "", code))
        return refused


def cut_short(place: str, size_bytes: int, expected_bytes: int) -> DamageFound:
    """The error for a file that ends too early."""
    return DamageFound(f"{place} is cut short: {size_bytes} bytes, {expected_bytes} expected")
