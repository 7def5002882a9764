"""How the files of a vault are locked: by its mode, and its envelopes perhaps by a weaker one.

In compliance nobody deletes before the date. A vault may let its envelopes be in governance: then
who has the right to bypass that can erase a generation before its time, by its key alone, while the
rest stays until its locks end. The same right destroys backups (a finding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.vault.layout import is_envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.policy.dataset_model import VaultSettings
    from include.backup.storage.s3_locks import LockMode


def lock_mode_of(vault: VaultSettings) -> LockMode | None:
    """The mode of its lock dates; None: it does not lock."""
    if not vault.object_lock:
        return None
    return "COMPLIANCE" if vault.object_lock == "compliance" else "GOVERNANCE"


def governed_in(vault: VaultSettings) -> Callable[[str], bool] | None:
    """Which names are in governance whatever the mode of the others; None: none are."""
    return is_envelope if vault.envelope_lock else None


def may_bypass(vault: VaultSettings) -> bool:
    """Whether somebody with the right to can delete envelopes before their lock ends."""
    return "governance" in {vault.object_lock, vault.envelope_lock}
