"""What `doctor` tries in a bucket: every right that a backup of it will need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.sources.s3.bucket import Changed, Gone, stored

if TYPE_CHECKING:
    from include.backup.sources.s3.source import S3Source


def examine(source: S3Source) -> str:
    """List one object, read its first byte and its tags; say how the bucket will be read.

    Raises:
        SourceGone, SourceError, EntryUnreadable.
    """
    bucket = source.bucket
    keeps_versions, _ = bucket.versioning()
    how = (
        "it keeps versions: read as of one instant"
        if keeps_versions
        else "it keeps no versions: read one object after the other"
    )
    entries = "Versions" if keeps_versions else "Contents"
    page = next(bucket.pages(source.prefix, versions=keeps_versions), {})
    for entry in page.get(entries, ()):
        one = stored(entry)
        try:
            bucket.get(one, 0, min(1, one.size_bytes))
            if source.with_tags:
                bucket.tags(one)
        except (Changed, Gone):  # between the two requests
            return f"listed; {how}"
        return f"listed and read{', with tags' * source.with_tags}; {how}"
    return f"listed, and nothing is there to be read; {how}"
