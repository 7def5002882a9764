"""Who keeps the key, and whether the rescue kit is that of today: recorded, and asked for.

What nobody confirms is a finding of `status` and a note of `doctor`; it stops no backup.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.actions.providers import provider_of
from include.backup.actions.review import policy_ledger, record_of_policy
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.kinds import Kind
from include.backup.evidence.signing import Signer
from include.backup.evidence.wording import day
from include.backup.policy.findings import Finding
from include.backup.vault.kms import KmsKey
from include.backup.vault.policy_state import PolicyState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.backup.actions.setting import Setting
    from include.backup.evidence.records import Record

_WORDS: Final = "what was lost is restored within its RTO"


def key_on_paper(setting: Setting) -> str:
    """The id of the key that has to lie in a safe: the master key, or the offline one beside a KMS.

    Empty where there is none: the key lies in KMS alone, which is a finding of its own.

    Raises:
        ConfigurationInvalid: there is no such key.
    """
    key = setting.datasets.key
    if key.provider != KmsKey.name:
        return provider_of(setting).master_key_id
    return offline_key_id(key.offline) if key.offline else ""


def offline_key_id(public_key: bytes) -> str:
    """The name of an offline key: 16 hex digits."""
    return sha256(b"holdfast offline key" + public_key).hexdigest()[:16]


def confirm_escrow(setting: Setting, *, by: str, where: str) -> Record:
    """Record somebody's word that the key of today lies in escrow.

    Raises:
        ConfigurationInvalid: nobody is named, or there is no key that could.
        StorageError, LedgerBroken.
    """
    if not by.strip():
        raise ConfigurationInvalid("it needs the name of who keeps the key", hint="--by WHO")
    key = key_on_paper(setting)
    if not key:
        raise ConfigurationInvalid(
            "the master key lies in AWS KMS, and cannot be put into a safe",
            hint="`holdfast keys offline` makes one that can",
        )
    told = f"KEPT 4.2 · key {key} lies in escrow, by the word of {by}" + (
        f": {where}" if where else ""
    )
    return record_of_policy(setting, Kind.ESCROWED, {"key": key, "by": by, "where": where}, told)


def record_kit(setting: Setting, body: Mapping[str, object], told: str) -> Record:
    """Record that a rescue kit was made, as policy_state.Kit says.

    Raises:
        StorageError, LedgerBroken.
    """
    return record_of_policy(setting, Kind.KIT, dict(body), told)


def escrow_findings(setting: Setting, *, version: str) -> Iterator[Finding]:
    """What nobody has confirmed, and what is out of date.

    Args:
        version: of Holdfast, today.
    """
    try:
        head = policy_ledger(setting).head()
        state = PolicyState.of_json(head.state if head else {})
        key = key_on_paper(setting)
        signing = setting.connection(setting.datasets.signing_key).password
        public = Signer.of_text(signing).public_key.hex()
    except BackupError as error:
        yield Finding(
            key="escrow-unknown",
            clauses=("4.2",),
            subject="",
            words=_WORDS,
            reality=f"nobody can say who keeps the master key: {error.message}",
            reading=error.hint or "mend that first",
        )
        return
    if key and key not in state.escrowed:
        yield Finding(
            key="not-escrowed",
            clauses=("4.2",),
            subject="",
            words=_WORDS,
            reality=(
                f"nobody has said that the sheet with key {key} lies in a safe: without it no "
                "backup can be opened once this machine is gone"
            ),
            reading="put it there, then `holdfast keys escrowed --by WHO --where TEXT`",
        )
    if why := _kit_trouble(state, version=version, signing_key=public):
        yield Finding(
            key="rescue-kit",
            clauses=("4.2",),
            subject="",
            words=_WORDS,
            reality=why,
            reading="`make rescue-kit`, and put it where it outlives this machine",
        )


def _kit_trouble(state: PolicyState, *, version: str, signing_key: str) -> str:
    kit = state.kit
    if kit is None:
        return "no rescue kit is known, which restores without a network"
    if kit.version != version:
        return f"the rescue kit of {day(kit.at)} is of Holdfast {kit.version}, this is {version}"
    if kit.signing_key != signing_key:
        return f"the rescue kit of {day(kit.at)} has the public part of another signing key"
    return ""
