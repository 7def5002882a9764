"""The ledger: the sequence of signed records of one subject, which never forks.

    ledger/0000000001.json      record 1
    ledger/0000000002.json      record 2, which holds the SHA-256 of record 1, …

The number of a record is its file's name, and a name is given once: of all writers that want to be
record 43, one is. The others read what it wrote and try to be record 44, with the state computed
anew. The newest record carries the state of its subject, so nobody needs to read the rest to act.

What a ledger cannot show by itself is that its newest records were taken away. Whoever noted the
number and digest of a record (they end the last sentence of every log) can: see `verify`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from include.backup.errors import (
    FileAbsent,
    KeyUnusable,
    LedgerBroken,
    MarkerLeft,
    NameTaken,
    RecordRefused,
    StorageUnreachable,
)
from include.backup.evidence.fields import JsonObject
from include.backup.evidence.ledger_files import (
    absent,
    check_link,
    load_record,
    newest_number,
    record_name,
)
from include.backup.evidence.records import (
    LARGEST_BYTES,
    Draft,
    Record,
    Spooled,
    new_id,
    open_record,
    seal_record,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime, timedelta

    from include.backup.evidence.signing import Signer
    from include.backup.storage.base import Storage

# State before, what is to be recorded, and the number it would have → state after. Pure: it is
# called again when another writer was quicker. It may refuse by raising a BackupError.
Fold: TypeAlias = Callable[[JsonObject, Draft, int], JsonObject]
# The newest record → nothing, or it refuses by raising a BackupError.
Guard: TypeAlias = "Callable[[Record | None], None]"
# State after → the closing sentence.
Say: TypeAlias = Callable[[JsonObject], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A record that was seen at another time, as the end of a log's last sentence names it."""

    sequence: int
    sha256: str  # hex, or its beginning


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A ledger whose records all fit."""

    records: int
    head: Record | None
    keys: tuple[str, ...]  # ids of the keys that signed, in the order of their first record


class Ledger:
    """The ledger of one subject. One object is used by one thread at a time."""

    def __init__(
        self,
        storage: Storage,
        *,
        subject: str,
        signer: Signer | None = None,
        trusted: Collection[bytes] = (),
        keep_for: timedelta | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Say where the ledger is; read nothing.

        Args:
            storage: the folder of the subject, in which there is the folder ``ledger``.
            subject: the name of the dataset, or "policy".
            signer: None for those who only read.
            trusted: public keys (32 raw bytes) that may have signed records, beside the signer's.
                Empty, and no signer: every record must be signed, by whomever.
            keep_for: records are saved with a lock date as far ahead.
            guard: called with the newest record before the first is appended; may refuse.
        """
        self.subject = subject
        self._storage = storage
        self._signer = signer
        own = () if signer is None else (signer.public_key,)
        self._trusted = frozenset((*trusted, *own))
        self._keep_for = keep_for
        self._guard = guard
        self._head: Record | None = None
        self._looked = False  # a head of None means that the ledger was seen to be empty

    @property
    def trusted(self) -> Collection[bytes]:
        """The public keys that may have signed its records; empty: whoever."""
        return self._trusted

    def head(self) -> Record | None:
        """The newest record; None in an empty ledger. The first call lists, later ones do not.

        Raises:
            LedgerBroken: it does not fit, or records before it are absent.
            StorageError.
        """
        if not self._looked:
            newest = newest_number(self._storage, self.subject)
            self._head = self._load(newest) if newest else None
            self._looked = True
        else:
            while (newer := self._next()) is not None:
                self._head = newer
        return self._head

    def draft(
        self, *, kind: str, act: str, at: datetime, body: JsonObject, sentence: str = ""
    ) -> Draft:
        """What is to be recorded, with an id of its own."""
        return Draft(
            id=new_id(),
            at=at,
            subject=self.subject,
            kind=kind,
            act=act,
            body=body,
            sentence=sentence,
            after=0 if self._head is None else self._head.sequence,
        )

    def append(self, draft: Draft, *, fold: Fold, say: Say | None = None) -> Record:
        """Record `draft` after the newest record and return it.

        Args:
            say: makes the sentence from the state after; without it the draft's own is kept.

        Raises:
            StorageError: it may have been saved all the same if the error is StorageUnreachable.
                Spooling the draft, or at once appending it again, is safe: its id shows that.
            KeyUnusable: there is no signing key.
            RecordRefused: it is too large.
            BackupError: what `fold` refuses.
        """
        # The head that is known will do, and a second try needs the same: from it on, every record
        # is compared with the draft.
        head = self._head if self._looked else self.head()
        return self._append(draft, head, fold=fold, say=say, at=draft.at, spooled=None)

    def append_spooled(self, draft: Draft, *, key: str, at: datetime, fold: Fold) -> Record:
        """Record a draft that waited in a spool, unless it is here already; return its record.

        Args:
            key: the id of the key that had signed the draft; empty when nobody had.
            at: now; the record holds both times.

        Raises:
            As `append`.
        """
        head = self.head()
        for record in self.read(draft.after + 1):
            if record.id == draft.id:
                return record
            head = record  # what came since the head was read is looked at as well
        spooled = Spooled(at=draft.at, key=key)
        return self._append(draft, head, fold=fold, say=None, at=at, spooled=spooled)

    def read(self, from_sequence: int = 1) -> Iterator[Record]:
        """The records from a number on, in order; each must fit the one before.

        Raises:
            LedgerBroken: names the first that does not.
            StorageError.
        """
        head = self.head()
        yield from self._chain(max(from_sequence, 1), head.sequence if head else 0, self._trusted)

    def verify(
        self, trusted: Collection[bytes] | None = None, *, witness: Witness | None = None
    ) -> Verified:
        """Read the whole ledger and see that every record fits.

        Args:
            trusted: public keys that may have signed; None: those given to the ledger. If there
                are none either, the result names the keys, and somebody has to compare them.
            witness: a record noted elsewhere, which shows whether the newest were taken away.

        Raises:
            LedgerBroken: names the first record that does not fit: absent, out of order, changed,
                signed by another, or not the one that the witness saw.
            StorageError.
        """
        allowed = self._trusted if trusted is None else frozenset(trusted)
        newest = newest_number(self._storage, self.subject, strict=True)
        head: Record | None = None
        keys: dict[str, None] = {}
        for head in self._chain(1, newest, allowed):
            keys[head.key] = None
            if witness is not None and witness.sequence == head.sequence:
                _check_witness(head, witness)
        if witness is not None and witness.sequence > newest:
            raise absent(newest + 1, self.subject)
        return Verified(records=newest, head=head, keys=tuple(keys))

    def _append(
        self,
        draft: Draft,
        head: Record | None,
        *,
        fold: Fold,
        say: Say | None,
        at: datetime,
        spooled: Spooled | None,
    ) -> Record:
        if self._signer is None:
            raise KeyUnusable(
                f"there is no signing key for the ledger of {self.subject}",
                hint="without one, acts are kept in the spool until somebody adopts them",
            )
        if self._guard is not None:
            self._guard(head)
            self._guard = None
        while True:
            sequence = head.sequence + 1 if head else 1
            state = fold(head.state if head else {}, draft, sequence)
            data = seal_record(
                replace(draft, at=at, sentence=say(state) if say else draft.sentence),
                sequence=sequence,
                previous=head.sha256 if head else "",
                state=state,
                signer=self._signer,
                spooled=spooled,
            )
            if len(data) > LARGEST_BYTES:
                raise RecordRefused(
                    f"record {sequence} of {self.subject} would have {len(data)} bytes; "
                    f"the limit is {LARGEST_BYTES}"
                )
            # Another may be quicker: its record is read like any other, and then we try to be the
            # one after it. Ours is known by its id, also if an earlier try did save it.
            saved = self._save(sequence, data, at)
            if head is not None:
                check_link(head, saved)
            self._head = head = saved
            if saved.id == draft.id:
                return saved

    def _save(self, sequence: int, data: bytes, at: datetime) -> Record:
        """Save a record unless its number is taken; return the one that has the number."""
        # Before, not after: what cannot be read again must not get into the ledger.
        ours = open_record(data, subject=self.subject, sequence=sequence, trusted=self._trusted)
        try:
            self._storage.save(
                record_name(sequence),
                data,
                sha256=sha256(data).digest(),
                locked_until=None if self._keep_for is None else at + self._keep_for,
            )
        except NameTaken:
            return self._load(sequence)
        except StorageUnreachable as error:
            # The answer was lost; the request may not have been. Whoever is there now is the one.
            try:
                return self._load(sequence)
            except FileAbsent:
                raise error from None
        return ours

    def _next(self) -> Record | None:
        """The record after the head, if there is one."""
        try:
            newer = self._load(self._head.sequence + 1 if self._head else 1)
        except (FileAbsent, MarkerLeft):  # with a marker alone the number is not free, nor a record
            return None
        if self._head is not None:
            check_link(self._head, newer)
        return newer

    def _load(self, sequence: int) -> Record:
        return load_record(self._storage, self.subject, sequence, trusted=self._trusted)

    def _chain(self, first: int, last: int, trusted: Collection[bytes]) -> Iterator[Record]:
        """The records of numbers that must all exist, each fitting the one before."""
        before: Record | None = None
        for sequence in range(first, last + 1):
            try:
                record = load_record(self._storage, self.subject, sequence, trusted=trusted)
            except FileAbsent:
                raise absent(sequence, self.subject) from None
            if before is not None:
                check_link(before, record)
            before = record
            yield record


def _check_witness(record: Record, witness: Witness) -> None:
    if not witness.sha256 or not record.sha256.startswith(witness.sha256):
        raise LedgerBroken(
            f"record {record.sequence} of {record.subject} has another digest than was seen"
        )
