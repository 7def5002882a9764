"""A bucket as Airflow opens it: through its own connection, on a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.dataset_model import VaultSettings
from include.backup.policy.source_model import S3Settings
from include.backup.sources.s3.examine import examine
from include.backup.sources.s3.source import S3Source
from include.orchestration.connections import open_storage, s3_client
from tests.integration.storage.test_s3_answers import Expiring
from tests.servers.fault_proxy import fault_proxy
from tests.servers.rgw import REGION, rgw  # noqa: F401 a fixture

if TYPE_CHECKING:
    from tests.servers.rgw import Rgw
    from tests.servers.rgw_cluster import User

pytestmark = pytest.mark.integration


def connect(
    monkeypatch: pytest.MonkeyPatch, server: Rgw, *, user: User | None = None, **extra: Any
) -> None:
    user = user or server.owner
    document = {
        "conn_type": "aws",
        "login": user.access_key,
        "password": user.secret_key,
        "extra": {"region_name": REGION, "verify": str(server.ca_path), **extra},
    }
    monkeypatch.setenv("AIRFLOW_CONN_BACKUP_VAULT", json.dumps(document))


@pytest.mark.parametrize("place", ["vault", "connection"])
def test_the_address_of_the_server_may_stand_in_the_vault_or_in_its_connection(
    rgw: Rgw,  # noqa: F811
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is saved lies on that server, and travels over TLS."""
    of_connection = {"endpoint_url": rgw.endpoint} if place == "connection" else {}
    connect(monkeypatch, rgw, **of_connection)
    bucket = rgw.make_bucket()
    vault = VaultSettings(
        name="primary",
        url=f"s3://{bucket}/vault",
        connection="backup_vault",
        endpoint_url=rgw.endpoint if place == "vault" else "",
    )
    storage = open_storage(vault)
    storage.save("a/file", b"content")
    listed = rgw.client().list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == ["vault/a/file"]
    assert storage.transport == "sent over TLS"


def test_a_connection_in_clear_is_refused_wherever_its_address_stands(
    rgw: Rgw,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The vault says nothing of http: the connection does."""
    connect(monkeypatch, rgw, endpoint_url="http://vault.example.com")
    vault = VaultSettings(name="primary", url="s3://bucket/vault", connection="backup_vault")
    with pytest.raises(ConfigurationInvalid, match="in clear"):
        open_storage(vault)


def test_a_bucket_that_is_read_is_reached_as_a_vault_is(
    rgw: Rgw,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through Airflow's connection, at the address that the dataset or the connection says."""
    bucket = rgw.make_bucket()
    rgw.client().put_object(Bucket=bucket, Key="p/one", Body=b"1")
    for of_connection, of_dataset in (
        ({"endpoint_url": rgw.endpoint}, ""),
        ({}, rgw.endpoint),
    ):
        connect(monkeypatch, rgw, **of_connection)
        settings = S3Settings(
            url=f"s3://{bucket}/p", connection="backup_vault", endpoint_url=of_dataset
        )
        source = S3Source(s3_client(settings), settings.bucket, settings.prefix)
        assert examine(source).startswith("listed and read, with tags")


def test_checksums_are_sent_only_where_required_whatever_the_connection_says(
    rgw: Rgw,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What boto3 adds of itself fails over TLS on older stores: SHA-256 is sent by us."""
    wanted = {"request_checksum_calculation": "when_supported", "retries": {"mode": "legacy"}}
    connect(monkeypatch, rgw, endpoint_url=rgw.endpoint, config_kwargs=wanted)
    vault = VaultSettings(name="primary", url="s3://bucket/vault", connection="backup_vault")
    config = s3_client(vault).meta.config
    assert config.request_checksum_calculation == "when_required"
    assert config.response_checksum_validation == "when_required"
    assert config.retries["mode"] == "standard"


def test_newer_credentials_of_the_connection_are_taken_when_the_old_ones_expire(
    rgw: Rgw,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is longer than a session goes on, if somebody has renewed the connection."""
    bucket = rgw.make_bucket()
    rgw.grant(bucket)
    weather = Expiring(rgw.owner.access_key)
    with fault_proxy(rgw.http_endpoint) as proxy:
        connect(monkeypatch, rgw, endpoint_url=proxy.endpoint)
        vault = VaultSettings(name="primary", url=f"s3://{bucket}/vault", connection="backup_vault")
        storage = open_storage(vault)
        storage.save("a/file", b"content")
        proxy.weather = weather
        connect(monkeypatch, rgw, user=rgw.role, endpoint_url=proxy.endpoint)
        storage.save("a/newer", b"content")
        assert storage.load("a/newer") == b"content"
    assert weather.refused == 1
