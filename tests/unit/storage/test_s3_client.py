"""Clients of S3: what is refused, and how uploads are signed. Nothing is sent."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSResponse

from include.backup.errors import ConfigurationInvalid
from include.backup.storage.s3 import S3Storage, open_s3
from include.backup.storage.s3_client import S3Access, is_unverified, make_client, sign_prehashed

KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "very secret", "region": "eu-west-1"}
BODY = b"some bytes"
SHA256 = hashlib.sha256(BODY)


def access(**more: Any) -> S3Access:
    return S3Access(**{**KEYS, **more})


def signed_upload(client: Any, **checksum: str) -> Any:
    """The request that an upload would send."""
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, None)

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Any:
            return iter((b"",))

    def answer_with_body(request: Any, **event: Any) -> AWSResponse:
        response = answer(request, **event)
        response.raw = Raw()
        return response

    client.meta.events.register("before-send.s3.PutObject", answer_with_body)
    client.put_object(Bucket="bucket", Key="key", Body=BODY, **checksum)
    return sent[0]


@pytest.mark.parametrize(
    ("endpoint", "verify", "told"),
    [
        ("https://vault.example.com", True, "sent over TLS"),
        ("", True, "sent over TLS"),
        ("http://127.0.0.1:9000", True, "sent over plain http within this machine"),
        ("http://vault.example.com", True, "sent over plain http (accepted: a lab)"),
        (
            "https://vault.example.com",
            False,
            "sent over TLS to a server that was not verified (accepted: a lab)",
        ),
    ],
)
def test_how_data_travels_is_told_by_what_the_client_does(
    endpoint: str, verify: bool, told: str
) -> None:
    """A reason that was stated is told only where it is needed."""
    here = access(endpoint_url=endpoint, verify=verify)
    storage = S3Storage(make_client(here), "bucket", insecure_reason="a lab")
    assert storage.transport == told


@pytest.mark.parametrize(
    ("endpoint", "verify"),
    [
        ("http://vault.example.com", True),
        ("http://10.0.0.7:9000", True),
        ("http://127.0.0.1.example.com", True),
        ("https://vault.example.com", False),
    ],
)
def test_an_unsafe_way_to_the_vault_is_refused(endpoint: str, verify: bool) -> None:
    """Clear text and unverified TLS need a stated reason."""
    here = access(endpoint_url=endpoint, verify=verify)
    with pytest.raises(ConfigurationInvalid, match="hint: use https"):
        open_s3("s3://bucket/vault", here)
    stated = open_s3("s3://bucket/vault", here, insecure_reason="lab network, ticket 12")
    assert stated.url == "s3://bucket/vault"


@pytest.mark.parametrize(
    ("endpoint", "verify"),
    [
        ("http://127.0.0.1:9000", True),
        ("http://[::1]:9000", True),
        ("http://localhost:9000", True),
        ("https://127.0.0.1:9000", False),
        ("https://vault.example.com", True),
        ("", True),
    ],
)
def test_a_safe_way_needs_no_reason(endpoint: str, verify: bool) -> None:
    """Loopback leaves the machine never; verified TLS, AWS included, is the rule."""
    open_s3("s3://bucket/vault", access(endpoint_url=endpoint, verify=verify))


def test_unverified_clients_are_recognised() -> None:
    """boto3 keeps this to itself; the day the place changes, this fails, and not the vault."""
    assert is_unverified(make_client(access(verify=False)))
    assert not is_unverified(make_client(access()))
    assert not is_unverified(make_client(access(verify="/etc/ssl/certs/ca-certificates.crt")))


@pytest.mark.parametrize(
    "url", ["file:///srv/vault", "s3:///prefix", "s3://bucket/../up", "s3://key:pw@bucket/x", "x"]
)
def test_other_addresses_are_refused(url: str) -> None:
    """An address names a bucket and a legal prefix, and carries no credentials."""
    with pytest.raises(ConfigurationInvalid):
        open_s3(url, access())


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed about an access holds no secret."""
    assert "very secret" not in repr(access(session_token="also very secret"))


def test_the_signer_covers_the_announced_digest() -> None:
    """Fails when botocore has no longer what the signer builds on: then uploads hash twice."""
    client = make_client(access())
    assert sign_prehashed(client), "botocore's S3SigV4Auth has moved or changed"
    announced = hashlib.sha256(b"other bytes, to see which digest is signed")
    request = signed_upload(
        client,
        ChecksumAlgorithm="SHA256",
        ChecksumSHA256=base64.b64encode(announced.digest()).decode(),
    )
    assert request.headers["X-Amz-Content-SHA256"] in {
        announced.hexdigest(),
        announced.hexdigest().encode(),
    }


def test_an_upload_without_a_digest_is_hashed_as_before() -> None:
    """The signer changes nothing where no digest is announced."""
    client = make_client(access())
    assert sign_prehashed(client)
    header = signed_upload(client).headers["X-Amz-Content-SHA256"]
    assert header in {SHA256.hexdigest(), SHA256.hexdigest().encode()}


def test_other_clients_sign_as_before() -> None:
    """Airflow's own clients in the same process are not touched."""
    standard = botocore.auth.AUTH_TYPE_MAPS["s3v4"]
    assert sign_prehashed(make_client(access()))
    assert botocore.auth.AUTH_TYPE_MAPS["s3v4"] is standard
    wrong = base64.b64encode(hashlib.sha256(b"wrong").digest()).decode()
    other = make_client(access())
    header = signed_upload(other, ChecksumAlgorithm="SHA256", ChecksumSHA256=wrong).headers[
        "X-Amz-Content-SHA256"
    ]
    assert header in {SHA256.hexdigest(), SHA256.hexdigest().encode()}


def test_without_the_signer_the_digest_is_checked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A botocore that has changed makes saves slower, not wrong."""
    monkeypatch.delitem(botocore.auth.AUTH_TYPE_MAPS, "s3v4")
    storage = S3Storage(make_client(access()), "bucket")
    assert not storage._prehashed
