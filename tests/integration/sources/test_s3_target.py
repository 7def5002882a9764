"""Buckets that recovery points are put back into, on a real server."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.choosing import Order
from include.backup.actions.erasures import ErasureOrder, register
from include.backup.actions.restore import restore
from include.backup.errors import ConfigurationInvalid, DamageFound, RestoreRefused
from include.backup.sources.s3.target import S3Target
from include.backup.sources.s3.upload import SINGLE_BYTES
from include.backup.vault.erasures import Erased
from tests.integration.sources.buckets import NASTY, PREFIX, BucketSite, client_of, objects
from tests.servers.fault_proxy import Fault, fault_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.outcome import Outcome
    from tests.servers.rgw import BucketKind, Rgw

pytestmark = pytest.mark.integration

HEADERS = {
    "CacheControl": "no-cache",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de",
    "ContentType": "text/plain; charset=utf-8",
    "Metadata": {"customer": "4711", "note": "a b, c"},
}
MIB = 1 << 20
ROOT_KEY = "~s3~name~"  # of the prefix itself
NO_KEY = "without a prefix there is no key for it"


def test_every_key_comes_back_with_all_that_belongs_to_it(site: BucketSite) -> None:
    """Bytes, headers, user metadata, tags: into another bucket, into another prefix."""
    for number, key in enumerate(NASTY):
        site.put(key, b"content of %d" % number, Metadata={"number": str(number)})
    site.put("dressed", b"d", Tagging="k=v&sp%20ace=%C3%BC%2B%26", Expires="2033-12-01", **HEADERS)
    site.put("empty", b"", Tagging="only=tags")
    wanted = objects(site.outside, site.bucket, f"{PREFIX}/")
    assert len(wanted) == len(NASTY) + 2
    outcome = site.back_up()
    put = site.put_back(outcome, site.bucket, "rest/prefix")
    assert objects(site.outside, site.bucket, "rest/prefix/") == wanted
    assert (put.files, put.contents) == (len(wanted), f"{len(wanted)} objects")
    assert not put.notes
    assert put.bytes_written == sum(len(one["body"]) for one in wanted.values())
    other = site.server.make_bucket()
    [note] = site.put_back(outcome, other).notes
    assert note.lost
    assert note.what == "left out: without a prefix there is no key for it"
    del wanted[""]
    assert objects(site.outside, other) == wanted


def test_a_restore_that_leaves_an_object_out_is_none(site: BucketSite) -> None:
    """It fails and names it; an empty one of that name, as consoles make, is but noted."""
    for content, key in ((b"", ""), (b"x", "one")):
        site.put(key, content)
    order = Order(address="connection:other", requested_by="tests")

    def restored() -> Outcome:
        target = S3Target(site.server.client(), site.server.make_bucket(), "")
        return restore(site.setting(), "crm", target, order)

    site.back_up()
    assert restored().details["noted"] == [f"{ROOT_KEY}: left out: {NO_KEY}"]
    site.put("", b"content")
    site.wait(hours=1)
    site.back_up()
    with pytest.raises(
        RestoreRefused, match=f"1 entry was not put back: {ROOT_KEY}: left out: {NO_KEY}"
    ):
        restored()


def test_a_restored_bucket_backs_up_to_the_same(site: BucketSite) -> None:
    """The round trip of the round trip: the same paths with the same content."""
    for number, key in enumerate(NASTY):
        site.put(key, b"%d" % number)
    first = site.back_up()
    site.put_back(first, site.bucket, "again")
    site.source_text = site.source_text.replace(PREFIX, "again")
    second = site.back_up()
    assert site.contents(second) == site.contents(first)


def test_only_what_is_wanted_is_put(site: BucketSite) -> None:
    """By path; nothing else is there afterwards."""
    for key in ("a/one", "a/two", "b/one"):
        site.put(key, b"x")
    outcome = site.back_up()
    other = site.server.make_bucket()
    site.put_back(outcome, other, wanted=lambda path: path.startswith(b"a/"))
    assert set(objects(site.outside, other)) == {"a/one", "a/two"}


def test_a_place_that_holds_objects_is_refused(site: BucketSite) -> None:
    """Unless they may be replaced; a prefix beside it does not count, others are left alone."""
    site.put("one", b"1")
    outcome = site.back_up()
    other = site.server.make_bucket()
    for key in ("there/one", "therebeside"):
        site.outside.put_object(Bucket=other, Key=key, Body=b"theirs")
    with pytest.raises(RestoreRefused, match=r"there/ holds objects.*--overwrite"):
        site.put_back(outcome, other, "there")
    site.put_back(outcome, other, "therebes")
    site.outside.put_object(Bucket=other, Key="there/two", Body=b"theirs")
    site.put_back(outcome, other, "there", overwrite=True)
    found = {key: one["body"] for key, one in objects(site.outside, other).items()}
    assert found == {
        "there/one": b"1",
        "there/two": b"theirs",
        "therebeside": b"theirs",
        "therebes/one": b"1",
    }


@pytest.mark.parametrize("prefix", [PREFIX, "", "some", f"{PREFIX}/below"])
def test_where_the_objects_came_from_is_refused(site: BucketSite, prefix: str) -> None:
    """The prefix itself, what holds it and what is in it; unless that is meant."""
    site.put("one", b"1")
    outcome = site.back_up()
    with pytest.raises(RestoreRefused, match="backed up from"):
        site.put_back(outcome, site.bucket, prefix, overwrite=True)
    assert set(objects(site.outside, site.bucket)) == {f"{PREFIX}/one"}
    site.put_back(outcome, site.bucket, prefix, overwrite=True, into_source=True)


def test_what_is_no_bucket_is_refused(site: BucketSite) -> None:
    """A directory's recovery point names no keys."""
    site.write(one=b"1")
    site.source_text = f"type: filesystem, path: {site.data}"
    with pytest.raises(RestoreRefused, match="not of a bucket"):
        site.put_back(site.back_up(), site.server.make_bucket())


def test_an_absent_bucket_and_a_missing_right_are_named(site: BucketSite) -> None:
    """Before anything is written, or with the object that was refused; no secret is told."""
    site.put("one", b"1")
    outcome = site.back_up()
    with pytest.raises(RestoreRefused, match="NoSuchBucket; hint: make the bucket"):
        site.put_back(outcome, "no-such-bucket-here")
    other = site.server.make_bucket()
    site.server.grant(other, actions=("s3:ListBucket",), but=("s3:PutObject",))
    target = S3Target(site.server.client(site.server.role), other, "p")
    target.prepare()
    with pytest.raises(RestoreRefused, match=rf"s3://{other}/p/one.*s3:PutObject") as caught:
        target.put(site.stored(outcome), lambda _: None)
    assert site.server.role.secret_key not in str(caught.value)


def test_a_destination_in_clear_is_refused_without_a_reason(rgw: Rgw) -> None:
    """As for vaults and datasets."""
    client = rgw.client(endpoint_url="http://s3.example.com")
    with pytest.raises(ConfigurationInvalid, match="the destination's connection"):
        S3Target(client, "bucket", "")


def test_what_a_store_cannot_take_is_noted(site: BucketSite) -> None:
    """A storage class that it has not, a date that is none: the bytes are there all the same."""
    site.put("one", b"1", Metadata={"kept": "k"})
    answers = {"StorageClass": "GLACIER_IR", "ExpiresString": "never"}
    site.s3.meta.events.register(
        "after-call.s3.GetObject", lambda parsed, **_: parsed.update(answers)
    )
    outcome = site.back_up()
    other, client = site.server.make_bucket(), client_of(site.server)

    def refuse(params: dict[str, Any], **_: Any) -> None:
        if "StorageClass" in params:
            params["StorageClass"] = "NO_SUCH_CLASS"

    client.meta.events.register("before-parameter-build.s3.PutObject", refuse)
    put = S3Target(client, other, "").put(site.stored(outcome), lambda _: None)
    assert {note.what for note in put.notes} >= {"header Expires not restored: it is no date"}
    assert objects(site.outside, other)["one"]["metadata"] == {"kept": "k"}


class Spoiled:
    """Files of a recovery point, one of which cannot be read to its end."""

    def __init__(self, files: Any, path: bytes) -> None:
        self._files = files
        self._path = path

    def __getattr__(self, name: str) -> Any:
        """Everything else is as it is."""
        return getattr(self._files, name)

    def stream(self, path: bytes) -> Iterator[bytes]:
        """See StoredFiles."""
        for piece in self._files.stream(path):
            yield piece
            if path == self._path:
                raise DamageFound("data blob 1234 does not match its name")


@pytest.fixture(scope="module")
def large() -> bytes:
    """More than goes in one request, and no round number of parts."""
    return Random(11).randbytes(MIB) * ((SINGLE_BYTES // MIB) + 9) + b"end"


def test_a_damaged_object_is_left_out_and_named(site: BucketSite, large: bytes) -> None:
    """All others are there; nothing of it is, nor of its parts."""
    site.put("large", large)
    site.put("one", b"1")
    files = site.stored(site.back_up())
    other = site.server.make_bucket()
    for path in (b"one", b"large"):
        target = S3Target(site.server.client(), other, path.decode())
        with pytest.raises(DamageFound, match=f"{path.decode()}: data blob 1234"):
            target.put(Spoiled(files, path), lambda _: None)
    assert set(objects(site.outside, other)) == {"one/large", "large/one"}
    assert "Uploads" not in site.outside.list_multipart_uploads(Bucket=other)


def test_a_large_upload_outlives_faults_and_leaves_nothing_when_it_fails(
    site: BucketSite, large: bytes
) -> None:
    """Parts are sent again, a lost answer to the last request is none; a refusal aborts all."""
    site.put("large", large, ContentType="text/plain", Tagging="a=b")
    files = site.stored(site.back_up())
    other = site.server.make_bucket()
    with fault_proxy(site.server.http_endpoint) as proxy:
        client = client_of(site.server, endpoint_url=proxy.endpoint)
        refused = proxy.inject(
            Fault(kind="status", line="PUT .*partNumber=3", status=403, code="AccessDenied")
        )
        with pytest.raises(RestoreRefused, match=f"s3://{other}/p/large"):
            S3Target(client, other, "p").put(files, lambda _: None)
        assert refused.hits == 1
        assert "Uploads" not in site.outside.list_multipart_uploads(Bucket=other)
        assert not objects(site.outside, other)
        for line in ("POST .*uploads", "PUT .*partNumber=2", "POST .*uploadId"):
            proxy.inject(Fault(kind="lost reply", line=line))
        sent: list[int] = []
        S3Target(client, other, "p").put(files, sent.append)
    assert sum(sent) == len(large)
    [one] = objects(site.outside, other).values()
    assert one["body"] == large
    assert (one["ContentType"], one["tags"]) == ("text/plain", {"a": "b"})


def test_parts_that_cannot_be_aborted_are_told(
    site: BucketSite, large: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is that of the upload; the log says what is paid for until somebody removes it."""
    site.put("large", large)
    files = site.stored(site.back_up())
    other = site.server.make_bucket()
    with fault_proxy(site.server.http_endpoint) as proxy:
        client = client_of(site.server, endpoint_url=proxy.endpoint)
        for line in ("PUT .*partNumber=3", "DELETE .*uploadId"):
            proxy.inject(Fault(kind="status", line=line, status=403, code="AccessDenied"))
        with pytest.raises(RestoreRefused, match=f"s3://{other}/large"):
            S3Target(client, other, "").put(files, lambda _: None)
    assert f"s3://{other}/large: parts of an upload that failed are left behind" in caplog.text
    assert len(site.outside.list_multipart_uploads(Bucket=other)["Uploads"]) == 1


def test_memory_does_not_grow_with_an_object(site: BucketSite) -> None:
    """300 MiB are backed up and put back with seven packs, eight windows or parts, and buffers."""
    part, parts = Random(5).randbytes(30 * MIB), 10
    of = {"Bucket": site.bucket, "Key": f"{PREFIX}/huge"}
    upload = site.outside.create_multipart_upload(**of)["UploadId"]
    sent = [
        site.outside.upload_part(**of, UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number in range(1, parts + 1)
    ]
    listed = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(sent, 1)]
    site.outside.complete_multipart_upload(**of, UploadId=upload, MultipartUpload={"Parts": listed})
    other = site.server.make_bucket()
    tracemalloc.start(1)
    try:
        outcome = site.back_up()
        backed_up = tracemalloc.get_traced_memory()[1] / MIB
        tracemalloc.reset_peak()
        site.put_back(outcome, other)
        put_back = tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()
    assert outcome.details["bytes_read"] == parts * len(part)
    assert backed_up < 160
    assert put_back < 160
    body = site.outside.get_object(Bucket=other, Key="huge")["Body"]
    found, wanted = hashlib.sha256(), hashlib.sha256()
    while piece := body.read(4 * MIB):
        found.update(piece)
    for _ in range(parts):
        wanted.update(part)
    assert found.digest() == wanted.digest()


def test_small_objects_are_read_several_at_a_time(site: BucketSite) -> None:
    """All of them; ten thousand take half a minute to make, and pass as well."""
    count = 300
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: site.put(f"{n:05}", b""), range(count)))
    outcome = site.back_up()
    assert outcome.details["files"] == count
    assert json.loads(site.stored(outcome).about("manifest.json") or b"")["bucket"] == site.bucket


def test_what_would_be_replaced_is_told_and_what_was_restored_is_read_again(
    site: BucketSite,
) -> None:
    """A plan changes nothing; a part is compared with that part."""
    for key in ("one", "inner/two"):
        site.put(key, key.encode())
    outcome = site.back_up()
    other = site.server.make_bucket()
    target = S3Target(site.server.client(), other, "back")
    assert target.standing(site.stored(outcome)) == []
    site.outside.put_object(Bucket=other, Key="back/mine", Body=b"mine")
    with pytest.raises(RestoreRefused, match="holds objects"):
        target.standing(site.stored(outcome))
    over = S3Target(site.server.client(), other, "back", overwrite=True)
    [told] = over.standing(site.stored(outcome))
    assert told.endswith("holds objects: those of the same keys are replaced")

    def restored(wish: Order, **how: Any) -> str:
        aim = S3Target(site.server.client(), other, "back", overwrite=True, **how)
        return str(restore(site.setting(), "crm", aim, wish).details["compared"])

    wish = Order(address="x", requested_by="tests", compare=True, overwrites=True)
    assert restored(wish) == "2 objects"
    part = replace(wish, path="inner")
    assert restored(part, wanted=lambda path: path.startswith(b"inner")) == "1 object"
    with pytest.raises(RestoreRefused, match="1 difference: mine: was not in the recovery point"):
        restored(replace(wish, overwrites=False))


@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_objects_that_were_erased_do_not_come_back(site: BucketSite, kind: BucketKind) -> None:
    """With every version; what is beside them stays."""
    for key in ("people/ada/1", "people/ada/2", "people/bob"):
        site.put(key, key.encode())
    site.back_up()
    erased = Erased(paths=("people/ada",))
    register(site.setting(), "crm", ErasureOrder(erased=erased, requested_by="dpo", reason="17"))
    other = site.server.make_bucket(kind)
    for key in ("back/people/adam", "back/people/ada/3"):
        site.outside.put_object(Bucket=other, Key=key, Body=b"mine")
    target = S3Target(site.server.client(), other, "back", overwrite=True)
    outcome = restore(site.setting(), "crm", target, Order(address="x", requested_by="tests"))
    assert "1 erasure carried out again: 2 removed" in outcome.sentence
    found = site.outside.list_object_versions(Bucket=other)
    keys = {one["Key"] for one in [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]}
    assert keys == {"back/people/bob", "back/people/adam", "back/people/ada/3"}
