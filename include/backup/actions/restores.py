"""Every restoration that ledgers know of, and the document about one (4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.restoration import restorations
from include.backup.vault.layout import dataset_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.setting import Setting
    from include.backup.evidence.restoration import Restoration


def every_dataset(setting: Setting, *, only: str = "") -> tuple[list[str], dict[str, str]]:
    """The names of all that is listed, and of all that a vault holds, listed or not.

    Args:
        only: a single one; empty: all of them.

    Returns:
        The names; and why a vault cannot be asked, by its name.
    """
    silent: dict[str, str] = {}
    if only:
        return [only], silent
    names = set(setting.datasets.good)
    for vault in setting.datasets.vaults.values():
        try:
            names |= set(dataset_names(setting.open_storage(vault)))
        except BackupError as error:
            silent[vault.name] = str(error)
    return sorted(names), silent


def restores(setting: Setting, names: Sequence[str]) -> tuple[list[Restoration], dict[str, str]]:
    """The restorations of datasets, the newest first.

    Returns:
        These; and why a ledger cannot be read, by its dataset.
    """
    found: list[Restoration] = []
    silent: dict[str, str] = {}
    for name in names:
        try:
            found += _of(setting, name)
        except BackupError as error:
            silent[name] = str(error)
    return sorted(found, key=lambda one: one.asked_at, reverse=True), silent


def restoration(setting: Setting, name: str, *, act: str) -> Restoration:
    """One of them, by the beginning of the id of its request, or of one of its acts.

    Raises:
        ConfigurationInvalid: there is none, or more than one.
        DatasetInvalid, LedgerBroken, StorageError.
    """
    found = [
        one
        for one in _of(setting, name)
        if any(id_.startswith(act) for id_ in (one.id, *(record.act for record in one.records)))
    ]
    if len(found) != 1:
        raise ConfigurationInvalid(
            f"{len(found) or 'no'} restores of {name} begin with {act!r}",
            hint=f"holdfast restores {name}",
        )
    return found[0]


def _of(setting: Setting, name: str) -> list[Restoration]:
    place = DatasetVault.open_for_reading(setting, name)
    records = place.ledger.read()
    return restorations(records, dataset=name, data_class=place.data_class.name)
