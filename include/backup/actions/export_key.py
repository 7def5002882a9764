"""Handing out the password of one repository, and recording that it was handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions.acts import Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_acts import EXPORT
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.vault.keyring import KeyContext, load_secret

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting


def export_key(setting: Setting, name: str, generation: str) -> tuple[Outcome, str]:
    """The password that stock restic asks for; recorded before it is returned.

    Raises:
        ConfigurationInvalid: there is no such generation.
        KeyUnusable, DamageFound, StorageError.
    """
    place = DatasetVault.open_to_rescue(setting, name)
    known = place.state().generation(generation)
    if known is None:
        names = ", ".join(one.id for one in place.state().generations) or "none"
        raise ConfigurationInvalid(
            f"{name} has no generation {generation!r}", hint=f"there are: {names}"
        )
    act = Act(place, EXPORT)
    act.begin()

    def failed(error: BaseException) -> str:
        return sentences.export_failed(
            place.subject, generation=generation, reason=reason_of(error), hint=hint_of(error)
        )

    with act.ending(failed):
        secret = load_secret(
            place.folder,
            place.provider(),
            KeyContext(dataset=name, generation=generation),
            envelope_sha256=known.envelope_sha256,
        )
    told = sentences.password_exported(place.subject, generation=generation, by=setting.owner)
    body = {"generation": generation, "by": setting.owner}
    outcome = act.end(Kind.KEY_EXPORTED, body, say=lambda _: told, what="password exported")
    return outcome, secret.password
