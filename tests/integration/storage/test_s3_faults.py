"""An S3 storage behind a network that spoils requests and answers."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config

from include.backup.errors import (
    AccessRefused,
    DamageFound,
    FileAbsent,
    NameTaken,
    StorageFull,
    StorageUnreachable,
)
from include.backup.storage.retry import Patience
from include.backup.storage.s3 import S3Storage
from tests.servers.fault_proxy import Fault, FaultProxy, Kind, fault_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.rgw import Rgw

pytestmark = pytest.mark.integration

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A storage whose every request goes through the proxy, and one that goes past it."""

    storage: S3Storage
    direct: S3Storage
    proxy: FaultProxy
    server: Rgw
    bucket: str

    def requests(self, line: str) -> int:
        """How many requests of that beginning came by."""
        return sum(seen.startswith(line) for seen in self.proxy.seen)


def config(attempts: int, *, read_seconds: float = 60) -> Config:
    return Config(
        read_timeout=read_seconds,
        s3={"addressing_style": "path"},
        retries={"mode": "standard", "total_max_attempts": attempts},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


@pytest.fixture(params=["prehashed", "plain signer"])
def line(request: pytest.FixtureRequest, rgw: Rgw) -> Iterator[Line]:
    """boto3 tries once: what is retried is retried by us."""
    bucket = rgw.make_bucket()
    with fault_proxy(rgw.http_endpoint) as proxy:
        client = rgw.client(endpoint_url=proxy.endpoint, config=config(1))
        patience = Patience(first_wait=timedelta(milliseconds=1), deadline=timedelta(seconds=2))
        prehashed = request.param == "prehashed"
        yield Line(
            storage=S3Storage(client, bucket, "v", patience=patience, prehashed=prehashed),
            direct=S3Storage(rgw.client(), bucket, "v"),
            proxy=proxy,
            server=rgw,
            bucket=bucket,
        )


@pytest.mark.parametrize(
    "kind", ["status", "reset before", "reset mid body", "lost reply", "flip request"]
)
def test_a_save_outlives_faults_on_the_way(line: Line, kind: Kind) -> None:
    """Whatever spoils a save twice, the third try stores the right bytes and reports success."""
    fault = line.proxy.inject(Fault(kind=kind, line="PUT ", times=2))
    line.storage.save("packs/one", BODY, sha256=SHA256)
    assert fault.hits == 2
    assert line.direct.load("packs/one") == BODY


@pytest.mark.parametrize("kind", ["status", "reset before", "lost reply", "short reply"])
@pytest.mark.parametrize("part", [{}, {"offset": 1000, "length": 5000}, {"offset": 77}])
def test_a_load_outlives_faults_on_the_way(line: Line, kind: Kind, part: dict[str, int]) -> None:
    """A body cut short is asked for again, whole."""
    line.direct.save("packs/one", BODY)
    fault = line.proxy.inject(Fault(kind=kind, line="GET .*packs", times=2))
    begin, length = part.get("offset", 0), part.get("length", len(BODY))
    assert line.storage.load("packs/one", **part) == BODY[begin:][:length]
    assert fault.hits == 2


@pytest.mark.parametrize("kind", ["status", "reset before", "lost reply"])
def test_listing_and_deleting_outlive_faults_on_the_way(line: Line, kind: Kind) -> None:
    """A lost answer to a deletion is no failure, and a list is never cut short in silence."""
    for number in range(3):
        line.direct.save(f"locks/{number}", b"x")
    line.proxy.inject(Fault(kind=kind, line="GET .*list-type", times=2))
    assert len(list(line.storage.list("locks/"))) == 3
    line.proxy.inject(Fault(kind=kind, line="POST .*delete", times=2))
    line.storage.delete(["locks/0", "locks/1"])
    assert [info.name for info in line.direct.list()] == ["locks/2"]


def test_a_lost_reply_is_told_from_a_conflict(line: Line) -> None:
    """Taken means ours after a lost reply, and another's if the bytes are another's."""
    fault = line.proxy.inject(Fault(kind="lost reply", line="PUT "))
    line.storage.save("ledger/1", b"our record")
    assert fault.hits == 1
    assert line.requests("PUT ") == 2
    line.direct.save("ledger/2", b"their recor")
    line.proxy.inject(Fault(kind="reset before", line="PUT "))
    with pytest.raises(NameTaken):
        line.storage.save("ledger/2", b"our records")
    assert line.direct.load("ledger/2") == b"their recor"


@pytest.mark.parametrize("size_bytes", [100, 3 << 20])
def test_bytes_of_the_same_length_are_compared(line: Line, size_bytes: int) -> None:
    """Equal size is not equality, for small files and for large ones."""
    line.direct.save("packs/one", b"a" * size_bytes)
    with pytest.raises(NameTaken):
        line.storage.save("packs/one", b"b" * size_bytes)
    line.storage.save("packs/one", b"a" * size_bytes)  # saving the very same again is safe


def test_a_bit_flipped_on_the_way_is_never_stored(line: Line) -> None:
    """The server refuses what does not match the digest; nothing wrong is ever visible."""
    fault = line.proxy.inject(Fault(kind="flip request", line="PUT ", times=10_000))
    with pytest.raises(StorageUnreachable, match=r"damaged on the way .* tries"):
        line.storage.save("packs/one", BODY, sha256=SHA256)
    assert fault.hits > 2
    assert list(line.direct.list()) == []


def test_bytes_spoiled_before_they_leave_are_damage(line: Line) -> None:
    """Memory that fails after the digest was made is damage: retrying cannot help."""
    spoiled = bytearray(3 << 20)
    digest = hashlib.sha256(spoiled).digest()
    spoiled[1 << 20] ^= 1
    with pytest.raises(DamageFound):
        line.storage.save("packs/one", spoiled, sha256=digest)
    assert line.requests("PUT ") <= 1
    assert list(line.direct.list()) == []


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AccessDenied", AccessRefused),
        (403, "InvalidAccessKeyId", AccessRefused),
        (400, "ExpiredToken", AccessRefused),
        (404, "NoSuchBucket", AccessRefused),
        (403, "QuotaExceeded", StorageFull),
        (507, "InsufficientStorage", StorageFull),
    ],
)
def test_an_answer_is_not_asked_for_again(
    line: Line, status: int, code: str, error: type[Exception]
) -> None:
    """Refused and full are answers: one request, and the error that says so."""
    line.proxy.inject(Fault(kind="status", line="PUT ", status=status, code=code, times=99))
    with pytest.raises(error, match=code):
        line.storage.save("packs/one", BODY)
    assert line.requests("PUT ") == 1


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
def test_a_write_in_progress_is_waited_for(line: Line, code: str) -> None:
    """409 says that another request for the name is not decided yet."""
    line.proxy.inject(Fault(kind="status", line="PUT ", status=409, code=code, times=2))
    line.storage.save("leases/1", b"x")
    assert line.direct.load("leases/1") == b"x"


def test_a_wrong_clock_is_tried_twice_and_named(line: Line) -> None:
    """A skewed clock is not waited out, and the hint says what to do."""
    skewed = Fault(kind="status", line="PUT ", status=403, code="RequestTimeTooSkewed", times=99)
    line.proxy.inject(skewed)
    with pytest.raises(StorageUnreachable, match="hint: set the clock"):
        line.storage.save("packs/one", BODY)
    assert skewed.hits == 2


def test_a_missing_bucket_is_not_an_absent_file(line: Line) -> None:
    """HEAD answers both with 404; concluding absence would begin a new vault beside the old."""
    lost = S3Storage(line.server.client(), "no-such-bucket-here", "v")
    for ask in (
        lambda: lost.stat("config"),
        lambda: lost.load("config"),
        lambda: list(lost.list()),
        lambda: lost.save("config", b"x"),
    ):
        with pytest.raises(AccessRefused, match="NoSuchBucket"):
            ask()
    with pytest.raises(FileAbsent):
        line.storage.stat("config")


def test_an_unreachable_store_is_given_up_at_the_deadline(rgw: Rgw) -> None:
    """Nothing listening ends as unreachable, in time, and never as absent."""
    with fault_proxy(rgw.http_endpoint) as proxy:
        client = rgw.client(endpoint_url=proxy.endpoint, config=config(1))
    patience = Patience(first_wait=timedelta(milliseconds=20), deadline=timedelta(seconds=0.3))
    storage = S3Storage(client, "any", patience=patience)
    begun = time.monotonic()
    for ask in (
        lambda: storage.load("config"),
        lambda: storage.stat("config"),
        lambda: list(storage.list()),
    ):
        with pytest.raises(StorageUnreachable):
            ask()
    assert time.monotonic() - begun < 5


def test_damage_on_the_way_back_is_for_the_reader_to_find(line: Line) -> None:
    """Over plain http a flipped bit arrives: readers compare every id, and TLS is the rule."""
    line.direct.save("packs/one", BODY)
    line.proxy.inject(Fault(kind="flip reply", line="GET .*packs"))
    first, second = line.storage.load("packs/one"), line.storage.load("packs/one")
    assert hashlib.sha256(first).digest() != SHA256
    assert second == BODY
