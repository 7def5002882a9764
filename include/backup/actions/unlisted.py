"""Datasets that a vault holds and no valid entry of datasets.yaml names.

Whoever mistypes an entry, renames or removes it must not lose the way back: what can be read is
read by the name in the vault, and judged by the class that its ledger remembers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions.configuration import kept_policies
from include.backup.errors import ConfigurationInvalid, StorageError
from include.backup.evidence.ledger import Ledger
from include.backup.policy.dataset_model import Dataset
from include.backup.vault.layout import dataset_folder
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import VaultSettings
    from include.backup.policy.model import DataClass, Policy
    from include.backup.storage.base import Storage


def find_unlisted(setting: Setting, name: str) -> tuple[Dataset, DataClass] | None:
    """Look for a dataset in every vault; None when no vault has a ledger of it.

    Raises:
        LedgerBroken: its newest record does not fit.
    """
    for vault in setting.datasets.vaults.values():
        if (found := _found(setting, vault, name)) is not None:
            return found
    return None


def _found(setting: Setting, vault: VaultSettings, name: str) -> tuple[Dataset, DataClass] | None:
    try:
        storage = setting.open_storage(vault)
        head = Ledger(dataset_folder(storage, name), subject=name).head()
    except (StorageError, ConfigurationInvalid):
        return None  # another vault may be there
    if head is None:
        return None
    remembered = DatasetState.of_json(head.state).data_class
    data_class = next(_classes(setting.policy, storage, remembered), None)
    if data_class is None:
        return None
    dataset = Dataset(
        name=name,
        data_class=data_class.name,
        owner="",
        source=None,
        vault=vault.name,
        file="",
        line=0,
    )
    return dataset, data_class


def _classes(policy: Policy, vault: Storage, name: str) -> Iterator[DataClass]:
    """What the class of that name promises: now, and in the policies kept, newest first."""
    for known in (policy, *kept_policies(vault)):
        yield from (data_class for data_class in known.classes if data_class.name == name)
