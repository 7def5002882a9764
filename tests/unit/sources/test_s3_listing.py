"""Versions and delete markers of the same second, as Amazon rounds them: their order decides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.sources.s3.listing import Lister

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = datetime(2026, 11, 24, 1, 0, 0, tzinfo=UTC)
NEXT = SECOND + timedelta(seconds=1)


class History:
    """A bucket with one key, as its listings show it: newest first, one entry on each page.

    Args:
        entries: as in "m1 v2": a marker and a version of that second, newest first.
    """

    def __init__(self, entries: str) -> None:
        self._entries = [
            (word[0], f"{number}{word}", SECOND + timedelta(seconds=int(word[1:])))
            for number, word in enumerate(entries.split())
        ]

    def pages(self, *_: str, **asked: Any) -> Iterator[dict[str, Any]]:
        """See SourceBucket."""
        ids = [one[1] for one in self._entries]
        after = asked.get("VersionIdMarker")
        begin = ids.index(after) + 1 if after else 0
        for kind, version, changed in self._entries[begin:]:
            entry = {"Key": "k", "VersionId": version, "LastModified": changed}
            if kind == "m":
                yield {"DeleteMarkers": [entry]}
            else:
                yield {"Versions": [{**entry, "ETag": '"e"', "Size": 1}]}


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ("v0", "0v0"),
        ("m0 v0", None),
        ("v0 m0", "0v0"),
        ("v0 m0 v0", "0v0"),
        ("m0 v0 m0", None),
        ("v0 m0 m0 v0", "0v0"),
        ("v1 m0 v0", None),
        ("m1 v0", "1v0"),
        ("v2 m1 v0 m0", "2v0"),
        ("v1 m1", None),
        ("m0", None),
        ("v0 v0 m0", "0v0"),
        ("m0 v-1", None),
        ("v0 m-1", "0v0"),
    ],
)
def test_of_one_second_the_newest_counts(entries: str, found: str | None) -> None:
    """Whatever came after the instant does not exist; of what was before, the newest does."""
    with ThreadPoolExecutor(1) as pool:
        lister = Lister(History(entries), "", NEXT, pool)  # type: ignore[arg-type]
        listing = lister.list("", is_folder=False)
    assert [one.version_id for one in listing.objects] == ([found] if found else [])
