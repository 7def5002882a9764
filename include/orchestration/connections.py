"""Airflow's connections, as the engine wants them. Every secret is masked in the logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.backup.errors import ConfigurationInvalid
from include.backup.sources.connection import Connection

if TYPE_CHECKING:
    from include.backup.policy.dataset_model import KeySettings, VaultSettings
    from include.backup.storage.base import Storage
    from include.backup.storage.kms import Kms
    from include.backup.storage.s3_client import S3Client, S3Place


def connection(name: str) -> Connection:
    """The connection of that name.

    Raises:
        ConfigurationInvalid: Airflow knows none.
    """
    from airflow.sdk import BaseHook  # noqa: PLC0415  heavy
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError  # noqa: PLC0415

    try:
        found: Any = BaseHook.get_connection(name)
    except (AirflowException, AirflowRuntimeError, KeyError):
        raise ConfigurationInvalid(
            f"Airflow has no connection {name!r}",
            hint="add it in the UI, a secrets backend, or as AIRFLOW_CONN_" + name.upper(),
        ) from None
    _mask(found.password)
    extra = found.extra_dejson or {}
    for key, value in extra.items():
        if any(word in key.lower() for word in ("secret", "token", "password", "key")):
            _mask(value)
    return Connection(
        conn_type=found.conn_type or "",
        host=found.host or "",
        login=found.login or "",
        password=found.password or "",
        port=found.port,
        schema=found.schema or "",
        extra=extra,
    )


def open_storage(vault: VaultSettings) -> Storage:
    """Open the storage of a vault; a bucket through Airflow's own hook, with its roles.

    Raises:
        ConfigurationInvalid: its address or connection cannot be used.
    """
    if vault.local_path:
        from include.backup.storage.local import LocalStorage  # noqa: PLC0415  not while parsing

        # The repository hashes what it stores just before; twice is no safer.
        return LocalStorage(Path(vault.local_path), check_sha256=False)
    from include.backup.storage.s3 import S3Storage  # noqa: PLC0415  heavy
    from include.backup.vault.object_lock import governed_in, lock_mode_of  # noqa: PLC0415  same

    bucket, _, prefix = vault.url.removeprefix("s3://").partition("/")
    return S3Storage(
        s3_client(vault),
        bucket,
        prefix,
        lock_mode=lock_mode_of(vault),
        governed=governed_in(vault),
        insecure_reason=vault.insecure_reason,
        renew=lambda: s3_client(vault),  # the connection may have newer credentials
    )


def s3_client(place: S3Place) -> S3Client:
    """A client for a bucket, made by Airflow's own hook, with its roles.

    Raises:
        ConfigurationInvalid: Airflow has no such connection.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook  # noqa: PLC0415  heavy
    from botocore.config import Config  # noqa: PLC0415  heavy

    from include.backup.storage.s3_client import MOST_CONNECTIONS  # noqa: PLC0415  not parsing

    if place.connection:
        connection(place.connection)  # masks its secrets, and says so if it is not there
    hook = S3Hook(aws_conn_id=place.connection or None, region_name=place.region or None)
    endpoint = place.endpoint_url or hook.conn_config.get_service_endpoint_url("s3")
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=MOST_CONNECTIONS,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if endpoint else None,
    )
    # Not hook.get_conn(): the hook knows the address of the connection only, not the place's own.
    return hook.get_session(region_name=hook.region_name).client(
        "s3", endpoint_url=endpoint, config=config, verify=hook.verify
    )


def _mask(secret: object) -> None:
    from airflow.sdk.log import mask_secret  # noqa: PLC0415  heavy

    if isinstance(secret, str) and secret:
        mask_secret(secret)


def kms(key: KeySettings) -> Kms:
    """The KMS that a master key lies in, reached by Airflow's own hook, with its roles.

    Raises:
        ConfigurationInvalid: Airflow has no such connection.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook  # noqa: PLC0415  heavy

    from include.backup.storage.kms import checked  # noqa: PLC0415  not while parsing

    connection(key.connection)  # masks its secrets, and says so if it is not there
    hook: Any = AwsBaseHook(
        aws_conn_id=key.connection, client_type="kms", region_name=key.region or None
    )
    return checked(hook.get_conn())
