"""The yearly review of the policy (8): recorded in the policy's own ledger, and looked up there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions.configuration import keep_policy
from include.backup.actions.opening import keys_of
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.kinds import Kind
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.records import new_id
from include.backup.format.times import datetime_of_text
from include.backup.vault.layout import POLICY, policy_folder
from include.backup.vault.policy_state import fold_policy

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from include.backup.actions.setting import Setting
    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.records import Record
    from include.backup.policy.dataset_model import VaultSettings
    from include.backup.storage.base import Storage


def review(setting: Setting, *, by: str, note: str) -> Record:
    """Record that the policy was reviewed, with its text as it was then.

    Raises:
        ConfigurationInvalid: nobody is named.
        StorageError, LedgerBroken.
    """
    if not by.strip():
        raise ConfigurationInvalid("a review needs the name of who reviewed", hint="--by WHO")
    digest = keep_policy(setting, _vault(setting))
    told = f"KEPT 8 · {setting.policy.name} was reviewed by {by}: {note}"
    body = {"by": by, "note": note, "policy_sha256": digest}
    return record_of_policy(setting, Kind.REVIEWED, body, told)


def record_of_policy(setting: Setting, kind: Kind, body: JsonObject, sentence: str) -> Record:
    """Append a record to the policy's own ledger; see policy_state.

    Raises:
        StorageError, LedgerBroken.
    """
    ledger = policy_ledger(setting)
    ledger.head()
    draft = ledger.draft(kind=kind, act=new_id(), at=setting.clock(), body=body, sentence=sentence)
    return ledger.append(draft, fold=fold_policy)


def last_review(setting: Setting) -> datetime | None:
    """When the policy was last reviewed; None: never, as far as its ledger knows.

    Raises:
        StorageError, LedgerBroken.
    """
    head = policy_ledger(setting).head()
    text = head.state.get("reviewed_at") if head else None
    return datetime_of_text(text) if isinstance(text, str) else None


def _vault(setting: Setting) -> VaultSettings:
    return next(iter(setting.datasets.vaults.values()))


def _folder(setting: Setting) -> Storage:
    return policy_folder(setting.open_storage(_vault(setting)))


def _keep_for(setting: Setting) -> timedelta | None:
    """How far ahead what is kept is locked (invariant 8)."""
    return setting.policy.evidence_retention if _vault(setting).object_lock else None


def policy_ledger(setting: Setting) -> Ledger:
    """The ledger of the policy, in the first vault.

    Raises:
        ConfigurationInvalid: there is no signing key.
    """
    signer, trusted = keys_of(setting)
    return Ledger(
        _folder(setting),
        subject=POLICY,
        signer=signer,
        trusted=trusted,
        keep_for=_keep_for(setting),
    )
