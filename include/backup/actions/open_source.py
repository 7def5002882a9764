"""Which code reads which kind of dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.source_model import FilesystemSettings, S3Settings
from include.backup.sources.filesystem import FilesystemSource
from include.backup.sources.s3.source import S3Source

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import Dataset
    from include.backup.policy.source_model import SourceSettings
    from include.backup.sources.base import Source


def open_source(setting: Setting, dataset: Dataset, source: SourceSettings) -> Source:
    """What reads a dataset. Nothing is read yet.

    Raises:
        ConfigurationInvalid: a connection that it needs is not configured.
    """
    if isinstance(source, FilesystemSettings):
        return _filesystem(source)
    if isinstance(source, S3Settings):
        return _s3(setting, dataset, source)
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


def _s3(setting: Setting, dataset: Dataset, source: S3Settings) -> S3Source:
    return S3Source(
        setting.s3_client(source),
        source.bucket,
        source.prefix,
        exclude=source.exclude,
        with_tags=source.tags == "read",
        jobs=source.jobs,
        insecure_reason=dataset.insecure_reason,
    )
