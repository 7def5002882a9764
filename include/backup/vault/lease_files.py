"""The files of a lease: a chain of numbers, each of which can be created once.

    leases/<kind>/0000000007.json      taken, renewed or released by creating the next number
    leases/<kind>/probe-<random>       tells the server's time; removed at once

    file = canonical JSON {version, token, owner, since, released}

Whoever creates number n + 1 has changed the lease from what n said: of many, one can. The highest
number is the lease; older files are removed, but the newest two stay for ever. So a number that
was used is still there or has a higher one beside it: whoever creates one that was used and
removed long ago, because it slept between looking and creating, looks again afterwards and sees
that it has lost.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from include.backup.errors import (
    AlreadyRunning,
    FileAbsent,
    LedgerBroken,
    NameTaken,
    StorageError,
    StorageUnreachable,
)
from include.backup.evidence.fields import Fields, canonical, parse_canonical
from include.backup.format.times import text_of_datetime
from include.backup.storage.retry import agreed
from include.backup.vault.owners import Owner

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.storage.base import FileInfo, Storage

VERSION: Final = 1
LARGEST_BYTES: Final = 1 << 14
MOST_TRIES: Final = 20
_FILES_KEPT: Final = 2  # so that a listing that goes on while one is added sees one of them
_STALE_PROBE: Final = timedelta(hours=1)
_NAME: Final = re.compile(r"leases/[a-z_-]+/([0-9]{10})\.json", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseFile:
    """What one file of a lease says."""

    token: str  # of the one acquisition that it belongs to; 32 hex digits
    owner: Owner
    since: datetime  # when it was acquired, by the holder's clock: for people only
    released: bool = False

    def to_bytes(self) -> bytes:
        """The file."""
        return canonical({
            "version": VERSION,
            "token": self.token,
            "owner": self.owner.to_json(),
            "since": text_of_datetime(self.since),
            "released": self.released,
        })

    @classmethod
    def parse(cls, data: bytes) -> LeaseFile | None:
        """Read the file; None when it is no such file, so that only its age counts."""
        try:
            document = parse_canonical(data, what="the lease", largest_bytes=LARGEST_BYTES)
            fields = Fields(document, what="the lease")
            owner = Owner.of_json(fields.document("owner"))
            if fields.number("version") != VERSION or owner is None:
                return None
            return cls(
                token=fields.text("token"),
                owner=owner,
                since=fields.moment("since"),
                released=fields.flag("released"),
            )
        except LedgerBroken:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lease now."""

    number: int
    file: LeaseFile | None  # None: unreadable
    renewed_at: datetime  # by the server's clock

    def __str__(self) -> str:
        if self.file is None:
            return f"already running since {_utc(self.renewed_at)} or earlier (owner unknown)"
        return f"already running since {_utc(self.file.since)} (owner {self.file.owner.name})"


class Created(Enum):
    """What came of creating a number."""

    NOW = "now"
    BEFORE = "before"  # by an earlier try of ours whose answer was lost
    LOST = "lost"  # somebody else was here, or went on


def create(storage: Storage, kind: str, number: int, file: LeaseFile) -> Created:
    """Create a number, and say whether it makes the lease ours.

    Raises:
        StorageError: after StorageUnreachable it may be there all the same; see Created.BEFORE.
    """
    name, data = _name(kind, number), file.to_bytes()
    created = Created.NOW
    try:
        storage.save(name, data)
    except (NameTaken, StorageUnreachable) as error:
        try:
            if storage.load(name) != data:
                return Created.LOST
        except FileAbsent:
            if isinstance(error, StorageUnreachable):
                raise error from None
            return Created.LOST
        created = Created.BEFORE
    files = {info.name: info for info in storage.list(_folder(kind))}
    numbers = sorted(found for known in files if (found := _number(known)))
    if not numbers or numbers[-1] != number:
        # The number was free because it had been used and removed. Nobody looks below the highest.
        _tidy(storage, [name])
        return Created.LOST
    saved_at = files[name].modified_at
    stale = [
        info.name
        for info in files.values()
        if not _number(info.name) and saved_at - info.modified_at > _STALE_PROBE
    ]
    _tidy(storage, [_name(kind, old) for old in numbers[:-_FILES_KEPT]] + stale)
    return created


def newest_holder(storage: Storage, kind: str) -> Holder | None:
    """What the highest number of a lease says; None when it was never taken.

    Raises:
        StorageError.
    """
    for _ in range(MOST_TRIES):
        numbered = [info for info in storage.list(_folder(kind)) if _number(info.name)]
        if not numbered:
            return None
        newest = max(numbered)
        with suppress(FileAbsent):  # others went on meanwhile
            return Holder(
                number=_number(newest.name),
                file=_said_by(storage, newest),
                renewed_at=newest.modified_at,
            )
    raise AlreadyRunning(f"the {kind} lease changes hands too quickly", hint="try again")


def _said_by(storage: Storage, info: FileInfo) -> LeaseFile | None:
    """What a file of a lease says. A bit that is flipped on the way makes no holder, and none dead.

    Raises:
        StorageError.
    """

    def read() -> LeaseFile | None:
        return LeaseFile.parse(_content(storage, info))

    file = read()
    return agreed(read) if file is None or file.owner.is_dead() else file


def _content(storage: Storage, info: FileInfo) -> bytes:
    """What a file of a lease holds; nothing of one that is none, and would fill the memory."""
    return storage.load(info.name) if info.size_bytes <= LARGEST_BYTES else b""


def is_alive(storage: Storage, kind: str, newest: Holder, time_to_live: timedelta) -> bool:
    """Whether nobody else may take the lease.

    Raises:
        StorageError.
    """
    if newest.file is not None and (newest.file.released or newest.file.owner.is_dead()):
        return False
    probe = f"{_folder(kind)}probe-{secrets.token_hex(8)}"
    storage.save(probe, b"")
    try:
        age = storage.stat(probe).modified_at - newest.renewed_at
    finally:
        _tidy(storage, [probe])
    return age <= time_to_live


def _tidy(storage: Storage, names: list[str]) -> None:
    if names:
        with suppress(StorageError):  # files too many do no harm
            storage.delete(names)


def _folder(kind: str) -> str:
    return f"leases/{kind}/"


def _name(kind: str, number: int) -> str:
    return f"{_folder(kind)}{number:010d}.json"


def _number(name: str) -> int:
    """The number in the name of a file; 0 when it has none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
