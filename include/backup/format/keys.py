"""Key files: the master key of a repository, sealed under a password.

    key file = JSON {created, username, hostname, kdf, N, r, p, salt, data}
    data     = seal(scrypt(password, salt), JSON {mac: {k, r}, encrypt})

Our passwords are 256 random bits, which no amount of guessing finds, so scrypt adds nothing to
them; its cost is set to what stock restic accepts and opens without delay.

Source: restic design document, "Keys, Encryption and MAC".
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any

from include.backup.errors import DamageFound, KeyUnusable, SealBroken
from include.backup.format.crypto import MasterKey, seal, unseal
from include.backup.format.times import text_of_datetime
from include.backup.format.unpacked import MALFORMED, parse_document

if TYPE_CHECKING:
    from datetime import datetime

SALT_SIZE = 64
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 14, 8, 1
# Refuse a key file that would make us fill the memory, or compute for longer than some seconds;
# stock restic stays below 60 MiB and half a second.
_MAX_SCRYPT_BYTES = 1 << 30
_MAX_SCRYPT_WORK = 1 << 24  # N r p


def seal_key_file(key: MasterKey, password: str, *, now: datetime, hostname: str) -> bytes:
    """Make a key file that opens `key` with `password`."""
    salt = secrets.token_bytes(SALT_SIZE)
    user_key = _derive(password, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)
    secret = {
        "mac": {"k": _base64(key.mac_k), "r": _base64(key.mac_r)},
        "encrypt": _base64(key.encrypt),
    }
    document = {
        "created": text_of_datetime(now),
        "username": "holdfast",
        "hostname": hostname,
        "kdf": "scrypt",
        "N": SCRYPT_N,
        "r": SCRYPT_R,
        "p": SCRYPT_P,
        "salt": _base64(salt),
        "data": _base64(seal(user_key, json.dumps(secret, separators=(",", ":")).encode())),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def open_key_file(data: bytes, password: str, *, what: str) -> MasterKey:
    """Open a key file.

    Raises:
        KeyUnusable: the password does not open it.
        DamageFound: it is not a key file.
    """
    document = parse_document(data, what=what)
    try:
        cost = int(document["N"]), int(document["r"]), int(document["p"])
        salt = base64.b64decode(document["salt"], validate=True)
        sealed = base64.b64decode(document["data"], validate=True)
        known = document["kdf"] == "scrypt"
    except MALFORMED as error:
        raise DamageFound(f"{what} is not a key file: {error!r}") from error
    if not known or not _affordable(*cost):
        raise DamageFound(f"{what} asks for a key derivation that is not scrypt of sane cost")
    try:
        secret = parse_document(unseal(_derive(password, salt, *cost), sealed), what=what)
    except SealBroken:
        raise KeyUnusable(f"the password does not open {what}") from None
    return _master_key(secret, what)


def _master_key(secret: dict[str, Any], what: str) -> MasterKey:
    try:
        key = MasterKey(
            encrypt=base64.b64decode(secret["encrypt"], validate=True),
            mac_k=base64.b64decode(secret["mac"]["k"], validate=True),
            mac_r=base64.b64decode(secret["mac"]["r"], validate=True),
        )
    except MALFORMED:
        raise DamageFound(f"{what} holds no master key") from None
    if (len(key.encrypt), len(key.mac_k), len(key.mac_r)) != (32, 16, 16):
        raise DamageFound(f"{what} holds a master key of the wrong length")
    return key


def _affordable(n: int, r: int, p: int) -> bool:
    return (
        r > 0
        and p > 0
        and 1 < n < 1 << min(16 * r, 31)  # RFC 7914: N < 2^(128 r / 8)
        and n & (n - 1) == 0
        and 128 * r * (n + p + 2) <= _MAX_SCRYPT_BYTES
        and n * r * p <= _MAX_SCRYPT_WORK
    )


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> MasterKey:
    material = hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, dklen=64, maxmem=(1 << 31) - 1
    )
    return MasterKey(encrypt=material[:32], mac_k=material[32:48], mac_r=material[48:])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
