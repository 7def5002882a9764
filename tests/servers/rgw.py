"""A real S3 server: Ceph RGW on loopback, with TLS, versions, Object Lock and bucket policies.

python -m tests.servers.rgw --fetch     fill the cache and leave
python -m tests.servers.rgw --serve     print where the server is; run until killed
"""

from __future__ import annotations

import argparse
import atexit
import functools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.servers.rgw_cluster import Cluster, User
from tests.servers.rgw_tree import TreeUnavailable, fetch_tree

STARTS = 3  # another program may take a port between our choice and its use
REGION = "us-east-1"

BucketKind = Literal["plain", "versioned", "locked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rgw:
    """A running server and how to talk to it."""

    endpoint: str  # https://127.0.0.1:…
    http_endpoint: str  # the same server without TLS
    ca_path: Path  # its certificate, for `verify`
    owner: User  # owns all buckets made here and may do everything
    role: User  # may do what a bucket's policy grants
    reader: User  # as well
    pids: tuple[int, ...] = ()

    def client(self, user: User | None = None, **settings: Any) -> Any:
        """A boto3 client of the owner, or of `user`; settings go to boto3.client, over ours."""
        return _client(self, user or self.owner, **settings)

    def make_bucket(self, kind: BucketKind = "plain") -> str:
        """Make a bucket with a new name; `locked` buckets have Object Lock and no default date."""
        client, name = self.client(), f"{kind}-{secrets.token_hex(6)}"
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=kind == "locked")
        if kind == "versioned":
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def grant(
        self, bucket: str, *, actions: tuple[str, ...] = ("s3:*",), but: tuple[str, ...] = ()
    ) -> None:
        """Let the role do these things, everywhere in the bucket.

        Who uploads an object owns it, and its ACL allows what no policy denies: what a test must
        be sure is refused goes into `but`.
        """
        denials = [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": list(but),
                "Resource": f"arn:aws:s3:::{bucket}/*",
            }
        ]
        self._set_policy(bucket, actions, denials if but else [])

    def refuse(self, bucket: str, prefix: str) -> None:
        """Refuse the role everything about keys that begin with `prefix`, and all listings."""
        keys, itself = f"arn:aws:s3:::{bucket}/{prefix}*", f"arn:aws:s3:::{bucket}"
        listings = ["s3:ListBucket", "s3:ListBucketVersions"]
        everybody = {"Effect": "Deny", "Principal": "*"}
        denials = [
            {**everybody, "Action": "s3:*", "Resource": keys},
            {**everybody, "Action": listings, "Resource": itself},
        ]
        self._set_policy(bucket, ("s3:*",), denials)

    def _set_policy(self, bucket: str, actions: tuple[str, ...], denials: list[Any]) -> None:
        allowed = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam:::user/{self.role.name}"},
            "Action": list(actions),
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        policy = {"Version": "2012-10-17", "Statement": [allowed, *denials]}
        self.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    def stop(self) -> None:
        """Kill the processes; nothing of theirs is worth keeping."""
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                continue


@functools.lru_cache(maxsize=16)
def _client(server: Rgw, user: User, **settings: Any) -> Any:
    """Making a client takes a tenth of a second, and one serves all threads."""
    import boto3  # noqa: PLC0415 half a second, only where it is used
    from botocore.config import Config  # noqa: PLC0415 same

    ours = {
        "endpoint_url": server.endpoint,
        "verify": str(server.ca_path),
        "region_name": REGION,
        "aws_access_key_id": user.access_key,
        "aws_secret_access_key": user.secret_key,
        "config": Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
        ),
    }
    return boto3.client("s3", **{**ours, **settings})


def start_rgw(folder: Path) -> Rgw:
    """Start a server that keeps its things below `folder`; about a second.

    Raises:
        TreeUnavailable: the programs cannot be had.
        RuntimeError: they did not start; carries the end of their log.
    """
    tree = fetch_tree()
    for attempt in range(1, STARTS + 1):
        cluster = Cluster(tree, folder / str(attempt))
        try:
            cluster.start()
        except (RuntimeError, subprocess.SubprocessError) as error:
            cluster.kill()
            if attempt == STARTS:
                raise RuntimeError(f"the S3 server did not start: {error}") from error
        else:
            break
    return server_of(cluster)


def server_of(cluster: Cluster) -> Rgw:
    """How to talk to a cluster that runs."""
    owner, role, reader = cluster.users
    return Rgw(
        endpoint=f"https://127.0.0.1:{cluster.https_port}",
        http_endpoint=f"http://127.0.0.1:{cluster.http_port}",
        ca_path=cluster.certificate,
        owner=owner,
        role=role,
        reader=reader,
        pids=cluster.pids,
    )


@functools.cache
def shared_rgw() -> Rgw:
    """The one server of this process, stopped when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-rgw-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = start_rgw(folder)
    atexit.register(server.stop)
    return server


@pytest.fixture(scope="session")
def rgw() -> Rgw:
    """A running S3 server. Where it cannot be had: in CI a failure, elsewhere a loud skip."""
    try:
        return shared_rgw()
    except TreeUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no Ceph RGW, so nothing here is proved about S3: {error}")


def main() -> int:
    """Fill the cache, or serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fetch", action="store_true", help="fill the cache and leave")
    parser.add_argument("--serve", action="store_true", help="run until killed")
    chosen = parser.parse_args()
    if chosen.fetch:
        print(fetch_tree())
    if not chosen.serve:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = shared_rgw()
    facts = {
        "endpoint": server.endpoint,
        "http_endpoint": server.http_endpoint,
        "ca_path": str(server.ca_path),
        "access_key": server.owner.access_key,
        "secret_key": server.owner.secret_key,
        "region": REGION,
    }
    print(json.dumps(facts), flush=True)
    signal.pause()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
