"""Lock files: who uses a repository, and whether alone.

    lock = seal(0x02 zstd(JSON {time, exclusive, hostname, username, pid, uid?, gid?}))

The host name we publish is synthetic: `restic unlock` sends SIGHUP to the process of a lock that
carries its own host's name, and a Python process dies of it.

Source: restic design document, "Locks".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.backup.errors import DamageFound
from include.backup.format.times import datetime_of_text, text_of_datetime
from include.backup.format.unpacked import MALFORMED, seal_document, unseal_document

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.format.crypto import MasterKey


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """What one lock file says."""

    time: datetime
    exclusive: bool
    hostname: str
    username: str
    pid: int


def encode_lock(key: MasterKey, lock: LockFile) -> bytes:
    """Make the lock file."""
    document = {
        "time": text_of_datetime(lock.time),
        "exclusive": lock.exclusive,
        "hostname": lock.hostname,
        "username": lock.username,
        "pid": lock.pid,
    }
    return seal_document(key, json.dumps(document, separators=(",", ":")).encode())


def decode_lock(key: MasterKey, data: bytes, *, what: str) -> LockFile:
    """Open a lock file.

    Raises:
        SealBroken, DamageFound: the message names `what`.
    """
    document = unseal_document(key, data, what=what)
    try:
        return LockFile(
            time=datetime_of_text(document["time"]),
            exclusive=bool(document["exclusive"]),
            hostname=str(document["hostname"]),
            username=str(document["username"]),
            pid=int(document["pid"]),
        )
    except MALFORMED as error:
        raise DamageFound(f"{what} is not a lock: {error!r}") from error
