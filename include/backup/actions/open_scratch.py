"""Where restores of a dataset are tried, by what its source is and what is configured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.actions.open_server import BucketOf
from include.backup.errors import ConfigurationInvalid
from include.backup.policy.source_model import (
    FilesystemSettings,
    MariadbSettings,
    PostgresqlSettings,
    S3Settings,
)
from include.backup.quality.scratch_folder import FolderPlace

if TYPE_CHECKING:
    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.quality.scratch import ScratchPlace


def open_scratch(place: DatasetVault) -> ScratchPlace | None:
    """The place for a dataset's restores; None when none is configured for its kind.

    Raises:
        ConfigurationInvalid: it is no place for them.
    """
    places = place.setting.datasets.verification.places
    source = place.dataset.source
    if isinstance(source, FilesystemSettings) and "filesystem" in places:
        return _folder(place, Path(places["filesystem"]))
    if isinstance(source, PostgresqlSettings) and "postgresql" in places:
        return _postgresql(place, places["postgresql"])
    if isinstance(source, MariadbSettings) and "mariadb" in places:
        return _mariadb(place, places["mariadb"])
    if isinstance(source, S3Settings) and "s3" in places:
        return _bucket(place, places["s3"])
    return None


def _postgresql(place: DatasetVault, connection: str) -> ScratchPlace:
    from include.backup.quality.scratch_postgresql import PostgresPlace  # noqa: PLC0415  heavy
    from include.backup.sources.postgresql.address import Address  # noqa: PLC0415  heavy

    found = place.setting.connection(connection)
    address = Address.of(found, insecure_reason=place.dataset.insecure_reason)
    return PostgresPlace(address, connection)


def _mariadb(place: DatasetVault, connection: str) -> ScratchPlace:
    from include.backup.quality.scratch_mariadb import MariadbPlace  # noqa: PLC0415  PyMySQL
    from include.backup.sources.mariadb.address import address_of  # noqa: PLC0415  PyMySQL

    found = place.setting.connection(connection)
    reason = place.dataset.insecure_reason
    return MariadbPlace(address_of(connection, found, insecure_reason=reason), connection)


def _bucket(place: DatasetVault, text: str) -> ScratchPlace:
    from include.backup.quality.scratch_bucket import BucketPlace  # noqa: PLC0415  heavy

    connection, bucket, prefix = text.split("/", 2)
    return BucketPlace(
        place.setting.s3_client(BucketOf(connection)),
        bucket,
        prefix,
        connection=connection,
        insecure_reason=place.dataset.insecure_reason,
    )


def _folder(place: DatasetVault, folder: Path) -> FolderPlace:
    """A directory, unless backups would hold what is restored there, or it is a vault."""
    datasets = place.setting.datasets
    taken = {one.path: f"dataset {one.name}" for one in datasets.good.values() if one.path}
    taken |= {
        one.local_path: f"vault {one.name}" for one in datasets.vaults.values() if one.local_path
    }
    here = os.path.realpath(folder)
    for path, what in taken.items():
        there = os.path.realpath(path)
        if os.path.commonpath([here, there]) in {here, there}:
            raise ConfigurationInvalid(
                f"verification.filesystem, {folder}, and {what} lie inside one another",
                hint="name a directory of its own, on an encrypted disk",
            )
    return FolderPlace(folder)
