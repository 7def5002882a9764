"""What a vault knows of the configuration that was in force, besides the policy: no secrets in it.

    <vault>/policy/datasets/<sha256>.json = canonical JSON
        {version, policy_sha256, key: {provider, connection, key_id}, trusted: [public keys, hex],
         vaults:   {name: {url, connection, region, endpoint_url, object_lock}},
         datasets: {name: {class, owner, vault, replicas, description, source, retired}}}

Who has nothing but the vault learns from it which master key opens it, whose data it is, and by
which policy it is judged. The names of connections are there, and nothing that they hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import DamageFound
from include.backup.evidence.fields import Fields, canonical, parse_canonical
from include.backup.policy.dataset_model import Dataset, KeySettings, VaultSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.backup.policy.datasets import Datasets

VERSION: Final = 1
LARGEST_BYTES: Final = 64 << 20
_DIGEST: Final = "[0-9a-f]{64}"  # and as long is a public key


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Keys, vaults and datasets as they were listed."""

    policy_sha256: str
    key: KeySettings
    trusted_keys: tuple[bytes, ...]  # public, 32 bytes each: whoever may have signed
    vaults: Mapping[str, VaultSettings]
    datasets: Mapping[str, Dataset]  # what they are read from is left out

    def vault_at(self, url: str) -> VaultSettings | None:
        """The vault with that address, if one has it."""
        return next((one for one in self.vaults.values() if one.url == url), None)


def inventory_bytes(datasets: Datasets, *, policy_sha256: str, signed_by: Sequence[bytes]) -> bytes:
    """The file.

    Args:
        signed_by: the public keys that sign records, or did.
    """
    return canonical({
        "version": VERSION,
        "policy_sha256": policy_sha256,
        "key": {
            "provider": datasets.key.provider,
            "connection": datasets.key.connection,
            "key_id": datasets.key.key_id,
        },
        "trusted": [key.hex() for key in signed_by],
        "vaults": {name: _vault_json(one) for name, one in datasets.vaults.items()},
        "datasets": {name: _dataset_json(one) for name, one in datasets.good.items()},
    })


def inventory_name(data: bytes) -> str:
    """What the file is called in its folder."""
    return f"{sha256(data).hexdigest()}.json"


def parse_inventory(data: bytes, *, what: str) -> Inventory:
    """Read the file.

    Raises:
        DamageFound: it is none; names `what` and the field.
    """
    document = parse_canonical(data, what=what, largest_bytes=LARGEST_BYTES, error=DamageFound)
    fields = Fields(document, what=what, error=DamageFound)
    if fields.number("version") != VERSION:
        fields.refuse("version", document["version"])
    fields.only(("version", "policy_sha256", "key", "trusted", "vaults", "datasets"))
    key = Fields(fields.document("key"), what=f"{what}: key", error=DamageFound)
    trusted = fields.texts("trusted")
    if not all(re.fullmatch(_DIGEST, one) for one in trusted):
        fields.refuse("trusted", trusted)
    return Inventory(
        policy_sha256=fields.text("policy_sha256", shape=_DIGEST),
        key=KeySettings(
            provider=key.text("provider"),
            connection=key.text("connection"),
            key_id=key.text("key_id"),
        ),
        trusted_keys=tuple(map(bytes.fromhex, trusted)),
        vaults={name: _vault(name, row, what) for name, row in fields.document("vaults").items()},
        datasets={
            name: _dataset(name, row, what) for name, row in fields.document("datasets").items()
        },
    )


def _vault_json(vault: VaultSettings) -> dict[str, object]:
    return {
        "url": vault.url,
        "connection": vault.connection,
        "region": vault.region,
        "endpoint_url": vault.endpoint_url,
        "object_lock": vault.object_lock,
    }


def _vault(name: str, row: object, what: str) -> VaultSettings:
    fields = Fields(row, what=f"{what}: vault {name}", error=DamageFound)
    return VaultSettings(
        name=name,
        url=fields.text("url"),
        connection=fields.text("connection"),
        region=fields.text("region"),
        endpoint_url=fields.text("endpoint_url"),
        object_lock=fields.text("object_lock"),
    )


def _dataset_json(dataset: Dataset) -> dict[str, object]:
    retired = dataset.retired
    return {
        "class": dataset.data_class,
        "owner": dataset.owner,
        "vault": dataset.vault,
        "replicas": list(dataset.replicas),
        "description": dataset.description,
        "source": dataset.address,
        "retired": "" if retired is None else f"{retired.date}: {retired.reason} ({retired.by})",
    }


def _dataset(name: str, row: object, what: str) -> Dataset:
    fields = Fields(row, what=f"{what}: dataset {name}", error=DamageFound)
    return Dataset(
        name=name,
        data_class=fields.text("class"),
        owner=fields.text("owner"),
        source=None,
        vault=fields.text("vault"),
        replicas=tuple(fields.texts("replicas")),
        description=fields.text("description"),
        file="",
        line=0,
    )
