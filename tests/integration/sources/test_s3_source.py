"""Buckets as datasets, on a real server: backed up by the real action, changed meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

from include.backup.actions.back_up import back_up
from include.backup.actions.outcome import sentence_of
from include.backup.errors import ConfigurationInvalid, EntryUnreadable, SourceError, SourceGone
from include.backup.policy.model import Method
from include.backup.sources.base import ReadsAhead
from include.backup.sources.s3.source import S3Source
from include.backup.storage.retry import Patience
from tests.integration.sources.buckets import PREFIX, BucketSite, client_of
from tests.servers.fault_proxy import Fault, FaultProxy, Kind, fault_proxy
from tests.suites.source_suite import content_of, node_at, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.sources.base import Reading
    from tests.servers.rgw import Rgw

pytestmark = pytest.mark.integration

LARGE = Random(7).randbytes(1 << 20) * 20 + b"end"  # three windows
OTHER = Random(8).randbytes(1 << 20) * 20 + b"new"  # of the same size
READS = ("GetObject", "HeadObject", "GetObjectTagging")


def reads(site: BucketSite) -> int:
    """How many requests there were for single objects, since the last look."""
    found = sum(site.asked[name] for name in READS)
    site.asked.clear()
    return found


def failed(site: BucketSite) -> str:
    """The sentence of a backup that fails."""
    with pytest.raises(SourceError) as caught:
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    return sentence_of(caught.value, "")


def test_an_incremental_asks_for_nothing_that_has_not_changed(site: BucketSite) -> None:
    """Listings alone; metadata and tags are taken over; nothing is stored."""
    site.wait(hours=-5)  # this machine's clock is not the server's
    for number in range(30):
        site.put(f"folder/{number}", b"%d" % number, Tagging="k=v", ContentType="text/plain")
    site.put("large", LARGE, Metadata={"of": "large"})
    time.sleep(2.1)  # what changed in the second of the backup is read again by the next one
    first = site.back_up()
    assert reads(site) == 30 * 3 + 3  # GET, tags, HEAD, for each; three windows
    second = site.back_up()
    assert reads(site) == 0
    assert second.details["bytes_stored"] == 0
    assert site.tree(first) == site.tree(second)
    site.put("folder/7", b"changed")
    third = site.back_up()
    assert reads(site) == 3  # GET; and for the first of a run, whether tags can be read at all
    assert site.contents(third) == {**site.contents(first), "folder/7": b"changed"}


def test_a_version_is_known_by_its_id(versioned: BucketSite) -> None:
    """However young it is: what was read a moment ago is not read again."""
    versioned.put("one", b"1")
    versioned.put("large", LARGE[: 1 << 20])
    versioned.back_up()
    reads(versioned)
    versioned.back_up()
    assert reads(versioned) == 0


@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_object_replaced_while_it_is_read_is_read_again(site: BucketSite, at: int) -> None:
    """Before its first window or a later one: all of the new one, with its metadata, never both."""
    site.put("large", LARGE, Metadata={"of": "old"})
    site.before_get(lambda n: site.put("large", OTHER, Metadata={"of": "new"}) if n == at else None)
    outcome = site.back_up()
    assert site.contents(outcome) == {"large": OTHER}
    node = site.stored(outcome).find(b"large")
    assert node is not None
    assert node.size == len(OTHER)
    assert b'{"of":"new"}' in dict(node.extended_attributes)["user.s3.headers"]


def test_tags_are_those_of_the_bytes(site: BucketSite) -> None:
    """An object replaced between its bytes and its tags is read again."""
    site.put("one", b"old", Tagging="of=old")
    replaced: list[int] = []

    def replace(**_: Any) -> None:
        if not replaced:
            replaced.append(1)
            site.put("one", b"new", Tagging="of=new")

    site.s3.meta.events.register("before-call.s3.GetObjectTagging", replace)
    outcome = site.back_up()
    assert site.contents(outcome) == {"one": b"new"}
    node = site.stored(outcome).find(b"one")
    assert node is not None
    assert dict(node.extended_attributes)["user.s3.tags"] == b'{"of":"new"}'


@pytest.mark.parametrize("body", [b"small", LARGE])
def test_an_object_that_never_holds_still_fails_the_run(site: BucketSite, body: bytes) -> None:
    """Named, with what to do about it; there is no recovery point of it."""
    site.put("restless", body)
    site.before_get(lambda n: site.put("restless", b"%d" % n + body))
    sentence = failed(site)
    assert f"s3://{site.bucket}/{PREFIX}/restless changed each of the 3 times" in sentence
    assert "keep versions" in sentence


def test_an_object_that_becomes_large_is_read_whole(site: BucketSite) -> None:
    """It was small when it was listed."""
    site.put("grows", b"small")
    site.before_get(lambda n: site.put("grows", LARGE) if n == 1 else None)
    assert site.contents(site.back_up()) == {"grows": LARGE}


def test_an_object_that_vanishes_is_noted(site: BucketSite) -> None:
    """All others are there, and the sentence says that something is missing."""
    site.put("goes", b"x")
    site.put("large goes", LARGE)
    site.put("stays", b"y")
    site.before_get(lambda n: (site.remove("goes"), site.remove("large goes")) if n == 1 else None)
    outcome = site.back_up()
    assert site.contents(outcome) == {"stays": b"y"}
    assert outcome.details["notes"] == 2


def test_a_bucket_with_versions_is_read_at_one_instant(versioned: BucketSite) -> None:
    """While a writer replaces object after object in one order, no later one is ever newer."""
    keys = [f"{folder}/{number}" for folder in "adz" for number in range(3)]
    for key in keys:
        versioned.put(key, b"0")
    done = threading.Event()

    def write() -> None:
        value = 0
        while not done.is_set():
            value += 1
            for key in keys:
                versioned.put(key, b"%d" % value)
            versioned.remove(keys[4])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcomes = [versioned.back_up() for _ in range(3)]
    finally:
        done.set()
        writer.join()
    for outcome in outcomes:
        found = {key: int(body) for key, body in versioned.contents(outcome).items()}
        values = [found[key] for key in keys if key in found]
        assert len(values) >= len(keys) - 1
        assert values == sorted(values, reverse=True)
        assert values[0] - values[-1] <= 1
        assert outcome.details.get("notes", 0) == 0
    assert int(versioned.contents(outcomes[-1])["a/0"]) > 1


def test_what_was_deleted_comes_back_from_the_point_before(versioned: BucketSite) -> None:
    """Delete markers are respected, and directories of which nothing is left are none."""
    versioned.put("folder/inner/one", b"1")
    versioned.put("two", b"2")
    first = versioned.back_up()
    versioned.remove("folder/inner/one")
    second = versioned.back_up()
    assert versioned.contents(first) == {"folder/inner/one": b"1", "two": b"2"}
    assert versioned.contents(second) == {"two": b"2"}
    assert [node.name for node in versioned.stored(second).list(b"")] == [b"two"]


def test_a_bucket_that_was_emptied_is_not_backed_up(versioned: BucketSite) -> None:
    """Only delete markers are left: an error, as for a directory that is empty all of a sudden."""
    versioned.put("folder/one", b"1")
    versioned.back_up()
    versioned.remove("folder/one")
    assert "is empty, and held" in failed(versioned)


def test_patterns_leave_out_keys(site: BucketSite) -> None:
    """Relative to the prefix, directories with all below."""
    for key in ("kept", "a.tmp", "cache/x/y", "deep/cache/z", "deep/kept"):
        site.put(key, b"x")
    site.source_text += ", exclude: ['*.tmp', 'cache/']"
    assert set(site.contents(site.back_up())) == {"kept", "deep/kept"}


def test_what_another_sealed_or_archived_is_named(site: BucketSite) -> None:
    """An object that nobody here can read fails the run, and the sentence says why."""
    site.put("sealed", b"x", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    sentence = failed(site)
    assert f"{PREFIX}/sealed" in sentence
    assert "SSE-C" in sentence


@contextmanager
def line_to(
    site: BucketSite, *, deadline: timedelta = timedelta(seconds=1)
) -> Iterator[tuple[S3Source, FaultProxy]]:
    """The source over a network that spoils what is sent; boto3 tries once."""
    with fault_proxy(site.server.http_endpoint) as proxy:
        config = Config(
            s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 1}
        )
        client = site.server.client(endpoint_url=proxy.endpoint, config=config)
        patience = Patience(first_wait=timedelta(milliseconds=1), deadline=deadline)
        yield S3Source(client, site.bucket, PREFIX, patience=patience), proxy


@contextmanager
def reading_of(site: BucketSite, source: S3Source) -> Iterator[Reading]:
    with source.read(now=site.clock(), parent=None) as reading:
        yield reading


@pytest.mark.parametrize("kind", ["status", "reset before", "lost reply", "short reply"])
def test_reading_outlives_faults_on_the_way(site: BucketSite, kind: Kind) -> None:
    """Every kind of request that is spoiled twice is made again, whole."""
    site.put("large", LARGE, Tagging="a=b")
    site.put("small", b"small")
    with line_to(site) as (source, proxy):
        faults = [
            proxy.inject(Fault(kind=kind, line=line, times=2))
            for line in ("GET .*list-type", "GET .*large HTTP", "GET .*tagging", "GET .*small HTTP")
        ]
        with reading_of(site, source) as reading:
            nodes = walk(reading)
            assert content_of(reading, b"large", nodes[b"large"]) == LARGE
            read = reading.read_small(b"small", nodes[b"small"])
            assert read is not None
            assert read[1] == b"small"
        assert [fault.hits for fault in faults] == [2, 2, 2, 2]


def test_a_reading_that_is_given_up_waits_for_nothing(site: BucketSite) -> None:
    """What it has begun is not asked for again, however long its patience is."""
    site.put("one", b"1")
    with line_to(site, deadline=timedelta(minutes=5)) as (source, proxy):
        proxy.inject(Fault(kind="status", line="GET .*one", status=503, times=9999))
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt), reading_of(site, source) as reading:  # noqa: PT012
            assert isinstance(reading, ReadsAhead)
            reading.expect(b"one", node_at(reading, b"one"))
            time.sleep(0.3)
            raise KeyboardInterrupt
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    ("line", "status", "code", "error", "told"),
    [
        ("GET .*one", 403, "InvalidObjectState", EntryUnreadable, "it is archived"),
        ("GET .*one", 403, "AccessDenied", EntryUnreadable, "the rights that SOURCES.md"),
        ("GET .*list-type", 403, "AccessDenied", SourceError, "the rights that SOURCES.md"),
        ("GET .*tagging", 403, "AccessDenied", EntryUnreadable, "or set tags: skip"),
        ("GET .*list-type", 404, "NoSuchBucket", SourceGone, "correct the url"),
        ("GET .*one", 503, "SlowDown", EntryUnreadable, "tries in"),
    ],
)
def test_each_refusal_is_one_clear_error(
    site: BucketSite, line: str, status: int, code: str, error: type[Exception], told: str
) -> None:
    """What, where, and what to do about it; asked again only where that may help."""
    site.put("one", b"1")
    with line_to(site) as (source, proxy):
        fault = proxy.inject(Fault(kind="status", line=line, status=status, code=code, times=999))
        with pytest.raises(error) as caught, reading_of(site, source) as reading:
            reading.read_small(b"one", node_at(reading, b"one"))
        assert (fault.hits == 1) == (code != "SlowDown")
    assert type(caught.value) is error
    assert told in str(caught.value)
    assert code in str(caught.value)
    assert site.bucket in str(caught.value)


def test_wrong_credentials_and_an_absent_bucket_are_told_apart(rgw: Rgw) -> None:
    """Neither message holds a secret."""
    bucket = rgw.make_bucket()
    wrong = client_of(rgw, aws_secret_access_key="not the secret 123")
    for client, name, error, hint in (
        (wrong, bucket, SourceError, "credentials of the dataset's connection"),
        (client_of(rgw), "no-such-bucket-here", SourceGone, "correct the url of the dataset"),
    ):
        source = S3Source(client, name)
        with (
            pytest.raises(error, match=hint) as caught,
            source.read(now=None, parent=None),  # type: ignore[arg-type]
        ):
            pass
        assert "123" not in str(caught.value)
        assert rgw.owner.secret_key not in str(caught.value)


def test_few_rights_are_enough_and_a_missing_one_is_never_silent(versioned: BucketSite) -> None:
    """The rights that SOURCES.md lists; without that to read tags there would seem to be none."""
    versioned.put("one", b"1", Tagging="a=b")
    needed = (
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:GetBucketVersioning",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:GetObjectTagging",
        "s3:GetObjectVersionTagging",
    )
    versioned.server.grant(versioned.bucket, actions=needed)
    versioned.s3 = client_of(versioned.server, user=versioned.server.role)
    versioned.back_up()
    versioned.put("two", b"2")
    versioned.server.grant(
        versioned.bucket, actions=needed[:-2], but=("s3:GetObjectTagging", needed[-1])
    )
    assert "set tags: skip" in failed(versioned)
    versioned.source_text += ", tags: skip"
    assert set(versioned.contents(versioned.back_up())) == {"one", "two"}


def test_a_bucket_in_clear_is_refused_without_a_reason(rgw: Rgw) -> None:
    """As for vaults: to another machine only with a reason, which is the dataset's."""
    client = rgw.client(endpoint_url="http://s3.example.com")
    with pytest.raises(ConfigurationInvalid, match=r"the dataset's connection to .* in clear"):
        S3Source(client, "bucket")
    S3Source(client, "bucket", insecure_reason="a lab")


def test_a_stated_reason_is_recorded(site: BucketSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the recovery point: how its data travelled, and why that was accepted."""
    monkeypatch.setattr("include.backup.storage.s3_client.is_loopback", lambda _: False)
    site.put("one", b"1")
    site.s3 = client_of(site.server, endpoint_url=site.server.http_endpoint)
    site.entry_options = "    insecure_reason: a lab\n"
    outcome = site.back_up()
    assert outcome.details["noted"] == [
        f"s3://{site.bucket}/{PREFIX}/: read over plain http (accepted: a lab)"
    ]
