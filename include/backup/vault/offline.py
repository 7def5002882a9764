"""A second recipient of each envelope: a key that is kept on paper, for the day the KMS is gone.

    recipient  = an X25519 public key (32 bytes); its private key is nowhere but on paper
    sent       = the public key of a pair that is made for this one envelope, and forgotten
    wrapping   = HKDF-SHA256 of X25519(pair, recipient), 32 bytes
                 salt: sent + recipient; info: "holdfast offline key <dataset>/<generation>"
    wrapped    = AES key wrap of the secret with it (40 bytes)

That is ECDH in CMS with X25519, HKDF and AES key wrap (RFC 8418), with an info of our own in the
place of DER, so that thirty lines of Python open it. What is known to its generation opens in no
other. Sealing needs no secret: whoever writes envelopes cannot open what others wrote.

Source: RFC 7748; RFC 5869; RFC 3394; RFC 8418, section 2.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from include.backup.errors import DamageFound, KeyUnusable
from include.backup.evidence.fields import Fields

if TYPE_CHECKING:
    from include.backup.evidence.fields import JsonObject

KEY_BYTES: Final = 32
_FIELDS: Final = ("recipient", "sent", "wrapped")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineCopy:
    """A secret for the offline recipient, as it stands in an envelope."""

    recipient: bytes
    sent: bytes
    wrapped: bytes

    def to_json(self) -> dict[str, object]:
        """The field `offline` of an envelope."""
        return {name: base64.b64encode(getattr(self, name)).decode() for name in _FIELDS}

    @classmethod
    def parse(cls, document: JsonObject, *, what: str) -> OfflineCopy:
        """Read that field.

        Raises:
            DamageFound: it is none; names `what` and the field.
        """
        fields = Fields(document, what=f"{what}, offline", error=DamageFound)
        fields.only(_FIELDS)
        found: dict[str, bytes] = {}
        for name in _FIELDS:
            try:
                found[name] = base64.b64decode(fields.text(name).encode(), validate=True)
            except binascii.Error:
                fields.refuse(name, "no base64")
        return cls(**found)


def new_pair() -> tuple[bytes, bytes]:
    """A private key, for paper, and its public key, for datasets.yaml."""
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def seal_offline(recipient: bytes, secret: bytes, where: str) -> OfflineCopy:
    """Wrap a secret for the recipient.

    Args:
        where: ``<dataset>/<generation>``, which it opens for.

    Raises:
        KeyUnusable: the public key is none.
    """
    pair = X25519PrivateKey.generate()
    sent = pair.public_key().public_bytes_raw()
    wrapping = _wrapping(pair, recipient, salt=sent + recipient, where=where)
    return OfflineCopy(recipient=recipient, sent=sent, wrapped=aes_key_wrap(wrapping, secret))


def open_offline(copy: OfflineCopy, private_key: bytes, where: str) -> bytes:
    """Unwrap what `seal_offline` made; as unwrap.py does, in which no word of this is used.

    Raises:
        KeyUnusable: another key, another place, or changed bytes.
    """
    private = X25519PrivateKey.from_private_bytes(private_key)
    try:
        wrapping = _wrapping(private, copy.sent, salt=copy.sent + copy.recipient, where=where)
        return aes_key_unwrap(wrapping, copy.wrapped)
    except (InvalidUnwrap, ValueError):
        raise KeyUnusable(f"the offline key does not open the envelope of {where}") from None


def _wrapping(own: X25519PrivateKey, other: bytes, *, salt: bytes, where: str) -> bytes:
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError:
        raise KeyUnusable(
            "the offline recipient is no public key of X25519",
            hint="`holdfast keys offline` makes one",
        ) from None
    info = f"holdfast offline key {where}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(shared)
