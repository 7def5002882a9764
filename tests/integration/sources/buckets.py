"""A bucket of a real server as the dataset of an installation, and what is asked of the server."""

from __future__ import annotations

import threading
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from include.backup.format.ids import BlobType
from include.backup.sources.s3.target import S3Target
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.format.tree import Node
    from include.backup.repository.repository import Repository
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

    def stored(self, outcome: Outcome) -> RecoveredFiles:
        """A recovery point, as a server that it is put back to sees it."""
        repository = self.repository(outcome)
        return RecoveredFiles(repository, self.tree(outcome))

    def contents(self, outcome: Outcome) -> dict[str, bytes]:
        """Every file of a recovery point, by its path."""
        files = self.stored(outcome)
        return {path.decode(): b"".join(files.stream(path)) for path, _ in files.walk()}

    def put_back(self, outcome: Outcome, bucket: str, prefix: str = "", **how: Any) -> PutBack:
        """Restore a recovery point into a bucket."""
        target = S3Target(self.server.client(), bucket, prefix, **how)
        target.prepare()
        return target.put(self.stored(outcome), lambda _: None)


class RecoveredFiles:
    """See StoredFiles."""

    def __init__(self, repository: Repository, tree: bytes) -> None:
        self._repository = repository
        self._load_tree = lru_cache(maxsize=64)(repository.load_tree)
        roots = {node.name: node for node in repository.load_tree(tree)}
        self._own, self._beside = roots[b"crm"], roots[b".holdfast"]

    def list(self, path: bytes) -> Any:
        """See StoredFiles."""
        node = self.find(path) if path else self._own
        assert node is not None
        assert node.subtree is not None
        return self._load_tree(node.subtree)

    def find(self, path: bytes) -> Node | None:
        """See StoredFiles."""
        return self._below(self._own, path)

    def _below(self, node: Node | None, path: bytes) -> Node | None:
        for part in path.split(b"/"):
            if node is None or node.subtree is None:
                return None
            inner = self._load_tree(node.subtree)
            node = next((one for one in inner if one.name == part), None)
        return node

    def load(self, path: bytes) -> bytes:
        """See StoredFiles."""
        return b"".join(self.stream(path))

    def stream(self, path: bytes) -> Iterator[bytes]:
        """See StoredFiles."""
        node = self.find(path)
        assert node is not None
        return self._pieces(node)

    def _pieces(self, node: Node) -> Iterator[bytes]:
        for blob_id in node.content or ():
            yield self._repository.load_blob(BlobType.DATA, blob_id)

    def about(self, name: str) -> bytes | None:
        """See StoredFiles."""
        node = self._below(self._beside, name.encode())
        return None if node is None else b"".join(self._pieces(node))

    def walk(self) -> Iterator[tuple[bytes, Node]]:
        """Every file with its path."""
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            for node in self.list(folder):
                path = folder + b"/" + node.name if folder else node.name
                if node.type == "dir":
                    waiting.append(path)
                else:
                    yield path, node


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
