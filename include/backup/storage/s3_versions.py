"""The history of a name in a bucket that keeps versions.

We save every name once. On a bucket with versions that stays true whatever somebody does later:
the oldest version of a name is the file, what lies over it is tampering.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an object."""

    id: str
    size_bytes: int
    saved_at: datetime
    tag: str = ""  # the entity tag: of its bytes, or of the very upload where the store encrypts
    is_latest: bool = False  # what who reads the name sees; no marker lies over it


@dataclass(slots=True, kw_only=True)
class History:
    """All that a bucket holds under one key, newest first, as S3 lists it."""

    key: str
    versions: list[Version] = field(default_factory=list)
    markers: list[tuple[str, datetime]] = field(default_factory=list)  # id, time

    @property
    def oldest(self) -> Version | None:
        """The file, unless somebody has destroyed it."""
        return self.versions[-1] if self.versions else None

    @property
    def shows_the_file(self) -> bool:
        """Whether who reads the newest version gets the bytes of the oldest."""
        if not self.versions or not self.versions[0].is_latest:
            return False
        newest, oldest = self.versions[0], self.versions[-1]
        alike = (newest.tag, newest.size_bytes) == (oldest.tag, oldest.size_bytes)
        return newest.id == oldest.id or (bool(newest.tag) and alike)

    def begins_with(self, version_id: str) -> bool:
        """Whether nothing in this history is older than that version.

        Times in listings may be whole seconds: a marker of the same second counts as older.
        """
        oldest = self.oldest
        if oldest is None or oldest.id != version_id:
            return False
        return all(at > oldest.saved_at for _, at in self.markers)

    def over_the_file(self) -> list[str]:
        """The ids of all markers, and of all versions but the oldest, in the order to delete them.

        The youngest last: a removal broken off halfway lets nothing forged come to light that was
        hidden by a marker before.
        """
        return [version.id for version in self.versions[-2::-1]] + [
            marker for marker, _ in self.markers
        ]

    def everything(self) -> list[str]:
        """The ids of all markers and versions, in the order to delete them.

        Versions last: a deletion broken off halfway leaves something that is still listed.
        """
        return [marker for marker, _ in self.markers] + [version.id for version in self.versions]


def histories(pages: Iterable[Mapping[str, Any]]) -> Iterator[History]:
    """One history for each key of a ListObjectVersions, ascending; keys may span pages."""
    open_histories: dict[str, History] = {}
    for page in pages:
        for entry in page.get("Versions", ()):
            history = open_histories.setdefault(entry["Key"], History(key=entry["Key"]))
            version = Version(
                id=entry["VersionId"],
                size_bytes=entry["Size"],
                saved_at=entry["LastModified"],
                tag=entry.get("ETag", ""),
                is_latest=entry.get("IsLatest", False),
            )
            history.versions.append(version)
        for entry in page.get("DeleteMarkers", ()):
            history = open_histories.setdefault(entry["Key"], History(key=entry["Key"]))
            history.markers.append((entry["VersionId"], entry["LastModified"]))
        if open_histories:
            # The last key of a page may go on in the next one; all before it are complete.
            last = max(open_histories)
            for key in sorted(open_histories):
                if key != last:
                    yield open_histories.pop(key)
    for key in sorted(open_histories):
        yield open_histories[key]
