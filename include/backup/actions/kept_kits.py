"""A rescue kit in the vault, under its own digest: written once, locked, named by the ledger."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import ConfigurationInvalid, NameTaken
from include.backup.evidence.wording import size
from include.backup.vault.layout import KITS

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting

LARGEST_BYTES: Final = 512 << 20  # it goes in one request, and lies in memory meanwhile


def store_kit(setting: Setting, data: bytes) -> str:
    """Keep a packed kit in the first vault; return its name there.

    Raises:
        ConfigurationInvalid: it is too large.
        StorageError.
    """
    if len(data) > LARGEST_BYTES:
        raise ConfigurationInvalid(
            f"the rescue kit has {size(len(data))}; the limit is {size(LARGEST_BYTES)}",
            hint="keep it elsewhere",
        )
    vault = next(iter(setting.datasets.vaults.values()))
    digest = sha256(data)
    name = f"{KITS}{digest.hexdigest()}.tar"
    until = setting.clock() + setting.policy.evidence_retention if vault.object_lock else None
    with suppress(NameTaken):  # its name is its digest: it was kept before
        setting.open_storage(vault).save(name, data, sha256=digest.digest(), locked_until=until)
    return name
