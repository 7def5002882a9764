"""`rescue-kit`: one folder that restores without a network; and `keys escrowed`."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from include.backup.actions.escrow import confirm_escrow, record_kit
from include.backup.actions.kept_kits import store_kit
from include.backup.cli.environment import config_folder
from include.backup.cli.kit_folder import make_kit, packed, release
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.errors import BackupError
from include.backup.evidence.sentences import with_evidence
from include.backup.evidence.signing import Signer
from include.backup.evidence.wording import size

if TYPE_CHECKING:
    import argparse

_SHORT: Final = 16


def rescue_kit(options: argparse.Namespace) -> int:
    """Make a kit; put it into the vault if that is asked for; record it in the policy's ledger."""
    setting = setting_of(options)
    warn(setting)
    folder = Path(options.to)
    public = Signer.of_text(setting.connection(setting.datasets.signing_key).password).public_key
    vaults = {
        name: (vault.url, setting.open_storage(vault).restic_address)
        for name, vault in setting.datasets.vaults.items()
    }
    digest, lacking = make_kit(
        folder,
        config=config_folder(options.config),
        vaults=vaults,
        signing_key=public,
        wheels=Path(options.wheels) if options.wheels else None,
    )
    data = packed(folder)
    print(f"{folder}: rescue kit of Holdfast {release()}, {size(len(data))}, SHA-256 {digest}")
    for line in lacking:
        print(f"note  {line}")
    body: dict[str, object] = {
        "sha256": digest,
        "version": release(),
        "signing_key": public.hex(),
    }
    told = f"KEPT 4.2 · a rescue kit of Holdfast {release()} was made, SHA-256 {digest[:_SHORT]}…"
    if options.store:
        body["stored"] = stored = store_kit(setting, data)
        body["stored_sha256"] = sha256(data).hexdigest()
        told = f"{told}, and is kept in the vault as {stored}"
    try:
        record = record_kit(setting, body, told)
    except BackupError as error:
        print(f"note  the ledger does not know of it, so `doctor` will ask again: {error}")
        return 1 if options.store else 0
    print(with_evidence(record.sentence, record))
    return 0


def escrowed(options: argparse.Namespace) -> int:
    """Record somebody's word that the recovery sheet lies in a safe."""
    setting = setting_of(options)
    record = confirm_escrow(setting, by=options.by, where=options.where)
    print(with_evidence(record.sentence, record))
    return 0
