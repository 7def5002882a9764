"""Copying a ledger, record by record: a copy is the beginning of it, byte for byte, or refused."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import FileAbsent, LedgerBroken, NameTaken, NotAReplica, ReplicaDamaged
from include.backup.evidence.ledger_files import (
    absent,
    check_link,
    load_record,
    newest_number,
    record_name,
)
from include.backup.evidence.records import open_record
from include.backup.storage.retry import agreed, reread

DAMAGED_HINT: Final = 'RUNBOOK.md, "A replica is damaged"'

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime, timedelta

    from include.backup.evidence.records import Record
    from include.backup.storage.base import Storage


def require_beginning(home: Storage, copy: Storage, subject: str) -> int:
    """See that the copy of a ledger is the beginning of it; return the number of its records.

    Args:
        home, copy: the folders of the subject.

    Raises:
        NotAReplica: it is another one, or goes further.
        ReplicaDamaged: records are absent in it.
        StorageError.
    """
    try:
        newest = newest_number(copy, subject)
    except LedgerBroken as error:
        raise ReplicaDamaged(f"in {copy.url}: {error.message}", hint=DAMAGED_HINT) from error
    if not newest:
        return 0
    known = min(newest, newest_number(home, subject))
    name = record_name(known)
    if known and not agreed(lambda: home.load(name) == copy.load(name)):
        raise NotAReplica(
            f"record {known} of {subject} in {copy.url} is another one than at home: two vaults "
            "have gone on with one ledger, or it is that of another dataset",
            hint='nothing was copied; RUNBOOK.md, "Two homes"',
        )
    if known < newest:
        raise NotAReplica(
            f"the ledger of {subject} in {copy.url} has {newest} records, and that of its home "
            f"{known}",
            hint='the home has lost some, or was replaced: RUNBOOK.md, "Two homes"',
        )
    return newest


def copy_records(  # noqa: PLR0913 two places, and what lies between
    home: Storage,
    copy: Storage,
    subject: str,
    *,
    first: int,
    last: int,
    trusted: Collection[bytes],
    keep_for: timedelta | None,
    now: datetime,
    go_on: Callable[[], None],
) -> None:
    """Copy some records, in order; each is verified before, and compared after.

    Args:
        keep_for: they are saved with a lock date as long after they were written, if it is ahead.

    Raises:
        LedgerBroken: one does not fit at home; those before it are copied.
        ReplicaDamaged: one is not what it was copied from.
        StorageError.
    """
    before: Record | None = None
    if first > 1:
        before = load_record(home, subject, first - 1, trusted=trusted)
    for sequence in range(first, last + 1):
        go_on()
        name = record_name(sequence)
        try:
            record, data = reread(lambda: _verified(home, subject, sequence, trusted))  # noqa: B023
        except FileAbsent:
            raise absent(sequence, subject) from None
        if before is not None:
            check_link(before, record)
        before = record
        until = None if keep_for is None else record.at + keep_for
        ahead = until if until is not None and until > now else None
        with suppress(NameTaken):
            copy.save(name, data, sha256=sha256(data).digest(), locked_until=ahead)
        if copy.load(name) != data and agreed(lambda: copy.load(name)) != data:  # noqa: B023
            raise ReplicaDamaged(
                f"record {sequence} of {subject} in {copy.url} is not as at home",
                hint=DAMAGED_HINT,
            )


def _verified(
    home: Storage, subject: str, sequence: int, trusted: Collection[bytes]
) -> tuple[Record, bytes]:
    """A record, and its file."""
    data = home.load(record_name(sequence))
    return open_record(data, subject=subject, sequence=sequence, trusted=trusted), data
