"""What opens envelopes, by datasets.yaml: a key of our own, or one in AWS KMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.vault.keyring import LocalKey
from include.backup.vault.kms import KmsKey

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import KeySettings
    from include.backup.vault.keyring import KeyProvider


def provider_of(setting: Setting, key: KeySettings | None = None) -> KeyProvider:
    """The provider of a master key; of the configured one, if none is named.

    Raises:
        ConfigurationInvalid: there is no such connection, or it holds no key.
    """
    key = key or setting.datasets.key
    if key.provider == KmsKey.name:
        return KmsKey(key.key_id, setting.kms(key))
    return LocalKey.of_text(setting.connection(key.connection).password)
