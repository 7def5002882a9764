"""A bucket as Airflow opens it: through its own connection, on a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.dataset_model import VaultSettings
from include.backup.policy.source_model import S3Settings
from include.backup.sources.s3.examine import examine
from include.backup.sources.s3.source import S3Source
from include.orchestration.connections import open_storage, s3_client
from tests.servers.rgw import REGION, rgw  # noqa: F401 a fixture

if TYPE_CHECKING:
    from tests.servers.rgw import Rgw

pytestmark = pytest.mark.integration


def connect(monkeypatch: pytest.MonkeyPatch, server: Rgw, **extra: str) -> None:
    document = {
        "conn_type": "aws",
        "login": server.owner.access_key,
        "password": server.owner.secret_key,
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
