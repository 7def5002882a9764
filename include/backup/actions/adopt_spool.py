"""Recording what another machine did while evidence had to wait: a spool that was carried here.

Who restores with a vault alone, or broke the glass, leaves records in the spool of that machine.
They are adopted from a copy of it: the original stays as it is, and a second time adopts nothing
new. A record that nobody signed stays marked so for ever; one by an unknown key is refused.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.opening import keys_of
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.spool import Adoption, Spool
from include.backup.storage.local import LocalStorage

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting


def adopt_spool(setting: Setting, name: str, folder: Path) -> Adoption:
    """Append what waits for a dataset below a folder to its ledger.

    Args:
        folder: a spool, as the sentence of the act named it; or what it was copied into.

    Raises:
        ConfigurationInvalid: nothing of this dataset is there.
        StorageError, LedgerBroken.
    """
    place = DatasetVault.open(setting, name)
    signer, trusted = keys_of(setting)
    found = _spools(folder, name)
    with tempfile.TemporaryDirectory(prefix="holdfast-") as temporary:
        for number, one in enumerate(found):
            for file in sorted(one.glob("*.json")):
                # Numbers give the order within a spool; of several each keeps its own.
                target = Path(temporary) / str(number) / name / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        adoptions = [
            Spool(LocalStorage(copied), signer=signer, trusted=trusted).adopt(
                place.ledger, at=setting.clock(), fold=place.fold
            )
            for copied in sorted(Path(temporary).iterdir())
        ]
    records = [record for one in adoptions for record in one.records]
    if records and (head := place.ledger.head()) is not None:
        place.seen.remember(head)
    return Adoption(
        records=tuple(records), refused=tuple(draft for one in adoptions for draft in one.refused)
    )


def _spools(folder: Path, name: str) -> list[Path]:
    """The folders of a dataset below one, at most two levels deep, that hold drafts."""
    candidates = [folder / name, *folder.glob(f"*/{name}"), *folder.glob(f"*/*/{name}")]
    found = sorted({one.resolve() for one in candidates if any(one.glob("*.json"))})
    if folder.name == name and any(folder.glob("*.json")):
        found.append(folder.resolve())
    if not found:
        raise ConfigurationInvalid(
            f"no record of {name} waits in {folder}",
            hint="name the folder that the sentence of that act names, or a copy of it",
        )
    return found
