"""Files that are sealed for themselves, beside the ledger: they outlive the generations.

    sealed file = canonical JSON {version, provider, master_key_id, dataset, act, wrapped, nonce,
                                  sealed}
    wrapped     = base64 of 256 random bits, wrapped with the master key (see keyring.py)
    sealed      = base64 of AES-256-GCM of the content, bound to its kind, the dataset and the act

Each has a key of its own, for it lives longer than the data key of any generation.

Source: NIST SP 800-38D.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from include.backup.errors import DamageFound, KeyUnusable
from include.backup.evidence.fields import Fields, canonical, parse_canonical
from include.backup.vault.keyring import SECRET_SIZE, KeyContext

if TYPE_CHECKING:
    from include.backup.vault.keyring import KeyProvider

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_LARGEST_BYTES: Final = 64 << 20


def seal(content: bytes, provider: KeyProvider, *, kind: str, dataset: str, act: str) -> bytes:
    """The file.

    Args:
        kind: "report" or "erasure"; what was sealed as one opens as no other.

    Raises:
        KeyUnusable: the provider refused.
    """
    key, nonce = secrets.token_bytes(SECRET_SIZE), secrets.token_bytes(_NONCE_BYTES)
    context = KeyContext(dataset=dataset, generation=kind)
    return canonical({
        "version": _VERSION,
        "provider": provider.name,
        "master_key_id": provider.master_key_id,
        "dataset": dataset,
        "act": act,
        "wrapped": base64.b64encode(provider.wrap(key, context)).decode(),
        "nonce": base64.b64encode(nonce).decode(),
        "sealed": base64.b64encode(
            AESGCM(key).encrypt(nonce, content, _bound_to(kind, dataset, act))
        ).decode(),
    })


def unseal(data: bytes, provider: KeyProvider, *, kind: str, dataset: str, act: str) -> bytes:
    """The content of a file.

    Raises:
        DamageFound: it is none, or another's.
        KeyUnusable: it was sealed with another master key.
    """
    what = f"the {kind} of act {act}"
    document = parse_canonical(data, what=what, largest_bytes=_LARGEST_BYTES, error=DamageFound)
    fields = Fields(document, what=what, error=DamageFound)
    if fields.number("version") != _VERSION:
        fields.refuse("version", document["version"])
    if fields.text("master_key_id") != provider.master_key_id:
        raise KeyUnusable(
            f"{what} opens with master key {fields.text('master_key_id')}, and "
            f"{provider.master_key_id} was given",
            hint="give the master key of that id",
        )
    try:
        wrapped, nonce, sealed = (
            base64.b64decode(fields.text(name).encode(), validate=True)
            for name in ("wrapped", "nonce", "sealed")
        )
        key = provider.unwrap(wrapped, KeyContext(dataset=dataset, generation=kind))
        return AESGCM(key).decrypt(nonce, sealed, _bound_to(kind, dataset, act))
    except (binascii.Error, InvalidTag, ValueError) as error:
        raise DamageFound(f"{what} is not what was written") from error


def _bound_to(kind: str, dataset: str, act: str) -> bytes:
    return f"holdfast {kind} {dataset} {act}".encode()
