"""Deleting files for good: each with all its versions and markers, a thousand at a time."""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from include.backup.storage.s3_pages import pages
from include.backup.storage.s3_versions import History, histories

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_bucket import Bucket

_BATCH: Final = 1000  # names in one DeleteObjects
_FEW: Final = 8  # names whose versions are asked for one by one


def delete_files(
    bucket: Bucket, names: Sequence[str], patience: Patience, *, bypass_governance: bool
) -> dict[str, tuple[str, str]]:
    """Delete files; return name: (version, code) of what the store refused.

    Args:
        names: ascending.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    identifiers = list(_identifiers(bucket, names, patience))
    refused = delete_all(bucket, identifiers, patience, bypass_governance=bypass_governance)
    for name in names:
        bucket.forget(name)
    return refused


def delete_all(
    bucket: Bucket,
    identifiers: Sequence[dict[str, str]],
    patience: Patience,
    *,
    bypass_governance: bool = False,
) -> dict[str, tuple[str, str]]:
    """Delete keys, or versions of keys; return name: (version, code) of what was refused.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    refused: dict[str, tuple[str, str]] = {}
    for begin in range(0, len(identifiers), _BATCH):
        batch = identifiers[begin : begin + _BATCH]
        send = partial(bucket.delete, batch, bypass_governance=bypass_governance)
        refused = bucket.retried(send, patience) | refused
    return refused


def histories_of(bucket: Bucket, names: Sequence[str], patience: Patience) -> Iterator[History]:
    """All versions and markers of these names; nothing of a bucket that keeps none.

    Args:
        names: ascending.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    if not names or not bucket.retried(bucket.keeps_versions, patience):
        return
    if len(names) <= _FEW:
        found: Iterable[History] = (
            bucket.retried(partial(bucket.history, name), patience) for name in names
        )
    else:
        found = _between(bucket, names[0], names[-1], patience)
    wanted = {bucket.prefix + name for name in names}
    yield from (history for history in found if history.key in wanted)


def _identifiers(
    bucket: Bucket, names: Sequence[str], patience: Patience
) -> Iterator[dict[str, str]]:
    """What DeleteObjects must be told to leave nothing of these names."""
    if names and not bucket.retried(bucket.keeps_versions, patience):
        yield from ({"Key": bucket.prefix + name} for name in names)
        return
    for history in histories_of(bucket, names, patience):
        for version in history.everything():
            yield {"Key": history.key, "VersionId": version}


def _between(bucket: Bucket, first: str, last: str, patience: Patience) -> Iterator[History]:
    """The histories from one name to another, and hardly more: a listing begins anywhere."""
    start = bucket.prefix + _common_beginning(first, last)
    begin = {"KeyMarker": bucket.prefix + first[:-1]}  # what follows it is listed
    listed = histories(pages(bucket, start, patience, versions=True, token=begin))
    return takewhile(lambda history: history.key <= bucket.prefix + last, listed)


def _common_beginning(first: str, last: str) -> str:
    """What the first and last of sorted names begin with, and so all between them."""
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]
