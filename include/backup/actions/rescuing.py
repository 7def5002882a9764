"""RECOVERY.txt and unwrap.py of a vault: kept by whoever writes there, looked at by who checks.

They never stop a backup: what cannot be kept is a remark of it, and tried again by the next.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.backup.actions.configuration import keep_configuration
from include.backup.actions.opening import keys_of
from include.backup.errors import BackupError, LedgerBroken
from include.backup.evidence.fields import Fields
from include.backup.evidence.kinds import Kind
from include.backup.evidence.ledger import Ledger
from include.backup.vault.layout import dataset_folder, dataset_names
from include.backup.vault.rescue import (
    UNWRAP,
    Locking,
    keep_rescue_files,
    own_texts,
    rescue_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.backup.actions.acts import Act
    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import VaultSettings
    from include.backup.storage.base import Storage

log = logging.getLogger(__name__)


def keep(act: Act, place: DatasetVault) -> tuple[dict[str, str], str]:
    """Keep both in the vault of a dataset, and the configuration in force.

    Args:
        act: records what is about to be saved, if something is.

    Returns:
        Their names and digests, and a remark; one of the two is empty.
    """
    vault = place.vault
    try:
        storage = place.setting.open_storage(vault)
        if not place.setting.warnings:  # else the policy is one that was kept before
            keep_configuration(place.setting, vault, storage)
        return _keep_in(act, place, storage), ""
    except BackupError as error:
        log.warning("%s: RECOVERY.txt is not kept: %s", place.where, error)
        return {}, f"RECOVERY.txt and unwrap.py are not kept in {vault.url}: {error.message}"


def _keep_in(act: Act, place: DatasetVault, storage: Storage) -> dict[str, str]:
    """Keep both in a vault, whose storage is open; return their names and digests.

    Raises:
        NameTaken, StorageError.
        as Act.record.
    """
    setting, vault = place.setting, place.vault

    def announce(files: Mapping[str, str]) -> None:
        act.record(Kind.RESCUE, evidence(vault, files))

    period, now = setting.policy.evidence_retention, setting.clock()
    # Locked as long as evidence, and again when half of that is over: they outlive every backup.
    locking = Locking(until=now + period, again_before=now - period / 2)
    return keep_rescue_files(
        storage,
        url=vault.url,
        locking=locking if vault.object_lock else None,
        announce=announce,
    )


def evidence(vault: VaultSettings, kept: Mapping[str, str]) -> dict[str, object]:
    """What a record says of what was kept: the vault, and each name with its digest."""
    return {"rescue": {"vault": vault.url, "files": dict(kept)}} if kept else {}


def script_in(kept: Mapping[str, str]) -> str:
    """The name of the script among what was kept; that of the first, where nothing could be."""
    return next((name for name in kept if name.endswith(".py")), UNWRAP)


def strangers(setting: Setting, vault: VaultSettings) -> list[str]:
    """One text for each such file in a vault that neither this release nor a record answers for.

    Raises:
        StorageError.
    """
    storage = setting.open_storage(vault)
    files = rescue_files(storage)
    own = own_texts(storage, files, url=vault.url)
    suspect = {one.name: one.sha256 for one in files if own.get(one.name) != one.sha256}
    for name in dataset_names(storage) if suspect else ():
        for told, digest in _named(setting, storage, name):
            if suspect.get(told) == digest:
                del suspect[told]
    return [
        f"{name} of {vault.url} is none of ours, and no record names its digest: "
        "whoever follows it may give the master key away"
        for name in sorted(suspect)
    ]


def _named(setting: Setting, storage: Storage, dataset: str) -> Iterator[tuple[str, str]]:
    """The names and digests that the records of a dataset answer for, in whatever vault.

    A vault that was carried elsewhere has another address, and the same files.
    """
    signer, trusted = keys_of(setting)
    own = () if signer is None else (signer.public_key,)
    folder = dataset_folder(storage, dataset)
    ledger = Ledger(folder, subject=dataset, trusted=(*trusted, *own))
    try:
        for record in ledger.read():
            fields = Fields(record.body, what="a record")
            found = Fields(fields.document("rescue"), what="what was kept")
            yield from ((name, str(one)) for name, one in found.document("files").items())
    except LedgerBroken as error:  # it answers for nothing; `ledger verify` says what it has
        log.warning("%s: %s", dataset, error)
