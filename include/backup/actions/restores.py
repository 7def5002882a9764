"""Every restoration that ledgers know of, and the document about one (4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.restoration import restorations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.setting import Setting
    from include.backup.evidence.restoration import Restoration


def restores(setting: Setting, names: Sequence[str]) -> list[Restoration]:
    """The restorations of datasets, the newest first.

    Raises:
        DatasetInvalid: there is no such dataset.
        LedgerBroken, StorageError.
    """
    found: list[Restoration] = []
    for name in names:
        place = DatasetVault.open_for_reading(setting, name)
        records = place.ledger.read()
        found += restorations(records, dataset=name, data_class=place.data_class.name)
    return sorted(found, key=lambda one: one.asked_at, reverse=True)


def restoration(setting: Setting, name: str, *, act: str) -> Restoration:
    """One of them, by the beginning of the id of its request, or of one of its acts.

    Raises:
        ConfigurationInvalid: there is none, or more than one.
        LedgerBroken, StorageError.
    """
    found = [
        one
        for one in restores(setting, [name])
        if any(id_.startswith(act) for id_ in (one.id, *(record.act for record in one.records)))
    ]
    if len(found) != 1:
        raise ConfigurationInvalid(
            f"{len(found) or 'no'} restores of {name} begin with {act!r}",
            hint=f"holdfast restores {name}",
        )
    return found[0]
