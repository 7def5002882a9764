"""Which code reads which kind of dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.source_model import EVERY, FilesystemSettings, MariadbSettings
from include.backup.sources.filesystem import FilesystemSource

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import Dataset
    from include.backup.policy.source_model import SourceSettings
    from include.backup.sources.base import Source
    from include.backup.sources.connection import Connection
    from include.backup.sources.mariadb.source import MariadbSource


def open_source(setting: Setting, dataset: Dataset, source: SourceSettings) -> Source:
    """What reads a dataset. Nothing is read yet.

    Raises:
        ConfigurationInvalid: a connection that it needs is not configured.
    """
    if isinstance(source, FilesystemSettings):
        return _filesystem(source)
    if isinstance(source, MariadbSettings):
        return open_mariadb(source, setting.connection(source.connection))
    raise ConfigurationInvalid(f"{dataset.name}: sources of type {source.kind} are not built yet")


def _filesystem(source: FilesystemSettings) -> FilesystemSource:
    return FilesystemSource(
        source.path,
        exclude=source.exclude,
        one_file_system=source.one_file_system,
        exclude_caches=source.exclude_caches,
        keep_changing=source.changing == "keep",
        skip_unreadable=source.unreadable == "skip",
    )


def open_mariadb(source: MariadbSettings, connection: Connection) -> MariadbSource:
    """What reads databases of a MariaDB or MySQL server. Nothing is asked of it yet."""
    from include.backup.sources.mariadb.source import MariadbSource  # noqa: PLC0415  PyMySQL

    return MariadbSource(
        name=source.connection,
        connection=connection,
        databases=tuple(name for name in source.databases if name != EVERY),
        every=EVERY in source.databases,
        schema_only=source.schema_only,
        lock=source.non_transactional == "lock",
        jobs=source.jobs,
    )
