"""A bucket of a real server as the dataset of an installation, and what is asked of the server."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from include.backup.sources.s3.target import S3Target
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.put_back import PointFiles
    from include.backup.sources.base import PutBack
    from tests.servers.rgw import BucketKind, Rgw

PREFIX = "some/prefix"
# Keys that no file can have, and some that only look odd. RGW takes no NUL.
NASTY = (
    "plain.txt",
    "a",
    "a/",
    "a/b",
    "a//b",
    "a///",
    "/lead",
    "//",
    "",
    ".",
    "..",
    "../../etc/passwd",
    "x/./y",
    "x/..",
    "~s3~name~",
    "~s3~object~/x",
    "50%41+off %2F",
    "line\nbreak\ttab\x7f",
    "back\\slash",
    "?query=1#part&amp;<x>",
    "ü/e\u0301/\U0001f600",
    "l" * 255,
    "l" * 256,
    "l" * 256 + "/inside",
    "é" * 400,
    "é" * 400 + "x",
    "k" * (1024 - len(PREFIX) - 1),
    " ",
    "trailing ",
    "...",
)


def client_of(server: Rgw, **more: Any) -> Any:
    """A client of its own, whose events a test may listen to."""
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=32,
    )
    return server.client(**{"config": config, "api_version": None, **more})


class BucketSite(Archives):
    """One dataset, crm: a prefix of a bucket, with a client whose requests are counted."""

    def __init__(self, folder: Path, server: Rgw, *, kind: BucketKind = "plain") -> None:
        super().__init__(folder)
        self.server = server
        self.bucket = server.make_bucket(kind)
        self.source_text = f"type: s3, url: 's3://{self.bucket}/{PREFIX}', connection: bucket"
        self.s3 = client_of(server)
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.s3.meta.events.register("before-call.s3", self._count)
        self.outside = server.client()  # the rest of the world

    def _count(self, model: Any, **_: Any) -> None:
        with self._lock:
            self.asked[model.name] += 1

    def put(self, key: str, body: bytes, **more: Any) -> None:
        """Somebody stores an object."""
        self.outside.put_object(Bucket=self.bucket, Key=f"{PREFIX}/{key}", Body=body, **more)

    def remove(self, key: str) -> None:
        """Somebody deletes one."""
        self.outside.delete_object(Bucket=self.bucket, Key=f"{PREFIX}/{key}")

    def before_get(self, act: Callable[[int], None]) -> None:
        """Do something just before the n-th GetObject is sent, counted from 1."""
        seen = 0

        def hook(**_: Any) -> None:
            nonlocal seen
            with self._lock:
                seen += 1
                act(seen)

        self.s3.meta.events.register("before-call.s3.GetObject", hook)

    def contents(self, outcome: Outcome) -> dict[str, bytes]:
        """Every file of a recovery point, by its path."""
        files = self.stored(outcome)
        return {path.decode(): files.load(path) for path in walk(files)}

    def put_back(self, outcome: Outcome, bucket: str, prefix: str = "", **how: Any) -> PutBack:
        """Restore a recovery point into a bucket."""
        target = S3Target(self.server.client(), bucket, prefix, **how)
        target.prepare()
        return target.put(self.stored(outcome), lambda _: None)


def walk(files: PointFiles) -> Iterator[bytes]:
    """The path of every file."""
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        for node in files.list(folder):
            path = folder + b"/" + node.name if folder else node.name
            if node.type == "dir":
                waiting.append(path)
            else:
                yield path


def objects(client: Any, bucket: str, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Every object below a prefix by its key relative to it, with all that it is made of."""
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            of = {"Bucket": bucket, "Key": entry["Key"]}
            answer = client.get_object(**of)
            tags = client.get_object_tagging(**of)["TagSet"] if answer.get("TagCount") else []
            found[entry["Key"][len(prefix) :]] = {
                "body": answer["Body"].read(),
                "metadata": answer["Metadata"],
                "tags": {tag["Key"]: tag["Value"] for tag in tags},
                **{
                    name: answer.get(name)
                    for name in (
                        "CacheControl",
                        "ContentDisposition",
                        "ContentEncoding",
                        "ContentLanguage",
                        "ContentType",
                        "ExpiresString",
                    )
                },
            }
    return found
