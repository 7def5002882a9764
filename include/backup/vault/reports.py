"""Reports of verifications, beside the ledger and sealed: they name tables, files and faults.

    reports/<act>.json = canonical JSON {version, provider, master_key_id, dataset, act, wrapped,
                                         nonce, sealed}
    wrapped            = base64 of 256 random bits, wrapped with the master key (see keyring.py)
    sealed             = base64 of AES-256-GCM of the page, bound to dataset and act

A report lives as long as its record, longer than any generation: so it has a key of its own.

Source: NIST SP 800-38D.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from include.backup.errors import DamageFound, FileAbsent, KeyUnusable
from include.backup.evidence.fields import Fields, canonical, parse_canonical
from include.backup.vault.keyring import SECRET_SIZE, KeyContext

if TYPE_CHECKING:
    from include.backup.storage.base import Storage
    from include.backup.vault.keyring import KeyProvider

REPORTS: Final = "reports/"  # in the folder of a dataset
_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_LARGEST_BYTES: Final = 64 << 20
_GENERATION: Final = "report"  # in the context of the key
_ACT: Final = re.compile(r"[0-9a-f-]{8,64}", re.ASCII)


def report_name(act: str) -> str:
    """The name of a report in the folder of its dataset."""
    if not _ACT.fullmatch(act):
        raise DamageFound(f"{act[:80]!r} is no id of an act")
    return f"{REPORTS}{act}.json"


def seal_report(page: bytes, provider: KeyProvider, *, dataset: str, act: str) -> bytes:
    """The file of a report.

    Raises:
        KeyUnusable: the provider refused.
    """
    key, nonce = secrets.token_bytes(SECRET_SIZE), secrets.token_bytes(_NONCE_BYTES)
    context = KeyContext(dataset=dataset, generation=_GENERATION)
    return canonical({
        "version": _VERSION,
        "provider": provider.name,
        "master_key_id": provider.master_key_id,
        "dataset": dataset,
        "act": act,
        "wrapped": base64.b64encode(provider.wrap(key, context)).decode(),
        "nonce": base64.b64encode(nonce).decode(),
        "sealed": base64.b64encode(
            AESGCM(key).encrypt(nonce, page, _bound_to(dataset, act))
        ).decode(),
    })


def open_report(data: bytes, provider: KeyProvider, *, dataset: str, act: str) -> bytes:
    """The page of a report.

    Raises:
        DamageFound: it is none, or another's.
        KeyUnusable: it was sealed with another master key.
    """
    what = f"the report of act {act}"
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
        key = provider.unwrap(wrapped, KeyContext(dataset=dataset, generation=_GENERATION))
        return AESGCM(key).decrypt(nonce, sealed, _bound_to(dataset, act))
    except (binascii.Error, InvalidTag, ValueError) as error:
        raise DamageFound(f"{what} is not what was written") from error


def load_report(folder: Storage, provider: KeyProvider, *, dataset: str, act: str) -> bytes:
    """Load and open a report from the folder of its dataset.

    Raises:
        DamageFound: it is gone, or not what was written.
        KeyUnusable, StorageError.
    """
    try:
        data = folder.load(report_name(act))
    except FileAbsent as error:
        raise DamageFound(f"the report of act {act} is gone") from error
    return open_report(data, provider, dataset=dataset, act=act)


def _bound_to(dataset: str, act: str) -> bytes:
    return f"holdfast report {dataset} {act}".encode()
