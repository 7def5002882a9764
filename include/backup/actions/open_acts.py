"""The names of acts, and which of those that are open in a ledger have certainly ended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.evidence import sentences
from include.backup.vault.leases import holder
from include.backup.vault.owners import Owner

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.vault.generations import Act
    from include.backup.vault.state import DatasetState

RESTORE: Final = "restore"
EXPORT: Final = "export_key"
CHECK: Final = "check"
VERIFY: Final = "verify"
EXPIRE: Final = "expire"
ROTATE: Final = "rotate_key"
REPLICATE: Final = "replicate"
PROMOTE: Final = "promote"
UNDELETE: Final = "undelete"
# What leaves nothing but a record, which can wait.
PAPERLESS: Final = frozenset({RESTORE, EXPORT, CHECK, UNDELETE})
# What evidence never holds up.
RESCUES: Final = frozenset({RESTORE, EXPORT, CHECK, VERIFY, UNDELETE})
_LEASES: Final = {  # that acts hold; a backup that of its method
    EXPIRE: EXPIRE,
    ROTATE: EXPIRE,
    REPLICATE: REPLICATE,
    PROMOTE: REPLICATE,
}
_WORDS: Final = {
    EXPORT: "export of a password",
    VERIFY: "verification",
    EXPIRE: sentences.EXPIRY,
    ROTATE: sentences.ROTATION,
    REPLICATE: "replication",
    PROMOTE: "promotion of a vault",
    UNDELETE: "undeletion",
}  # what people call an act; else its own name
# What holds no lease, and ran on a machine that nobody can ask, has ended by then. If it has not,
# its own end is recorded all the same.
_LONGEST_UNSEEN: Final = timedelta(days=7)


def is_dead(place: DatasetVault, act: Act, held: str | None, now: datetime) -> bool:
    """Whether an open act has certainly ended.

    Args:
        held: the kind of lease that this process holds: who had it before is dead.

    Raises:
        StorageError.
    """
    owner = Owner.of_json(act.owner)
    if owner is not None and owner.is_dead():
        return True
    lease = _LEASES.get(act.action) or (act.method and str(act.method))
    if lease is None:  # it holds none that would tell
        return now - act.began_at > _LONGEST_UNSEEN
    return lease == held or holder(place.home, lease) is None


def told_interrupted(place: DatasetVault, act: Act, state: DatasetState, now: datetime) -> str:
    """The sentence about an act that was found dead."""
    return sentences.interrupted(
        place.subject,
        verdict=place.judgement(state, now).verdict,
        action=f"{act.method} backup" if act.method else _WORDS.get(act.action, act.action),
        began_at=act.began_at,
        copies=place.copies(state, now),
    )
