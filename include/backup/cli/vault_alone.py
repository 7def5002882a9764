"""The setting of a command that has a vault and nothing else: `--vault URL`.

    the vault       its address; credentials as every AWS tool takes them: AWS_ACCESS_KEY_ID,
                    AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_CA_BUNDLE
    the master key  HOLDFAST_MASTER_KEY, or the connection that the vault names, or it is asked for
    all else        what the vault itself keeps: policy, inventory, and the ledgers of its datasets

Nothing is written to the vault. What happens is recorded in the spool of this machine, signed if a
signing key is here, and adopted where the configuration is: `ledger adopt`.
"""

from __future__ import annotations

import getpass
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from include.backup.actions.configuration import newest_inventory, policy_of
from include.backup.actions.setting import Setting
from include.backup.cli import environment
from include.backup.errors import ConfigurationInvalid, LedgerBroken
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.signing import KEY_SIZE, key_bytes_of_text
from include.backup.policy.dataset_model import Dataset, KeySettings, VaultSettings
from include.backup.policy.datasets import Datasets
from include.backup.policy.load import load_policy
from include.backup.policy.vault_fields import parse_vault_url
from include.backup.policy.verification_fields import VerificationSettings
from include.backup.sources.connection import Connection
from include.backup.vault.layout import dataset_folder, dataset_names
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.policy.model import Policy
    from include.backup.storage.base import Storage
    from include.backup.vault.inventory import Inventory

MASTER_KEY_VARIABLE: Final = "HOLDFAST_MASTER_KEY"
_SIGNING_KEY: Final = "backup_signing_key"
_MASTER_KEY: Final = KeySettings(provider="local", connection="backup_master_key")
_NAME: Final = "vault"
_READERS: Final = 8
_WHY: Final = "nothing but the vault was there (--vault)"


def setting_of_vault(
    url: str, *, reason: str = "", trusted_keys: tuple[bytes, ...] = ()
) -> Setting:
    """What a vault says of itself, for commands that read it.

    Args:
        reason: why, for the record.
        trusted_keys: public keys that may have signed its records; none: whoever did.

    Raises:
        ConfigurationInvalid: no such address, or no vault there.
        StorageError: it cannot be read.
    """
    vault = _vault(url)
    storage = environment.open_storage(vault)
    inventory = newest_inventory(storage)
    policy = policy_of(storage, inventory) or load_policy()
    datasets = _datasets(storage, inventory, policy)
    if not datasets:
        raise ConfigurationInvalid(
            f"there are no datasets in {vault.url}",
            hint="is it the folder that holds `datasets/`, and is the volume mounted?",
        )
    key = inventory.key if inventory else _MASTER_KEY
    return Setting(
        policy=policy,
        datasets=Datasets(
            key=key,
            signing_key=_SIGNING_KEY,
            trusted_keys=trusted_keys,
            vaults={_NAME: vault},
            verification=VerificationSettings(),
            good=datasets,
            bad={},
        ),
        connection=_Connections(key),
        open_storage=environment.open_storage,
        s3_client=environment.s3_client,
        kms=environment.kms,
        state_folder=environment.state_folder(),
        clock=environment.now,
        owner=f"cli/{environment.user()}",
        break_glass=reason or _WHY,
    )


def _vault(url: str) -> VaultSettings:
    place = parse_vault_url(url)
    if place.startswith("file://"):
        return VaultSettings(name=_NAME, url=place)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    region = os.environ.get("AWS_DEFAULT_REGION", "")
    return VaultSettings(name=_NAME, url=place, endpoint_url=endpoint, region=region)


def _datasets(
    storage: Storage, inventory: Inventory | None, policy: Policy
) -> Mapping[str, Dataset]:
    """What lies there, as its ledger and the inventory know it."""
    known = inventory.datasets if inventory else {}
    found: dict[str, Dataset] = {}
    names = dataset_names(storage)
    with ThreadPoolExecutor(_READERS) as pool:
        classes = list(pool.map(partial(_class_of, storage), names))
    for name, remembered in zip(names, classes, strict=True):
        data_class = remembered or policy.most_critical.name
        if all(one.name != data_class for one in policy.classes):
            data_class = policy.most_critical.name
        listed = known.get(name) or Dataset(
            name=name, data_class="", owner="", source=None, vault=_NAME, file="", line=0
        )
        found[name] = replace(listed, data_class=data_class, vault=_NAME, replicas=())
    return found


def _class_of(storage: Storage, name: str) -> str:
    """The class that its ledger remembers; empty: nobody can tell."""
    try:
        head = Ledger(dataset_folder(storage, name), subject=name).head()
    except LedgerBroken:
        return ""
    return DatasetState.of_json(head.state).data_class if head else ""


class _Connections:
    """Connections of the environment; the master key may come by itself."""

    def __init__(self, key: KeySettings) -> None:
        self._key = key

    def __call__(self, name: str) -> Connection:
        """See Setting.connection."""
        if name != self._key.connection or self._key.provider != "local":
            return environment.connection(name)
        if text := os.environ.get(MASTER_KEY_VARIABLE):
            return Connection(password=text)
        try:
            return environment.connection(name)
        except ConfigurationInvalid:
            return Connection(password=_asked_for_key())


@cache
def _asked_for_key() -> str:
    """The master key from whoever is at the terminal; it is not shown.

    Raises:
        ConfigurationInvalid: nobody is there, or it is none.
    """
    if not sys.stdin.isatty():
        raise ConfigurationInvalid(
            "there is no master key",
            hint=f"set {MASTER_KEY_VARIABLE} to the {KEY_SIZE} bytes in base64 that stand on the "
            "recovery sheet",
        )
    text = "".join(getpass.getpass("master key, as on the recovery sheet: ").split())
    key_bytes_of_text(text, what="the master key")
    return text
