"""Put the objects that restic has restored into a bucket, with their metadata and tags.

    python3 put_objects.py DIRECTORY s3://bucket/prefix

DIRECTORY is the restored dataset. Needs boto3 and nothing of Holdfast; credentials, region and
address come from where the AWS command line takes them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_REGION, AWS_ENDPOINT_URL, AWS_CA_BUNDLE, ~/.aws). Objects that are there are replaced.
"""

import json
import os
import re
import sys
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlencode

# Older stores do not take the checksums that boto3 adds of itself.
os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
BEGIN = "~s3~begin~"
MARKS = ("~s3~name~", "~s3~object~", BEGIN)
# What an object was read with. Nothing else, as who may read it, is taken from an attribute.
KNOWN = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType",
         "Expires", "Metadata", "StorageClass", "WebsiteRedirectLocation")  # fmt: skip


def key_of(path: str) -> str:
    """The key of an object by the path of its file."""
    key, separator = "", ""
    for name in path.split("/"):
        mark = next((one for one in MARKS if name.startswith(one)), "")
        part = name[len(mark) :]
        if mark:
            part = re.sub("%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), part)
        key += separator + part
        separator = "" if mark == BEGIN else "/"
    return key


def attribute(path: str, name: str) -> dict[str, object]:
    """What an extended attribute of a file holds; nothing if it has none."""
    try:
        found = os.getxattr(path, name)
    except OSError:
        return {}
    return dict(json.loads(found))


def arguments(path: str) -> dict[str, object]:
    """What belongs to an object beside its bytes, named as boto3 names it."""
    read = attribute(path, "user.s3.headers")
    found = {name: value for name, value in read.items() if name in KNOWN}
    if tags := attribute(path, "user.s3.tags"):
        found["Tagging"] = urlencode(tags, quote_via=quote)
    try:
        parsedate_to_datetime(str(found.get("Expires")))
    except ValueError:  # boto3 takes dates only
        found.pop("Expires", None)
    return found


def main() -> int:
    """Upload every file; name those that fail."""
    import boto3  # noqa: PLC0415  key_of can be used without it

    folder, url = sys.argv[1:]
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    client = boto3.client("s3")
    done = failed = 0
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)  # noqa: PTH118  a script for whatever Python is there
            if os.path.islink(path) or not os.path.isfile(path):  # noqa: PTH113, PTH114  same
                continue  # no object is one; a link would lead out of the directory
            key = prefix + key_of(os.path.relpath(path, folder))
            try:
                client.upload_file(path, bucket, key, ExtraArgs=arguments(path))
                done += 1
            except Exception as error:  # noqa: BLE001  the others are wanted all the same
                print(f"{path}: {error}", file=sys.stderr)  # noqa: T201  it is a script
                failed += 1
    print(f"{done} objects in s3://{bucket}/{prefix}, {failed} failed")  # noqa: T201  same
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
