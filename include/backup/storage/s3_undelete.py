"""Removing what lies over files: delete markers, and later versions of names that are given once.

    marker, forged, FILE      →  FILE
    marker, LOCKED, FILE      →  copy of FILE, LOCKED, FILE      nobody can remove a locked version
    marker                    →  nothing: the name is free again

Of each name the whole history is known before anything of it is removed, and only what is younger
than its oldest version, or no version at all, is named in a request. So to do it again is safe, and
to stop anywhere: less lies over the file than before.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from include.backup.errors import AccessRefused
from include.backup.storage.s3_deletion import delete_all, histories_of
from include.backup.storage.s3_errors import s3_errors
from include.backup.storage.s3_locks import kept_by_lock
from include.backup.storage.tampering import Remains

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_bucket import Bucket


def undelete_files(bucket: Bucket, names: Sequence[str], patience: Patience) -> list[Remains]:
    """See Storage.undelete.

    Args:
        names: ascending.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    found = histories_of(bucket, names, patience)
    over = [
        {"Key": history.key, "VersionId": version}
        for history in found
        for version in history.over_the_file()
    ]
    refused = delete_all(bucket, over, patience)
    return [
        _remains(bucket, name, version, code, patience)
        for name, (version, code) in sorted(refused.items())
    ]


def _remains(bucket: Bucket, name: str, version: str, code: str, patience: Patience) -> Remains:
    """What became of a name with something over the file that the store does not remove."""
    identifier = bucket.identifier(name, version)
    kept_by = bucket.retried(lambda: kept_by_lock(bucket.client, identifier), patience)
    if not kept_by:
        return Remains(name, f"the store answered {code}", hidden=True)
    told = f"a later version is {kept_by}"
    try:
        copied = bucket.retried(partial(_copy_to_the_top, bucket, name), patience)
    except AccessRefused as error:
        why = f"{told}, and no copy could be put over it: {error.message}"
        return Remains(name, why, hidden=True)
    if not copied:
        return Remains(name, f"{told}, and no version of ours is left", hidden=True)
    return Remains(name, f"{told}; a copy of the file lies over it", hidden=False)


def _copy_to_the_top(bucket: Bucket, name: str) -> bool:
    """Make the bytes of the oldest version the newest as well, whatever lies between."""
    history = bucket.history(name)
    oldest = history.oldest
    if oldest is None:
        return False
    if history.shows_the_file:  # a copy of an earlier run, which took its lock with it
        return True
    with s3_errors(bucket.place(name)):
        bucket.client.copy_object(
            **bucket.identifier(name), CopySource=bucket.identifier(name, oldest.id)
        )
    return True
