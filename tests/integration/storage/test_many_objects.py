"""A generation of very many files dies by batches, on a bucket that keeps versions.

HOLDFAST_OBJECTS sets how many; the figure of requests is the same for each thousand of them.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.removing import remove_generation
from include.backup.storage.s3 import S3Storage

if TYPE_CHECKING:
    from tests.servers.rgw import Rgw

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]
OBJECTS = int(os.environ.get("HOLDFAST_OBJECTS", "2001"))
GENERATION = "20261101T010000Z"
TOGETHER = 1000  # keys in one request, both of a listing and of a deletion


def names(number: int) -> list[str]:
    """Of the packs of a generation, as they spread over its folders."""
    hashes = [sha256(str(one).encode()).hexdigest() for one in range(number)]
    return [f"generations/{GENERATION}/data/{one[:2]}/{one}" for one in hashes]


def test_a_generation_dies_by_batches(rgw: Rgw) -> None:
    """Each thousand of files takes one deletion and a few listings, wherever their names begin."""
    client, bucket = rgw.client(), rgw.make_bucket("versioned")
    save = partial(client.put_object, Bucket=bucket, Body=b"pack")
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda name: save(Key=f"vault/{name}"), names(OBJECTS)):
            pass
    requests: Counter[str] = Counter()

    def counted(model: Any, **_: object) -> None:
        requests[model.name] += 1

    client.meta.events.register("before-call.s3", counted)
    storage = S3Storage(client, bucket, "vault")
    assert remove_generation(storage, GENERATION, go_on=lambda: None) == OBJECTS * len(b"pack")
    batches = -(-OBJECTS // TOGETHER)
    print(f"{OBJECTS} files: {dict(requests)}")
    assert requests["DeleteObjects"] == batches
    assert requests["ListObjectVersions"] <= 3 * batches + 7
    assert sum(requests.values()) <= 4 * batches + 8
    left = client.list_object_versions(Bucket=bucket)
    assert not left.get("Versions", []) + left.get("DeleteMarkers", [])
