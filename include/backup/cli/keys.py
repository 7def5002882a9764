"""`init` and `keys export`: making the two keys, and handing out a repository's password."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

from include.backup.actions.export_key import export_key
from include.backup.cli.environment import config_folder, load_setting, now
from include.backup.cli.policy_in_force import setting_of
from include.backup.errors import BackupError
from include.backup.evidence.signing import Signer
from include.backup.evidence.wording import day
from include.backup.vault.keyring import LocalKey

if TYPE_CHECKING:
    import argparse

_KEY_BYTES = 32


def init(options: argparse.Namespace) -> int:
    """Make new keys and print the two connection lines and a recovery sheet. Nothing is saved."""
    master, signing = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_KEY_BYTES)
    try:
        setting = load_setting(config_folder(options.config))
        names = setting.datasets.key.connection, setting.datasets.signing_key
        vaults = [vault.url for vault in setting.datasets.vaults.values()]
    except BackupError:
        names, vaults = ("backup_master_key", "backup_signing_key"), []
    for name, key in zip(names, (master, signing), strict=True):
        connection = json.dumps({"conn_type": "generic", "password": _text(key)})
        print(f"export AIRFLOW_CONN_{name.upper()}='{connection}'")
    print(_sheet(LocalKey(master).master_key_id, _text(master), Signer(signing), vaults))
    return 0


def export(options: argparse.Namespace) -> int:
    """Print the password of one generation, alone on the last line; the ledger records it."""
    setting = setting_of(options)
    outcome, password = export_key(setting, options.dataset, options.generation)
    print(outcome.sentence)
    print(password)
    return 0


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _sheet(master_id: str, master: str, signer: Signer, vaults: list[str]) -> str:
    grouped = "  ".join(master[start : start + 11] for start in range(0, len(master), 11))
    places = "\n".join(f"#     {url}" for url in vaults) or "#     (the urls in datasets.yaml)"
    return f"""
# ------------------------------------------------------------------------------------------
# RECOVERY SHEET · {day(now())} · print it, keep it in a safe, away from the vault
#
#   Without the master key nobody, not even its makers, can open these backups.
#
#   master key {master_id}
#     {grouped}
#     (one line, without the spaces)
#   signing key {signer.key_id}, public part, to verify the ledger
#     {signer.public_key.hex()}
#   vaults
{places}
#
#   To restore: RUNBOOK.md. Stock restic opens each repository with the password that
#   `holdfast keys export DATASET GENERATION` prints.
#   Kept by: ____________________   Checked on: ____________________
# ------------------------------------------------------------------------------------------"""
