"""Listings of a bucket, page by page, and whether a page is complete."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import StorageUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_bucket import Bucket

_LISTED: Final = {  # what each entry of a listing says
    "Contents": {"Key", "LastModified", "Size"},
    "Versions": {"Key", "LastModified", "Size", "VersionId"},
    "DeleteMarkers": {"Key", "LastModified", "VersionId"},
    "CommonPrefixes": {"Prefix"},
}


def pages(
    bucket: Bucket,
    start: str,
    patience: Patience,
    *,
    versions: bool,
    token: dict[str, str] | None = None,
    delimiter: str = "",
) -> Iterator[Mapping[str, Any]]:
    """All pages of a listing of the keys that begin with `start`.

    Args:
        token: where the listing begins; None: at the first.
        delimiter: keys that go on behind it are listed as one.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    more = {"Delimiter": delimiter} if delimiter else {}
    following: dict[str, str] | None = token or {}
    while following is not None:
        ask = partial(bucket.page, start, versions=versions, token=following, **more)
        page, following = bucket.retried(ask, patience)
        yield page


class Page:
    """One page of a listing; equal to another that lists the same."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and self._listed() == other._listed()

    def _listed(self) -> list[object]:
        return [self.answer.get(kind) for kind in ("IsTruncated", *_LISTED)]


def require_complete(page: Mapping[str, Any], what: str, prefix: str) -> Mapping[str, Any]:
    """Return one page of a listing if it says all that such a page says.

    Raises:
        StorageUnreachable: it was spoiled on the way.
    """
    entries = {kind: page.get(kind, ()) for kind in _LISTED}
    whole = "IsTruncated" in page and all(
        fields <= each.keys() and str(each.get("Key", prefix)).startswith(prefix)
        for kind, fields in _LISTED.items()
        for each in entries[kind]
    )
    keys = len(entries["Contents"])
    listed = keys + len(entries["CommonPrefixes"])  # stores differ in what they count
    if not whole or page.get("KeyCount", keys) not in {keys, listed}:
        raise StorageUnreachable(f"{what}: the answer is not complete")
    return page
