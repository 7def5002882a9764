"""The setting of a command: files of the configuration folder, environment, clock.

Connections come from where Airflow takes them too: ``AIRFLOW_CONN_<NAME>`` as JSON or as a URI.
"""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from include.backup.actions.seen import Seen
from include.backup.actions.setting import Setting
from include.backup.errors import ConfigurationInvalid
from include.backup.policy.datasets import load_datasets
from include.backup.policy.expectations import load_expectations
from include.backup.policy.load import CONFIG_FOLDER, load_policy
from include.backup.policy.people import load_people
from include.backup.sources.connection import Connection
from include.backup.storage.local import LocalStorage
from include.backup.storage.retry import Patience
from include.backup.vault.object_lock import governed_in, lock_mode_of

if TYPE_CHECKING:
    from include.backup.policy.dataset_model import KeySettings, VaultSettings
    from include.backup.policy.model import Policy
    from include.backup.storage.base import Storage
    from include.backup.storage.kms import Kms
    from include.backup.storage.s3_client import S3Access, S3Client, S3Place

CONFIG_VARIABLE: Final = "HOLDFAST_CONFIG"
STATE_VARIABLE: Final = "HOLDFAST_STATE"
# Somebody is waiting: a mistyped host name should not take the 15 minutes a nightly run would.
_PATIENCE: Final = timedelta(minutes=2)
# A try takes as long as its longest silence, and the last one begins before the patience ends.
_HURRIED_PATIENCE: Final = timedelta(seconds=8)
_HURRIED_CONNECT_SECONDS: Final = 5.0
_HURRIED_READ_SECONDS: Final = 10.0


def now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)  # noqa: TID251  the command line is where clocks are read


def config_folder(option: str | None) -> Path:
    """The folder of the configuration: the option, the environment, or the project's own."""
    return Path(option or os.environ.get(CONFIG_VARIABLE) or CONFIG_FOLDER)


def state_folder() -> Path:
    """Where this machine keeps records that wait for the vault."""
    if chosen := os.environ.get(STATE_VARIABLE):
        return Path(chosen)
    if home := os.environ.get("AIRFLOW_HOME"):
        return Path(home) / "holdfast"
    return Path.home() / ".local" / "state" / "holdfast"


def load_setting(
    config: Path, *, owner: str = "", policy: Policy | None = None, warnings: tuple[str, ...] = ()
) -> Setting:
    """Read the configuration.

    Args:
        policy: the one in force, if it is not to be that of policy.yaml.
        warnings: what every sentence has to say besides.

    Raises:
        ConfigurationInvalid: policy.yaml or datasets.yaml cannot be used at all.
    """
    policy = policy or load_policy(config / "policy.yaml")
    datasets = load_datasets(
        [data_class.name for data_class in policy.classes],
        config / "datasets.yaml",
        established=partial(Seen.established, state_folder()),
    )
    return Setting(
        policy=policy,
        datasets=datasets,
        connection=connection,
        open_storage=open_storage,
        s3_client=s3_client,
        kms=kms,
        state_folder=state_folder(),
        clock=now,
        owner=owner or f"cli/{user()}",
        warnings=warnings,
        expectations=partial(load_expectations, config / "expectations"),
        people=partial(load_people, config),
    )


def connection(name: str) -> Connection:
    """The connection of that name, from the environment.

    Raises:
        ConfigurationInvalid: it is not there, or neither JSON nor a URI.
    """
    variable = f"AIRFLOW_CONN_{name.upper()}"
    if not (text := os.environ.get(variable)):
        raise ConfigurationInvalid(
            f"there is no connection {name!r}",
            hint=f"set {variable}: if it is a key, read in the file that holds yours "
            "(. ./keys.env), for `holdfast init` makes new ones for a new vault only; for other "
            "connections see SOURCES.md",
        )
    try:
        return _of_json(text) if text.lstrip().startswith("{") else _of_uri(text)
    except (ValueError, TypeError, AttributeError):
        # What it holds is a secret and stays out of the message, and of its cause.
        raise ConfigurationInvalid(
            f"{variable} is neither JSON nor a URI", hint='{"conn_type": "…", "password": "…"}'
        ) from None


def open_storage(vault: VaultSettings, *, hurried: bool = False) -> Storage:
    """Open the storage of a vault.

    Args:
        hurried: give a bucket that does not answer some 15 seconds, not minutes.

    Raises:
        ConfigurationInvalid: its address or connection cannot be used.
    """
    if vault.local_path:
        # The repository hashes what it stores just before; twice is no safer.
        return LocalStorage(Path(vault.local_path), check_sha256=False)
    from include.backup.storage.s3 import open_s3  # noqa: PLC0415  boto3 is heavy

    return open_s3(
        vault.url,
        _access(vault, hurried=hurried),
        lock_mode=lock_mode_of(vault),
        governed=governed_in(vault),
        insecure_reason=vault.insecure_reason,
        patience=patience(hurried=hurried),
    )


def patience(*, hurried: bool = False) -> Patience:
    """How long a bucket is waited for that does not answer."""
    return Patience(deadline=_HURRIED_PATIENCE if hurried else _PATIENCE)


def s3_client(place: S3Place, *, hurried: bool = False) -> S3Client:
    """A client for a bucket, with the credentials of its connection.

    Raises:
        ConfigurationInvalid: the connection cannot be used.
    """
    from include.backup.storage.s3_client import make_client  # noqa: PLC0415  see above

    return make_client(_access(place, hurried=hurried))


def kms(key: KeySettings) -> Kms:
    """The KMS that a master key lies in.

    Raises:
        ConfigurationInvalid: the connection cannot be used.
    """
    from include.backup.storage.kms import make_kms  # noqa: PLC0415  boto3 is heavy

    return make_kms(s3_access(key, connection(key.connection)))


def _access(place: S3Place, *, hurried: bool) -> S3Access:
    access = s3_access(place, connection(place.connection) if place.connection else Connection())
    if not hurried:
        return access
    return replace(
        access,
        attempts=1,
        connect_seconds=_HURRIED_CONNECT_SECONDS,
        read_seconds=_HURRIED_READ_SECONDS,
    )


def s3_access(place: S3Place, of: Connection) -> S3Access:
    """How a connection of Airflow's type ``aws`` reaches a store."""
    from include.backup.storage.s3_client import S3Access  # noqa: PLC0415  see above

    extra = of.extra
    return S3Access(
        access_key=of.login,
        secret_key=of.password,
        session_token=str(extra.get("aws_session_token", "")),
        region=place.region or str(extra.get("region_name", "")),
        endpoint_url=place.endpoint_url or str(extra.get("endpoint_url", "")),
        verify=_verify(extra.get("verify", os.environ.get("AWS_CA_BUNDLE") or True)),
        profile=str(extra.get("profile_name", "")),
        addressing_style="path" if extra.get("endpoint_url") or place.endpoint_url else "auto",
    )


def _verify(value: object) -> str | bool:
    if isinstance(value, str) and value.lower() not in {"true", "false"}:
        return value
    return str(value).lower() != "false"


def _of_json(text: str) -> Connection:
    fields = json.loads(text)
    extra = fields.get("extra") or {}
    return Connection(
        conn_type=str(fields.get("conn_type", "")),
        host=str(fields.get("host") or ""),
        login=str(fields.get("login") or ""),
        password=str(fields.get("password") or ""),
        port=int(fields["port"]) if fields.get("port") else None,
        schema=str(fields.get("schema") or ""),
        extra=json.loads(extra) if isinstance(extra, str) else dict(extra),
    )


def _of_uri(text: str) -> Connection:
    split = urlsplit(text)
    if not split.scheme:
        raise ValueError(text)
    query = dict(parse_qsl(split.query))
    extra = json.loads(query.pop("__extra__")) if "__extra__" in query else query
    return Connection(
        conn_type=split.scheme,
        host=unquote(split.hostname or ""),
        login=unquote(split.username or ""),
        password=unquote(split.password or ""),
        port=split.port,
        schema=unquote(split.path.lstrip("/")),
        extra=extra,
    )


def user() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in this container
        return str(os.getuid())
