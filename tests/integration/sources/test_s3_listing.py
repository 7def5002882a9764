"""Listings on a real server, a few keys on a page, so that pages end in every place."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.sources.s3.names import key_of
from include.backup.sources.s3.source import S3Source
from tests.integration.sources.buckets import PREFIX, BucketSite
from tests.suites.source_suite import walk

if TYPE_CHECKING:
    from include.backup.format.tree import Node
    from include.backup.sources.base import Reading

pytestmark = pytest.mark.integration


def limit_pages(site: BucketSite, keys: int) -> None:
    """Let no page of a listing hold more keys."""

    def limit(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = keys

    for name in ("ListObjectsV2", "ListObjectVersions"):
        site.s3.meta.events.register(f"before-parameter-build.s3.{name}", limit)


def listings(site: BucketSite) -> int:
    """How many pages were asked for since the last look."""
    found = site.asked["ListObjectsV2"] + site.asked["ListObjectVersions"]
    site.asked.clear()
    return found


def found_by(nodes: dict[bytes, Node]) -> dict[str, int]:
    """The size of each object by its key; a directory without any is a fault."""
    files = {path for path, node in nodes.items() if node.type == "file"}
    for path, node in nodes.items():
        if node.type == "dir":
            assert any(file.startswith(path + b"/") for file in files), path
    return {key_of(path.decode()): nodes[path].size for path in files}


def walk_as_the_engine(reading: Reading) -> dict[bytes, Node]:
    """Every node by its path: a directory, its files, its directories one after the other."""
    found, waiting = {}, [b""]
    while waiting:
        folder = waiting.pop()
        inner = []
        for node in reading.list(folder):
            path = folder + b"/" + node.name if folder else node.name
            found[path] = node
            if node.type == "dir":
                inner.append(path)
        waiting.extend(reversed(inner))
    return found


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_every_object_is_found_once(request: pytest.FixtureRequest, kind: str, seed: int) -> None:
    """Wherever a page ends: in a directory, between two, among the versions of one object."""
    site: BucketSite = request.getfixturevalue("site" if kind == "plain" else "versioned")
    dice, wanted = Random(seed), {}
    for number in range(90):
        key = "".join(dice.choices("ab./-", [4, 3, 1, 5, 1], k=dice.randint(0, 7)))
        site.put(key, b"x" * number)
        wanted[key] = number
        if dice.random() < 0.3:
            gone = dice.choice(sorted(wanted))
            site.remove(gone)
            del wanted[gone]
    source = S3Source(site.s3, site.bucket, PREFIX)
    for keys in (1, 5, 1000):
        limit_pages(site, keys)
        walking = dice.choice([walk, walk_as_the_engine])
        with source.read(now=site.clock(), parent=None) as reading:
            if kind == "versioned":  # neither what comes nor what goes is there
                site.put(f"a/{keys}", b"new")
                site.remove(min(wanted))
            assert found_by(walking(reading)) == wanted
            assert not reading.notes
        if kind == "versioned":
            wanted[f"a/{keys}"] = len(b"new")
            wanted.pop(min(wanted), None)


@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_many_small_directories_are_few_requests(request: pytest.FixtureRequest, kind: str) -> None:
    """A page tells of all directories that end on it; a large one is listed by itself."""
    site: BucketSite = request.getfixturevalue("site" if kind == "plain" else "versioned")
    for number in range(60):
        site.put(f"customers/{number:03}/a/file", b"1")
        site.put(f"customers/{number:03}/b/file", b"2")
    for number in range(30):
        site.put(f"large/{number:03}", b"3")
    limit_pages(site, 20)
    with S3Source(site.s3, site.bucket, PREFIX).read(now=site.clock(), parent=None) as reading:
        site.asked.clear()
        assert len(found_by(walk_as_the_engine(reading))) == 150
    # 183 directories. By itself: the root, the two below it, 3 pages for the customers, 2 for the
    # 30 objects; 120 objects at up to 20 on a page; with versions each prefix is looked into.
    assert listings(site) < (20 if kind == "plain" else 32)
