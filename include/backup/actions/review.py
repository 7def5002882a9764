"""The yearly review of the policy (8): recorded in the policy's own ledger, and looked up there."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from include.backup.errors import ConfigurationInvalid, NameTaken
from include.backup.evidence.kinds import Kind
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.records import new_id
from include.backup.evidence.signing import Signer
from include.backup.format.times import datetime_of_text, text_of_datetime
from include.backup.policy.load import parse_policy, policy_digest, policy_text
from include.backup.vault.layout import POLICY, config_name, policy_folder

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.setting import Setting
    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.records import Draft, Record
    from include.backup.policy.model import Policy
    from include.backup.storage.base import Storage


def review(setting: Setting, *, by: str, note: str) -> Record:
    """Record that the policy was reviewed, with its text as it was then.

    Raises:
        ConfigurationInvalid: nobody is named.
        StorageError, LedgerBroken.
    """
    if not by.strip():
        raise ConfigurationInvalid("a review needs the name of who reviewed", hint="--by WHO")
    folder = _folder(setting)
    digest = keep_policy(setting, folder)
    ledger = _ledger(setting, folder)
    ledger.head()
    draft = ledger.draft(
        kind=Kind.REVIEWED,
        act=new_id(),
        at=setting.clock(),
        body={"by": by, "note": note, "policy_sha256": digest},
        sentence=f"KEPT 8 · {setting.policy.name} was reviewed by {by}: {note}",
    )
    return ledger.append(draft, fold=_fold)


def last_review(setting: Setting) -> datetime | None:
    """When the policy was last reviewed; None: never, as far as its ledger knows.

    Raises:
        StorageError, LedgerBroken.
    """
    head = _ledger(setting, _folder(setting)).head()
    text = head.state.get("reviewed_at") if head else None
    return datetime_of_text(text) if isinstance(text, str) else None


def keep_policy(setting: Setting, folder: Storage | None = None) -> str:
    """Keep the policy in force in the vault, once by its digest; return that digest.

    Raises:
        StorageError.
    """
    digest = policy_digest(setting.policy)
    with suppress(NameTaken):  # it was kept before: its name is its digest
        (folder or _folder(setting)).save(config_name(digest), policy_text(setting.policy).encode())
    return digest


def last_kept_policy(vault: Storage) -> Policy | None:
    """The policy that was kept last, by the vault's clock; None when none was.

    Raises:
        PolicyInvalid: what was kept is no policy.
        StorageError.
    """
    folder = policy_folder(vault)
    kept = max(folder.list("config/"), key=lambda info: info.modified_at, default=None)
    return None if kept is None else parse_policy(folder.load(kept.name), file=kept.name)


def _fold(state: JsonObject, draft: Draft, sequence: int) -> JsonObject:
    del state, sequence
    return {"reviewed_at": text_of_datetime(draft.at), "by": draft.body["by"]}


def _folder(setting: Setting) -> Storage:
    first = next(iter(setting.datasets.vaults.values()))
    return policy_folder(setting.open_storage(first))


def policy_ledger(setting: Setting) -> Ledger:
    """The ledger of the policy, in the first vault.

    Raises:
        ConfigurationInvalid: there is no signing key.
    """
    return _ledger(setting, _folder(setting))


def _ledger(setting: Setting, folder: Storage) -> Ledger:
    signer = Signer.of_text(setting.connection(setting.datasets.signing_key).password)
    trusted = setting.datasets.trusted_keys
    return Ledger(folder, subject=POLICY, signer=signer, trusted=trusted)
