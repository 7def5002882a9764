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
from include.backup.vault.offline import new_pair
from include.backup.vault.rescue import unwrap_sha256

if TYPE_CHECKING:
    import argparse

_KEY_BYTES = 32


def init(options: argparse.Namespace) -> int:
    """Make new keys and print the connection lines and a recovery sheet. Nothing is saved."""
    master, signing = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_KEY_BYTES)
    names, vaults, in_kms = ("backup_master_key", "backup_signing_key"), list[str](), ""
    try:
        datasets = load_setting(config_folder(options.config)).datasets
        names = datasets.key.connection, datasets.signing_key
        vaults = [vault.url for vault in datasets.vaults.values()]
        in_kms = datasets.key.key_id
    except BackupError:
        pass  # there is no configuration yet
    for name, key in zip(names, (master, signing), strict=True):
        connection = json.dumps({"conn_type": "generic", "password": _text(key)})
        if key is signing or not in_kms:
            print(f"export AIRFLOW_CONN_{name.upper()}='{connection}'")
    opens = _in_kms(in_kms) if in_kms else _on_paper(master)
    print(_sheet(opens, Signer(signing), vaults))
    return 0


def offline(options: argparse.Namespace) -> int:
    """Make an offline key: the private part for paper, the public one for datasets.yaml."""
    del options
    private, public = new_pair()
    print(f"""\
# ------------------------------------------------------------------------------------------
# OFFLINE KEY · {day(now())} · print it, keep it in a safe, and nowhere else
#
#   It opens every generation that is begun while datasets.yaml names it, without the master key:
#   for the day on which the KMS, or the account that it lies in, is gone. RECOVERY.txt of the
#   vault says how; there it is typed in the place of the master key.
#
#     {_grouped(_text(private))}
#     (one line, without the spaces)
#   its public part, in datasets.yaml beside `provider:` of `key:`
#     offline_recipient: {public.hex()}
#   unwrap.py of the vaults, SHA-256
#     {unwrap_sha256()}
#   Kept by: ____________________   Checked on: ____________________
# ------------------------------------------------------------------------------------------""")
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


def _grouped(key: str) -> str:
    return "  ".join(key[start : start + 11] for start in range(0, len(key), 11))


def _on_paper(master: bytes) -> str:
    return f"""\
#   Without the master key nobody, not even its makers, can open these backups.
#
#   master key {LocalKey(master).master_key_id}
#     {_grouped(_text(master))}
#     (one line, without the spaces)"""


def _in_kms(arn: str) -> str:
    return f"""\
#   The master key lies in AWS KMS, and nobody can write it down:
#     {arn}
#   Without it every backup is lost: `holdfast keys offline` makes a key for a safe."""


def _sheet(opens: str, signer: Signer, vaults: list[str]) -> str:
    places = "\n".join(f"#     {url}" for url in vaults) or "#     (the urls in datasets.yaml)"
    return f"""
# ------------------------------------------------------------------------------------------
# RECOVERY SHEET · {day(now())} · print it, keep it in a safe
#
#   Keep it away from the vault and from the machines that are backed up, in two places, where two
#   people who can be reached at night may open. Whoever has it and the vault can read everything.
#
{opens}
#   signing key {signer.key_id}, public part, to verify the ledger
#     {signer.public_key.hex()}
#   vaults
{places}
#   unwrap.py of these vaults, SHA-256: with another one it may steal the key
#     {unwrap_sha256()}
#
#   First commands, with Holdfast or its rescue kit (RUNBOOK.md, "Everything is gone"):
#     holdfast recovery-plan
#     holdfast restore DATASET --to DIRECTORY --requested-by YOU --reason TEXT
#   without it, on a plain Debian that reaches the vault:
#     less VAULT/RECOVERY.txt          sha256sum VAULT/unwrap.py
#
#   Once this sheet is in the safe, say so:  holdfast keys escrowed --by YOU --where PLACE
#   Kept by: ____________________   Checked on: ____________________
# ------------------------------------------------------------------------------------------"""
