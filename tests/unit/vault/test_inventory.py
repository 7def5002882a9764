"""What a vault keeps of the configuration: no secrets, and enough for a stranger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import DamageFound
from include.backup.evidence.fields import canonical
from include.backup.policy.datasets import load_datasets
from include.backup.vault.inventory import inventory_bytes, parse_inventory

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.policy.datasets import Datasets

_KEY = bytes(range(32))
_LISTED = """
key: {provider: local, connection: backup_master_key}
signing_key: {connection: backup_signing_key, trusted: ["%s"]}
vaults:
  primary: {url: 's3://example-backups/vault', connection: cloud, region: eu-west-1,
            object_lock: compliance}
  second: {url: 'file:///mnt/second'}
datasets:
  crm: {class: critical, owner: crm-team@example.com, source: {type: filesystem, path: /srv/crm},
        replicas: [second], description: customers}
  old: {class: critical, owner: anna@example.com, source: {type: filesystem, path: /srv/old},
        retired: {date: 2026-11-01, reason: replaced, by: anna}}
""" % ("ab" * 32)


@pytest.fixture
def listed(tmp_path: Path) -> Datasets:
    """What a user listed."""
    path = tmp_path / "datasets.yaml"
    path.write_text(_LISTED)
    return load_datasets(["critical"], path)


def kept(listed: Datasets) -> bytes:
    """As the vault keeps it."""
    return inventory_bytes(listed, policy_sha256="0" * 64, signed_by=(_KEY, *listed.trusted_keys))


def test_it_says_what_a_stranger_needs(listed: Datasets) -> None:
    """Keys by name and id, whoever may have signed, vaults and datasets."""
    found = parse_inventory(kept(listed), what="it")
    assert found.key == listed.key
    assert found.trusted_keys == (_KEY, b"\xab" * 32)
    assert found.vaults == listed.vaults
    assert found.vault_at("file:///mnt/second") == listed.vaults["second"]
    assert found.vault_at("file:///mnt/third") is None
    crm = found.datasets["crm"]
    assert (crm.data_class, crm.owner, crm.description) == (
        "critical",
        "crm-team@example.com",
        "customers",
    )
    assert crm.replicas == ("second",)
    document = json.loads(kept(listed))
    assert document["datasets"]["old"]["retired"] == "2026-11-01: replaced (anna)"
    assert document["datasets"]["crm"]["source"] == listed.good["crm"].address


@pytest.mark.parametrize("field", ["key", "trusted", "vaults", "datasets", "policy_sha256"])
@pytest.mark.parametrize("value", [7, [7], {"crm": 7}, None, "x", ["zz"]])
def test_anything_else_is_refused(listed: Datasets, field: str, value: object) -> None:
    """By our own error, which names it."""
    document = json.loads(kept(listed)) | {field: value}
    with pytest.raises(DamageFound, match=r"^it"):
        parse_inventory(canonical(document), what="it")


def test_what_was_cut_is_refused(listed: Datasets) -> None:
    """At whatever byte."""
    data = kept(listed)
    for end in range(len(data)):
        with pytest.raises(DamageFound):
            parse_inventory(data[:end], what="it")


def test_a_later_form_is_refused(listed: Datasets) -> None:
    """Nobody guesses what it means."""
    document = json.loads(kept(listed)) | {"version": 2}
    with pytest.raises(DamageFound, match="version"):
        parse_inventory(canonical(document), what="it")
