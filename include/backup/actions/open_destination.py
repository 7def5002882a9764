"""Where a recovery point is restored to: a directory, or a server by its connection."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_server import PREFIX, ServerOrder, open_server
from include.backup.errors import ConfigurationInvalid
from include.backup.sources.directory import Directory

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting
    from include.backup.sources.base import Destination, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A destination as people name it, and what may be done there; see ServerOrder."""

    to: str
    path: str = ""
    overwrite: bool = False
    into_source: str = ""
    owner: str | None = None
    jobs: int = 2
    statistics: bool = True

    @property
    def address(self) -> str:
        """For people, and for records."""
        return self.to if self.is_server else os.path.abspath(self.to)  # noqa: PTH100  without ..

    @property
    def is_server(self) -> bool:
        """Whether it is named by a connection."""
        return self.to.startswith(PREFIX)


def open_destination(setting: Setting, name: str, place: Place) -> Destination | Server:
    """What a dataset is restored to. Nothing is done there yet.

    Raises:
        ConfigurationInvalid: it is none, or must not be one.
    """
    if place.is_server:
        order = replace(
            ServerOrder.parse(place.to),
            pattern=place.path,
            overwrite=place.overwrite,
            into_source=place.into_source,
            owner=place.owner,
            jobs=place.jobs,
            statistics=place.statistics,
        )
        return open_server(DatasetVault.open_for_reading(setting, name), order)
    if place.owner is not None or place.into_source or not place.statistics:
        raise ConfigurationInvalid(
            "owner, statistics and into-source have no meaning for a directory"
        )
    folder = Path(place.address)
    _refuse_vault(setting, folder)
    _refuse_source(setting, folder)
    return Directory(folder, overwrite=place.overwrite)


def _refuse_source(setting: Setting, destination: Path) -> None:
    """Nothing is restored below live data: the next backup would take it along."""
    for dataset in setting.datasets.good.values():
        if not dataset.path:
            continue
        own = Path(dataset.path).resolve()
        if own in destination.resolve().parents:
            raise ConfigurationInvalid(
                f"{destination} lies in the dataset {dataset.name}, whose backups would hold it",
                hint="another directory; or that of the dataset itself, with overwrite",
            )


def _refuse_vault(setting: Setting, destination: Path) -> None:
    """Nothing is restored into a vault: what lies there is encrypted, and named by its content."""
    for vault in setting.datasets.vaults.values():
        if vault.local_path and destination.resolve().is_relative_to(
            Path(vault.local_path).resolve()
        ):
            raise ConfigurationInvalid(
                f"{destination} lies in the vault {vault.url}", hint="--to another directory"
            )
