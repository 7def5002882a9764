"""Which code reads which kind of dataset."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from include.backup.policy.source_model import (
    EVERY,
    FilesystemSettings,
    MariadbSettings,
    PostgresqlSettings,
    S3Settings,
)
from include.backup.sources.filesystem import FilesystemSource
from include.backup.sources.slots import slot

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import Dataset
    from include.backup.policy.source_model import SourceSettings
    from include.backup.sources.base import Source
    from include.backup.sources.mariadb.source import MariadbSource
    from include.backup.sources.postgresql.source import PostgresSource
    from include.backup.sources.s3.source import S3Source


def open_source(setting: Setting, dataset: Dataset, source: SourceSettings) -> Source:
    """What reads a dataset. Nothing is read yet.

    Raises:
        ConfigurationInvalid: a connection that it needs is not configured, or not safe.
    """
    if isinstance(source, FilesystemSettings):
        return _filesystem(source)
    if isinstance(source, PostgresqlSettings):
        return open_postgresql(setting, dataset, source)
    if isinstance(source, MariadbSettings):
        return open_mariadb(setting, dataset, source)
    return _s3(setting, dataset, source)


def open_postgresql(
    setting: Setting, dataset: Dataset, source: PostgresqlSettings
) -> PostgresSource:
    """What reads databases of a PostgreSQL server.

    Raises:
        ConfigurationInvalid: see open_source.
    """
    from include.backup.sources.postgresql.address import Address  # noqa: PLC0415  heavy
    from include.backup.sources.postgresql.source import PostgresSource  # noqa: PLC0415  heavy

    connection = setting.connection(source.connection)
    address = Address.of(connection, insecure_reason=dataset.insecure_reason)
    folder = setting.state_folder / "slots"
    return PostgresSource(
        address, source, slot=partial(slot, folder, source.connection, connection.extra)
    )


def _filesystem(source: FilesystemSettings) -> FilesystemSource:
    return FilesystemSource(
        source.path,
        exclude=source.exclude,
        one_file_system=source.one_file_system,
        exclude_caches=source.exclude_caches,
        keep_changing=source.changing == "keep",
        skip_unreadable=source.unreadable == "skip",
    )


def _s3(setting: Setting, dataset: Dataset, source: S3Settings) -> S3Source:
    from include.backup.sources.s3.source import S3Source  # noqa: PLC0415  heavy

    return S3Source(
        setting.s3_client(source),
        source.bucket,
        source.prefix,
        exclude=source.exclude,
        with_tags=source.tags == "read",
        jobs=source.jobs,
        insecure_reason=dataset.insecure_reason,
    )


def open_mariadb(setting: Setting, dataset: Dataset, source: MariadbSettings) -> MariadbSource:
    """What reads databases of a MariaDB or MySQL server. Nothing is asked of it yet.

    Raises:
        ConfigurationInvalid: see open_source.
    """
    from include.backup.sources.mariadb.address import address_of  # noqa: PLC0415  PyMySQL
    from include.backup.sources.mariadb.source import MariadbSource  # noqa: PLC0415  PyMySQL

    return MariadbSource(
        address=address_of(
            source.connection,
            setting.connection(source.connection),
            insecure_reason=dataset.insecure_reason,
        ),
        databases=tuple(name for name in source.databases if name != EVERY),
        every=EVERY in source.databases,
        schema_only=source.schema_only,
        lock=source.non_transactional == "lock",
        jobs=source.jobs,
    )
