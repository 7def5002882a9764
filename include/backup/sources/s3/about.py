"""What lies beside the objects of a bucket in their snapshot, and how to put them back.

manifest.json       which bucket they are of, how paths and attributes are to be read
put_objects.py      puts restored files into a bucket, with metadata; a program of its own
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from include.backup.errors import DamageFound

MANIFEST: Final = "manifest.json"
PUT_OBJECTS: Final = "put_objects.py"
STEPS: Final = """\
All objects, each as a file whose path below `$TARGET/$DATASET` is its key:

    restic restore "$SNAPSHOT" --no-lock --target "$TARGET" \
--include "/$DATASET" --include /.holdfast

Only a part of them, by a path or a pattern:

    restic restore "$SNAPSHOT" --no-lock --target "$TARGET" --include "/$DATASET/some/folder"

The bytes come back with that alone. What the store said of an object beside its bytes (content
type, user metadata, storage class, …, and its tags) is in extended attributes of the file,
`user.s3.headers` and `user.s3.tags`: `getfattr -d FILE` shows them. So `$TARGET` should be on a
file system that has them, as ext4, XFS and Btrfs do; ext4 holds some 4,000 bytes for each file.
Where restic says that it cannot set one, the bytes are there all the same.

Into a bucket, with keys, metadata and tags as they were, by Python 3.9 or newer and boto3 alone
(`apt install python3-boto3`):

    BUCKET=s3://a-bucket/prefix
    python3 "$TARGET/.holdfast/put_objects.py" "$TARGET/$DATASET" "$BUCKET"

`aws s3 sync "$TARGET/$DATASET" "$BUCKET"` brings the bytes back as well, without metadata and tags,
and with wrong keys for what `find "$TARGET" -name '~s3~*'` finds: keys that no file can have.
Access lists, locks and encryption are the bucket's own, and not in the backup.
"""


def manifest(
    endpoint: str, bucket: str, prefix: str, *, keeps_versions: bool, with_tags: bool
) -> bytes:
    """Whose objects these are. Nothing in it changes from one recovery point to the next."""
    document = {
        "kind": "s3",
        "bucket": bucket,
        "prefix": prefix,
        "endpoint": endpoint,
        "read": "as of one instant" if keeps_versions else "one object after the other",
        "tags": with_tags,
        "paths": "keys split at /; names that begin with ~s3~ as put_objects.py reads them",
        "attributes": {
            "user.s3.etag": "the entity tag that was listed",
            "user.s3.version-id": "the version that was read, where the bucket keeps them",
            "user.s3.headers": "content type, user metadata and others, named as boto3 does",
            "user.s3.tags": "the tags of the object",
        },
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def bucket_and_prefix(manifest_json: bytes | None) -> tuple[str, str] | None:
    """Where the objects of a recovery point were; None if it is not of a bucket.

    Raises:
        DamageFound: it cannot be read.
    """
    if manifest_json is None:
        return None
    try:
        document = json.loads(manifest_json)
        if document.get("kind") != "s3":
            return None
        return str(document["bucket"]), str(document["prefix"])
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise DamageFound(f"{MANIFEST} of the recovery point cannot be read") from error


def put_objects() -> bytes:
    """The program that puts restored files into a bucket without Holdfast."""
    return Path(__file__).with_name(PUT_OBJECTS).read_bytes()
