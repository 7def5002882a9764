"""What a dataset is opened with: folders of vaults, keys that sign, this machine's spool."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from include.backup.errors import ConfigurationInvalid, FileAbsent, RecordRefused
from include.backup.evidence.signing import Signer
from include.backup.evidence.spool import Spool
from include.backup.storage.local import LocalStorage
from include.backup.vault.layout import REPLICA, dataset_folder

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting
    from include.backup.evidence.records import Record
    from include.backup.policy.dataset_model import Dataset, VaultSettings
    from include.backup.storage.base import Storage


def require_home(folder: Storage, url: str, head: Record | None) -> None:
    """Refuse to add to the ledger of a copy: it would go on in two vaults.

    Args:
        folder: of the dataset, in the vault at `url`.
        head: the newest record there.

    Raises:
        RecordRefused: the vault holds a replica, and was not promoted.
        StorageError.
    """
    try:
        folder.stat(REPLICA)
    except FileAbsent:
        return
    if head is None or head.state.get("home") != url:
        raise RecordRefused(
            f"{folder.url} holds a replica, and was not promoted",
            hint="read it with --from; when its home is lost for good: holdfast vault promote",
        )


def spool_of(setting: Setting, vault: VaultSettings) -> Spool:
    """Where records wait for a vault, on this machine.

    By its address: what waits for a vault does not belong into another one of that name.
    """
    address = sha256(vault.url.encode()).hexdigest()[:16]
    storage = LocalStorage(setting.state_folder / "spool" / f"{vault.name}-{address}")
    signer, trusted = keys_of(setting)
    return Spool(storage, signer=signer, trusted=trusted)


def keys_of(setting: Setting) -> tuple[Signer | None, tuple[bytes, ...]]:
    """What signs records, and the public keys of those that did before.

    Raises:
        ConfigurationInvalid: there is no signing key, and the glass was not broken.
    """
    trusted = setting.datasets.trusted_keys
    try:
        signing_key = setting.connection(setting.datasets.signing_key)
        return Signer.of_text(signing_key.password), trusted
    except ConfigurationInvalid as error:
        if setting.break_glass:
            return None, trusted
        hint = f"{error.hint}; a restore goes on without it: --break-glass --reason TEXT"
        raise ConfigurationInvalid(error.message, path=error.path, hint=hint) from error


def opened(
    setting: Setting, dataset: Dataset, vault: VaultSettings, *, expiring: bool
) -> tuple[VaultSettings, Storage]:
    """The settings of a vault, and the folder of a dataset in it."""
    if dataset.insecure_reason and not vault.insecure_reason:
        vault = replace(vault, insecure_reason=dataset.insecure_reason)
    opened = replace(vault, connection=vault.expirer) if expiring and vault.expirer else vault
    return vault, dataset_folder(setting.open_storage(opened), dataset.name)
