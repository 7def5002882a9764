"""The files of a ledger: their names, and which of them are there.

ledger/0000000001.json      record 1
ledger/0000000042.json      record 42; all numbers below it exist
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from include.backup.errors import FileAbsent, LedgerBroken
from include.backup.evidence.records import LARGEST_BYTES, Record, open_record
from include.backup.storage.retry import reread

if TYPE_CHECKING:
    from collections.abc import Collection

    from include.backup.storage.base import Storage

FOLDER: Final = "ledger/"
_NAME: Final = re.compile(r"ledger/([0-9]{10})\.json", re.ASCII)


def record_name(sequence: int) -> str:
    """The name of a record's file in the folder of its subject."""
    return f"{FOLDER}{sequence:010d}.json"


def newest_number(storage: Storage, subject: str, *, strict: bool = False) -> int:
    """The highest number there is; 0 in an empty ledger.

    Args:
        strict: refuse files that are no records.

    Raises:
        LedgerBroken: a number below it is absent; names the first.
        StorageError.
    """
    numbers: set[int] = set()
    for info in storage.list(FOLDER):
        if (match := _NAME.fullmatch(info.name)) and int(match[1]) > 0:
            numbers.add(int(match[1]))
        elif strict:
            raise LedgerBroken(f"{info.name} in the ledger of {subject} is no record")
    newest = max(numbers, default=0)
    # A listing may pass over a file that is saved while it goes on, so each is asked for. The
    # first that is absent ends it: below a stray record 9999999999 are not as many to ask for.
    for sequence in range(1, newest if len(numbers) < newest else 1):
        if sequence not in numbers:
            try:
                storage.stat(record_name(sequence))
            except FileAbsent:
                raise absent(sequence, subject) from None
    return newest


def load_record(
    storage: Storage, subject: str, sequence: int, *, trusted: Collection[bytes]
) -> Record:
    """Load and verify one record; one that does not fit is read again.

    Raises:
        FileAbsent, LedgerBroken, StorageError.
    """
    name = record_name(sequence)
    if (size := storage.stat(name).size_bytes) > LARGEST_BYTES:  # before it fills the memory
        raise LedgerBroken(f"record {sequence} of {subject} has {size} bytes; it is none")
    return reread(
        lambda: open_record(storage.load(name), subject=subject, sequence=sequence, trusted=trusted)
    )


def absent(sequence: int, subject: str) -> LedgerBroken:
    """The error for a record that must be there, because a later one is or was."""
    return LedgerBroken(f"record {sequence} of {subject} is absent")


def check_link(before: Record, record: Record) -> None:
    """See that `record` was written with `before` in view.

    Raises:
        LedgerBroken: it was not.
    """
    if record.previous != before.sha256:
        raise LedgerBroken(
            f"record {record.sequence} of {record.subject}: previous is not the digest of record "
            f"{before.sequence}"
        )
