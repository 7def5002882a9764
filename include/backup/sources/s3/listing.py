"""Directories of a bucket: the objects and the prefixes in each, now or at an instant that is past.

    now           ListObjectsV2: what the bucket holds when each page is made
    an instant    ListObjectVersions: of each key the newest version or delete marker from before
                  it; what was written later does not exist

A directory is first looked for in one page of all keys from its own beginning on. If it ends
within the page, it is known, and so is every directory after it that does: where directories are
small, a thousand objects cost one request. If it does not, it is listed by itself up to the next
"/". Memory holds one page, or the largest directory.

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
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from include.backup.sources.s3.bucket import SourceBucket

_NEVER: Final = (datetime.min.replace(tzinfo=UTC), "")  # of a delete marker that is not there
_SHARE: Final = 200  # prefixes that are looked into one after the other


@dataclass(slots=True)
class Listing:
    """What is in one directory of a bucket. Keys and prefixes are whole."""

    objects: list[Stored] = field(default_factory=list)
    prefixes: set[str] = field(default_factory=set)  # with "/" at their end


class Lister:
    """Lists the directories of one reading.

    Args:
        prefix: what all keys begin with.
        instant: what was written from then on does not exist; None: everything there is does.
        pool: looks into prefixes.
    """

    def __init__(
        self, bucket: SourceBucket, prefix: str, instant: datetime | None, pool: Executor
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._instant = instant
        self._pool = pool
        self._ahead: dict[str, Listing] = {}  # of the last page, by what their keys begin with

    def list(self, base: str, *, is_folder: bool = True) -> Listing:
        """What begins with `base`, up to the next "/".

        Args:
            is_folder: False if `base` is a beginning of a name.

        Raises:
            SourceGone, SourceError.
        """
        if is_folder:
            if (known := self._ahead.pop(base, None)) is not None:
                return known
            if self._look_ahead(base):
                return self._ahead.pop(base, Listing())
        if self._instant is None:
            return self._list_now(base)
        return self._list_before(base, self._instant)

    def _look_ahead(self, base: str) -> bool:
        """Make one page of all keys from `base` on; say whether the directory ends within it."""
        after = _just_before(base)
        found: Iterable[Stored]
        if self._instant is None:
            page = next(self._bucket.pages(self._prefix, after=after))
            found = map(stored, page.get("Contents", ()))
            last = _last_key(page, "Contents")
        else:
            page = next(self._bucket.pages(self._prefix, versions=True, after=after))
            found = _before(self._bucket, [page], self._instant)
            last = _last_key(page, "Versions", "DeleteMarkers")
        if not page.get("IsTruncated"):
            last = ""
        elif last.startswith(base) or last < base:
            return False
        listings: dict[str, Listing] = {}
        for one in found:
            if one.key >= base:
                _file(one, self._prefix, listings)
        self._ahead = {
            folder: listing
            for folder, listing in listings.items()
            if folder >= base and not (last and last.startswith(folder))
        }
        return True

    def _list_now(self, base: str) -> Listing:
        found = Listing()
        for page in self._bucket.pages(base, Delimiter="/"):
            found.objects.extend(map(stored, page.get("Contents", ())))
            found.prefixes.update(_prefixes(page))
        return found

    def _list_before(self, base: str, instant: datetime) -> Listing:
        prefixes: list[str] = []

        def pages() -> Iterator[Mapping[str, Any]]:
            for page in self._bucket.pages(base, versions=True, Delimiter="/"):
                prefixes.extend(_prefixes(page))
                yield page

        objects = list(_before(self._bucket, pages(), instant))
        prefixes.sort()
        shares = [prefixes[at : at + _SHARE] for at in range(0, len(prefixes), _SHARE)]
        found = Listing(objects)
        for share in self._pool.map(lambda one: _held(self._bucket, base, one, instant), shares):
            found.prefixes |= share
        return found


def _held(bucket: SourceBucket, base: str, prefixes: Sequence[str], instant: datetime) -> set[str]:
    """Which of these prefixes, ascending, held something just before an instant.

    Small ones are seen many on a page; of a large one the rest is skipped as soon as it is clear.
    """
    held: set[str] = set()
    decided = 0  # so many of them

    def decide(page: Mapping[str, Any], last: str) -> None:
        nonlocal decided
        while decided < len(prefixes) and (
            prefixes[decided] in held
            or not page.get("IsTruncated")
            or (prefixes[decided] < last and not last.startswith(prefixes[decided]))
        ):
            decided += 1

    def pages() -> Iterator[Mapping[str, Any]]:
        before = decided
        after = _just_before(prefixes[decided])
        for page in bucket.pages(base, versions=True, after=after):
            yield page  # what is on it is in `held` before we go on, but for the last key
            decide(page, _last_key(page, "Versions", "DeleteMarkers"))
            if decided > before:
                return

    while decided < len(prefixes):
        for one in _before(bucket, pages(), instant):
            held.add(one.key[: one.key.find("/", len(base)) + 1])
        while decided < len(prefixes) and prefixes[decided] in held:
            decided += 1
    return held.intersection(prefixes)


def _just_before(base: str) -> str:
    """A key that is before all that begin with `base`, and after most others."""
    return f"{base[:-1]}.\U0010ffff" if base.endswith("/") else ""


def _file(one: Stored, top: str, listings: dict[str, Listing]) -> None:
    """Put an object into its directory, and that into those above it."""
    folder = one.key[: one.key.rfind("/") + 1]
    listings.setdefault(folder, Listing()).objects.append(one)
    while len(folder) > len(top):
        above = folder[: folder.rfind("/", 0, -1) + 1]
        listings.setdefault(above, Listing()).prefixes.add(folder)
        folder = above


def _last_key(page: Mapping[str, Any], *lists: str) -> str:
    return max((page[name][-1]["Key"] for name in lists if page.get(name)), default="")


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
    older = bucket.pages(than.key, versions=True, after=than.key, VersionIdMarker=than.version_id)
    for page in older:
        if any(entry["VersionId"] == marker for entry in page.get("DeleteMarkers", ())):
            return True
        if any(entry["Key"] != than.key for entry in page.get("Versions", ())):
            break
    return False
