"""The configuration in force, kept in each vault: for machines that have none, and for strangers.

    <vault>/policy/config/<sha256>.json       the policy
    <vault>/policy/datasets/<sha256>.json     keys, vaults and datasets, without secrets

Each is kept once, by its digest. Which was in force last is told by the vault's clock; one that
came back into force is not the newest of them, so all of it is advice, and no evidence.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from include.backup.actions.opening import keys_of
from include.backup.errors import DamageFound, FileAbsent, NameTaken, PolicyInvalid
from include.backup.policy.load import parse_policy, policy_digest, policy_text
from include.backup.vault.inventory import inventory_bytes, inventory_name, parse_inventory
from include.backup.vault.layout import CONFIGS, INVENTORIES, config_name, policy_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import VaultSettings
    from include.backup.policy.model import Policy
    from include.backup.storage.base import FileInfo, Folder, Storage
    from include.backup.vault.inventory import Inventory


def keep_policy(setting: Setting, vault: VaultSettings, storage: Storage | None = None) -> str:
    """Keep the policy in force in a vault, once by its digest; return that digest.

    Args:
        storage: of the vault, if it is open already.

    Raises:
        StorageError.
    """
    digest = policy_digest(setting.policy)
    storage = storage or setting.open_storage(vault)
    _keep(setting, vault, storage, config_name(digest), policy_text(setting.policy).encode())
    return digest


def keep_configuration(setting: Setting, vault: VaultSettings, storage: Storage) -> None:
    """Keep policy and inventory in a vault, whose storage is open.

    Raises:
        ConfigurationInvalid: there is no signing key.
        StorageError.
    """
    digest = keep_policy(setting, vault, storage)
    signer, trusted = keys_of(setting)
    own = () if signer is None else (signer.public_key,)
    data = inventory_bytes(setting.datasets, policy_sha256=digest, signed_by=(*own, *trusted))
    _keep(setting, vault, storage, f"{INVENTORIES}{inventory_name(data)}", data)


def kept_policies(vault: Storage) -> Iterator[Policy]:
    """The policies that were kept in a vault, the last one first, by the vault's clock.

    Raises:
        PolicyInvalid: what was kept is no policy.
        StorageError.
    """
    folder = policy_folder(vault)
    for kept in _newest_first(folder, CONFIGS):
        yield parse_policy(folder.load(kept.name), file=kept.name)


def policy_of(vault: Storage, inventory: Inventory | None) -> Policy | None:
    """The policy that an inventory names, else the last one that was kept; None: there is none.

    Raises:
        StorageError.
    """
    names = [info.name for info in _newest_first(policy_folder(vault), CONFIGS)]
    if inventory is not None and (own := config_name(inventory.policy_sha256)) in names:
        names = [own, *names]
    for name in names:
        with suppress(PolicyInvalid):
            return parse_policy(policy_folder(vault).load(name), file=name)
    return None


def newest_inventory(vault: Storage) -> Inventory | None:
    """The last one that can be read; None: there is none.

    Raises:
        StorageError.
    """
    folder = policy_folder(vault)
    for kept in _newest_first(folder, INVENTORIES):
        with suppress(DamageFound):
            return parse_inventory(folder.load(kept.name), what=kept.name)
    return None


def _newest_first(folder: Folder, prefix: str) -> list[FileInfo]:
    return sorted(folder.list(prefix), key=lambda info: (info.modified_at, info.name), reverse=True)


def _keep(setting: Setting, vault: VaultSettings, storage: Storage, name: str, data: bytes) -> None:
    """Save what is named by its digest, unless it is there; locked as records are (invariant 8)."""
    folder = policy_folder(storage)
    period = setting.policy.evidence_retention if vault.object_lock else None
    try:
        folder.stat(name)
    except FileAbsent:
        until = None if period is None else setting.clock() + period
        with suppress(NameTaken):  # by another run, at this moment
            folder.save(name, data, locked_until=until)
