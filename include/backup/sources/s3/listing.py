"""One directory of a bucket: the objects and the prefixes in it, now or at an instant that is past.

    now           ListObjectsV2: what the bucket holds when each page is made
    an instant    ListObjectVersions: of each key the newest version or delete marker from before
                  it; what was written later does not exist

A version counts by its Last-Modified, which Amazon rounds down to seconds, so the instant is the
end of a second that is past. Markers and versions come in two lists; of the same second, the order
of the two is asked for. A prefix is listed if anything ever lay below it, so each one is looked
into for something that did at the instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from include.backup.sources.s3.bucket import Stored, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Executor

    from include.backup.sources.s3.bucket import SourceBucket

_FEW: Final = 20
_NEVER: Final = (datetime.min.replace(tzinfo=UTC), "")  # of a delete marker that is not there


@dataclass(slots=True)
class Listing:
    """What is in one directory of a bucket. Keys and prefixes are whole."""

    objects: list[Stored] = field(default_factory=list)
    prefixes: set[str] = field(default_factory=set)  # with "/" at their end


def list_now(bucket: SourceBucket, prefix: str) -> Listing:
    """What begins with a prefix, up to the next "/".

    Raises:
        SourceGone, SourceError.
    """
    found = Listing()
    for page in bucket.pages(prefix, Delimiter="/"):
        found.objects.extend(map(stored, page.get("Contents", ())))
        found.prefixes.update(_prefixes(page))
    return found


def list_before(bucket: SourceBucket, prefix: str, instant: datetime, *, pool: Executor) -> Listing:
    """The same as it was just before an instant.

    Args:
        pool: looks into the prefixes, each by a request of its own.

    Raises:
        SourceGone, SourceError.
    """
    prefixes: list[str] = []

    def pages() -> Iterator[Mapping[str, Any]]:
        for page in bucket.pages(prefix, versions=True, Delimiter="/"):
            prefixes.extend(_prefixes(page))
            yield page

    def was_there(one: str) -> bool:
        return any(
            next(_before(bucket, below, instant), None) is not None
            for below in (
                [next(bucket.pages(one, versions=True, MaxKeys=_FEW))],  # as a rule enough
                bucket.pages(one, versions=True),
            )
        )

    objects = list(_before(bucket, pages(), instant))
    found = zip(prefixes, pool.map(was_there, prefixes), strict=True)
    return Listing(objects, {one for one, there in found if there})


def _prefixes(page: Mapping[str, Any]) -> Iterable[str]:
    return [one["Prefix"] for one in page.get("CommonPrefixes", ())]


def _before(
    bucket: SourceBucket, pages: Iterable[Mapping[str, Any]], instant: datetime
) -> Iterator[Stored]:
    """The versions that were there just before an instant, ascending by key.

    Keys ascend, and of each key the newest comes first; the last key of a page may go on.
    """
    versions: dict[str, Stored] = {}
    markers: dict[str, tuple[datetime, str]] = {}  # when, and their ids
    for page in pages:
        for entry in page.get("Versions", ()):
            if entry["LastModified"] < instant:
                versions.setdefault(entry["Key"], stored(entry))
        for entry in page.get("DeleteMarkers", ()):
            if entry["LastModified"] < instant:
                told = entry["LastModified"], entry["VersionId"]
                markers.setdefault(entry["Key"], told)
        for key in sorted(versions.keys() | markers.keys())[:-1]:
            version, marker = versions.pop(key, None), markers.pop(key, _NEVER)
            if version is not None and not _is_deleted(bucket, version, *marker):
                yield version
    for key, version in versions.items():  # one, at most
        if not _is_deleted(bucket, version, *markers.get(key, _NEVER)):
            yield version


def _is_deleted(bucket: SourceBucket, version: Stored, at: datetime, marker: str) -> bool:
    """Whether a delete marker lies over a version of its key."""
    if at == version.modified_at:
        return not _is_older(bucket, marker, than=version)
    return at > version.modified_at


def _is_older(bucket: SourceBucket, marker: str, *, than: Stored) -> bool:
    """Whether a delete marker of the same moment as a version was made before it."""
    older = bucket.pages(
        than.key, versions=True, KeyMarker=than.key, VersionIdMarker=than.version_id
    )
    for page in older:
        if any(entry["VersionId"] == marker for entry in page.get("DeleteMarkers", ())):
            return True
        if any(entry["Key"] != than.key for entry in page.get("Versions", ())):
            break
    return False
