"""The provider ``aws_kms``: secrets wrapped by a key that never leaves AWS KMS.

    wrapped               = what Encrypt makes of the secret, dataset and generation as its context
    master key id (kms)   = first 16 hex digits of SHA-256("holdfast kms key" + the key's ARN)

The context binds a secret to its place: moved to another generation it opens no more.

Source: AWS KMS Developer Guide, "Encryption context".
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from include.backup.errors import KeyUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.vault.keyring import KeyContext


class Encrypts(Protocol):
    """What storage/kms.py does."""

    def encrypt(self, key_id: str, data: bytes, context: Mapping[str, str]) -> bytes:
        """See storage.kms.Kms."""

    def decrypt(self, key_id: str, data: bytes, context: Mapping[str, str]) -> bytes:
        """See storage.kms.Kms."""


class KmsKey:
    """See keyring.KeyProvider.

    Args:
        arn: of the key itself, never of an alias: those may come to mean another one.
    """

    __slots__ = ("_arn", "_kms", "master_key_id")

    name: Final = "aws_kms"
    master_key_id: str

    def __init__(self, arn: str, kms: Encrypts) -> None:
        self._arn = arn
        self._kms = kms
        self.master_key_id = sha256(b"holdfast kms key" + arn.encode()).hexdigest()[:16]

    def wrap(self, secret: bytes, context: KeyContext) -> bytes:
        """See KeyProvider.wrap.

        Raises:
            KeyUnusable, StorageUnreachable.
        """
        return self._kms.encrypt(self._arn, secret, _bound(context))

    def unwrap(self, wrapped: bytes, context: KeyContext) -> bytes:
        """See KeyProvider.unwrap.

        Raises:
            KeyUnusable, StorageUnreachable.
        """
        try:
            return self._kms.decrypt(self._arn, wrapped, _bound(context))
        except KeyUnusable as error:
            where = f"{context.dataset}/{context.generation}"
            raise KeyUnusable(f"{where}: {error.message}", hint=error.hint) from None

    def __repr__(self) -> str:
        return f"KmsKey({self.master_key_id})"


def _bound(context: KeyContext) -> dict[str, str]:
    return {"dataset": context.dataset, "generation": context.generation}
