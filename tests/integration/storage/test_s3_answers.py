"""Answers of a store that were spoiled on the way, and credentials that expire meanwhile."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import AccessRefused, FileLocked, NameTaken, StorageUnreachable
from include.backup.storage.retry import Patience
from include.backup.storage.s3 import S3Storage
from include.backup.storage.s3_pages import require_complete
from tests.integration.storage.test_s3_faults import config
from tests.servers.fault_proxy import Fault, FaultProxy, fault_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.rgw import Rgw

pytestmark = pytest.mark.integration
PATIENCE = Patience(first_wait=timedelta(milliseconds=1), deadline=timedelta(seconds=2))
PLACES = [number / 40 for number in range(40)]  # of a flipped byte in an answer


@pytest.fixture
def proxy(rgw: Rgw) -> Iterator[FaultProxy]:
    """What lies between."""
    with fault_proxy(rgw.http_endpoint) as running:
        yield running


def storage(rgw: Rgw, proxy: FaultProxy, bucket: str, **options: Any) -> S3Storage:
    """A storage behind the proxy, of which boto3 tries once."""
    client = rgw.client(endpoint_url=proxy.endpoint, config=config(1))
    return S3Storage(client, bucket, "v", patience=PATIENCE, **options)


@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_a_flipped_listing_is_asked_for_again_or_as_long(
    rgw: Rgw, proxy: FaultProxy, kind: Any
) -> None:
    """What boto3 cannot read is no traceback; what is not complete is not taken."""
    bucket = rgw.make_bucket(kind)
    direct = S3Storage(rgw.client(), bucket, "v")
    for number in range(3):
        direct.save(f"ledger/{number}", b"x")
    for place in PLACES:
        ours = storage(rgw, proxy, bucket)
        ours.stat("ledger/0")  # has asked for the versions
        proxy.inject(Fault(kind="flip reply", line="GET .*prefix=v%2Fledger%2F&|GET .*ledger%2F ",
                           place=place))  # fmt: skip
        found = list(ours.list("ledger/"))
        assert len(found) == 3 or kind == "versioned", place
        proxy.clear()


def test_a_flipped_answer_makes_no_deletion_of_a_refusal(rgw: Rgw, proxy: FaultProxy) -> None:
    """A file that is locked was not deleted, whatever becomes of the answer that says so."""
    bucket = rgw.make_bucket("locked")
    ours = storage(rgw, proxy, bucket, lock_mode="GOVERNANCE")
    until = datetime.now(UTC) + timedelta(hours=1)
    ours.save("packs/one", b"x", locked_until=until)
    for place in PLACES:
        fault = proxy.inject(Fault(kind="flip reply", line="POST .*delete", place=place))
        with pytest.raises(AccessRefused):
            ours.delete(["packs/one"])
        assert fault.hits == 1
    assert ours.load("packs/one") == b"x"


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"IsTruncated": False, "KeyCount": 2, "Contents": [{"Key": "v/1", "Size": 1}]},
        {"IsTruncated": False, "Versions": [{"Key": "v/1", "Size": 1, "LastModified": 1}]},
        {"IsTruncated": False, "DeleteMarkers": [{"VersionId": "1", "LastModified": 1}]},
        {"IsTruncated": False, "CommonPrefixes": [{}]},
        {
            "IsTruncated": False,
            "KeyCount": 2,
            "Contents": [{"Key": "v/1", "Size": 1, "LastModified": 1}],
        },
        {
            "IsTruncated": False,
            "KeyCount": 1,
            "Contents": [{"Key": "w/1", "Size": 1, "LastModified": 1}],
        },
    ],
)
def test_a_page_that_is_silent_about_something_is_none(page: dict[str, Any]) -> None:
    """Silence is never read as absence: neither of more pages nor of an entry."""
    with pytest.raises(StorageUnreachable, match="not complete"):
        require_complete(page, "the listing", "v/")


class Expiring:
    """The weather in which some keys expire, from a request on that begins as is said."""

    def __init__(self, *keys: str, begin: bytes = b"") -> None:
        self.expired = set(keys)
        self.refused = 0
        self._begin = begin

    def __call__(self, head: bytes) -> Fault | None:
        """Refuse who signs with one of them."""
        if not self.refused and not head.startswith(self._begin):
            return None
        signed = re.search(rb"Credential=([^/]+)/", head)
        if signed is None or signed[1].decode() not in self.expired:
            return None
        self.refused += 1
        return Fault(kind="status", line="", status=400, code="ExpiredToken")


@pytest.mark.parametrize("begin", [b"GET ", b"PUT ", b"HEAD ", b"POST "])
def test_credentials_that_expire_are_renewed_once(
    rgw: Rgw, proxy: FaultProxy, begin: bytes
) -> None:
    """The connection is asked anew, whatever was asked for, and what failed is done again."""
    bucket = rgw.make_bucket("locked")
    rgw.grant(bucket)
    renewed: list[str] = []

    def renew() -> Any:
        renewed.append("once")
        return rgw.client(rgw.role, endpoint_url=proxy.endpoint, config=config(1))

    ours = storage(rgw, proxy, bucket, renew=renew, lock_mode="GOVERNANCE")
    ours.save("before", b"x")
    proxy.weather = weather = Expiring(rgw.owner.access_key, begin=begin)
    ours.save("ledger/1", b"record", locked_until=datetime.now(UTC) + timedelta(hours=1))
    assert ours.load("before") == b"x"
    assert [info.name for info in ours.list()] == ["before", "ledger/1"]
    ours.delete(["before"])
    assert renewed == ["once"]
    assert weather.refused  # boto3 looks for the region of a bucket once more after a HEAD


def test_a_lock_is_named_though_credentials_expire(rgw: Rgw, proxy: FaultProxy) -> None:
    """Who may not look at a lock any more has not seen that there is none."""
    bucket = rgw.make_bucket("locked")
    again = {"renew": lambda: rgw.client(rgw.role, endpoint_url=proxy.endpoint, config=config(1))}
    rgw.grant(bucket)
    ours = storage(rgw, proxy, bucket, lock_mode="GOVERNANCE", **again)
    ours.save("packs/one", b"x", locked_until=datetime.now(UTC) + timedelta(hours=1))
    proxy.weather = weather = Expiring(rgw.owner.access_key, begin=b"HEAD ")
    with pytest.raises(FileLocked, match=r"packs/one in .* is locked until"):
        ours.delete(["packs/one"])
    assert weather.refused  # boto3 looks for the region of a bucket once more after a HEAD


@pytest.mark.parametrize("renews", [False, True])
def test_credentials_that_stay_expired_are_an_answer(
    rgw: Rgw, proxy: FaultProxy, *, renews: bool
) -> None:
    """One that renews asks twice, one that cannot asks once; the hint says what to do."""
    bucket = rgw.make_bucket()
    again = {"renew": lambda: rgw.client(endpoint_url=proxy.endpoint, config=config(1))}
    ours = storage(rgw, proxy, bucket, **(again if renews else {}))
    proxy.weather = weather = Expiring(rgw.owner.access_key)
    with pytest.raises(AccessRefused, match="ExpiredToken; hint: renew the credentials"):
        ours.save("ledger/1", b"record")
    assert weather.refused == 1 + renews


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("lost reply", "PUT .*ledger"),
        ("status", "GET .*versions.*ledger"),
        ("status", "HEAD .*ledger"),
        ("hang", "HEAD .*ledger"),
    ],
)
@pytest.mark.parametrize("named_by_hash", [False, True])
def test_a_save_that_is_doubtful_leaves_one_version(
    rgw: Rgw, proxy: FaultProxy, kind: Any, line: str, *, named_by_hash: bool
) -> None:
    """A store that keeps versions may know no condition: what is there is not sent once more.

    Else the second version, which a lock keeps, would look like somebody's tampering; and the
    first, which is ours, like another's.
    """
    bucket = rgw.make_bucket("locked")
    client = rgw.client(endpoint_url=proxy.endpoint, config=config(1, read_seconds=1))
    ours = S3Storage(client, bucket, "v", patience=PATIENCE, lock_mode="GOVERNANCE")
    until = datetime.now(UTC) + timedelta(hours=1)
    name = f"ledger/{hashlib.sha256(b'record').hexdigest() if named_by_hash else '1'}"
    fault = proxy.inject(Fault(kind=kind, line=line))
    ours.save(name, b"record", sha256=hashlib.sha256(b"record").digest(), locked_until=until)
    if not (named_by_hash and line.startswith("GET")):  # a hash needs no second look
        assert fault.hits == 1
    direct = S3Storage(rgw.client(), bucket, "v")
    assert direct.load(name) == b"record"
    assert list(direct.tampering()) == []
    with pytest.raises(NameTaken):
        ours.save(name, b"another's")
