"""The one page of the rescue kit. Lines behind four spaces are commands, and tests run them."""

from __future__ import annotations

from typing import Final

README: Final = """\
RESCUE KIT of Holdfast {version}
==============================

Restores the backups of the vaults in config/datasets.yaml on a machine that has lost everything:
no network but to the vault, no Airflow, no Git. Needed besides: the vault, and the recovery sheet.
Made for Python {python} on {platform}; with another one go by RECOVERY-*.txt, which needs restic
and Python's `cryptography` alone.

1. Is the kit whole? Its MANIFEST.json has a SHA-256 that stands in the ledger of the policy.

    sha256sum --quiet --check SHA256SUMS

2. Install it, in a folder of its own. pip asks nobody:

    python{python} -m venv "${{VENV:=$HOME/holdfast-rescue}}"
    "$VENV/bin/pip" install --quiet --no-index --find-links wheels holdfast

3. The keys, from a file that you write by the recovery sheet:

    . ./keys.env

   In it the master key, and the signing key, without which nothing can be recorded (without it
   `restore … --break-glass`, whose record waits on this machine; RUNBOOK.md):

     export AIRFLOW_CONN_BACKUP_MASTER_KEY='{{"conn_type": "generic", "password": "…"}}'
     export AIRFLOW_CONN_BACKUP_SIGNING_KEY='{{"conn_type": "generic", "password": "…"}}'

   and for each vault in a bucket its keys, by the name of its connection:

     export AIRFLOW_CONN_BACKUP_VAULT='{{"conn_type": "aws", "login": "…", "password": "…"}}'

   Correct the address of a vault in config/datasets.yaml if it has moved.

4. What is there, and restore it, the most urgent first; RUNBOOK.md has more:

    export HOLDFAST_CONFIG="$PWD/config" HOLDFAST_STATE="${{STATE:=$HOME/holdfast-state}}"
    "$VENV/bin/holdfast" recovery-plan
    "$VENV/bin/holdfast" recovery-points "$DATASET"
    "$VENV/bin/holdfast" restore "$DATASET" --to "$TARGET" --requested-by "$USER" --reason rescue

   Before, say DATASET=name and TARGET=/where/there/is/room. With HOLDFAST_MASTER_KEY alone and no
   configuration: `"$VENV/bin/holdfast" --vault ADDRESS restore …`, by the address of the vault.

5. If Holdfast itself fails: RECOVERY-<vault>.txt, with ./restic and unwrap.py of this folder.
   signing-key.txt is the public key that the ledgers are signed with.
"""
