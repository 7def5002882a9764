"""The spool: drafts of records that could not be saved in the vault, kept on this machine.

    <spool>/<subject>/0000000001-<id>.json                waits; numbers give the order
    <spool>/<subject>/refused/<id>-<SHA-256, 8 digits>.json   does not fit; for a person to see

The next act that reaches the vault adopts them. A draft may be adopted by two processes at once,
or by one that dies before it can remove the file: its id is looked for in the ledger first, in all
records that came after the draft was made, so it is recorded once.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import (
    FileAbsent,
    LeaseLost,
    LedgerBroken,
    NameTaken,
    RecordRefused,
)
from include.backup.evidence.records import open_draft, seal_draft

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from include.backup.evidence.ledger import Fold, Ledger
    from include.backup.evidence.records import Draft, Record
    from include.backup.evidence.signing import Signer
    from include.backup.storage.base import Storage

_NAME: Final = re.compile(r"([0-9]{10})-([0-9a-f]{16})\.json", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDraft:
    """A draft that cannot become a record. Its file was put aside."""

    name: str  # of the file in the spool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What became of the drafts of one subject."""

    records: tuple[Record, ...]  # one for each draft, also if an earlier try had appended it
    refused: tuple[RefusedDraft, ...]


class Spool:
    """A folder of signed drafts, on storage that does not depend on the vault."""

    def __init__(
        self, storage: Storage, *, signer: Signer | None = None, trusted: Collection[bytes] = ()
    ) -> None:
        """Say where the spool is; touch nothing.

        Args:
            storage: a local directory, mode 0700: `LocalStorage(path)`.
            signer: None in a rescue without a signing key: drafts say that nobody signed them.
            trusted: public keys (32 raw bytes), beside the signer's, whose drafts are adopted.
        """
        self._storage = storage
        self._signer = signer
        own = () if signer is None else (signer.public_key,)
        self._trusted = frozenset((*trusted, *own))

    @property
    def url(self) -> str:
        """Where it is, for people."""
        return self._storage.url.removeprefix("file://")

    def save(self, draft: Draft) -> str:
        """Keep a draft until it is adopted; return the name of its file.

        Raises:
            StorageError.
        """
        waiting = self._waiting(draft.subject)
        number = 1 + max((int(name.rpartition("/")[2][:10]) for name in waiting), default=0)
        name = f"{draft.subject}/{number:010d}-{draft.id}.json"
        self._storage.save(name, seal_draft(draft, signer=self._signer))
        return name

    def waiting(self, subject: str) -> int:
        """How many drafts of a subject wait.

        Raises:
            StorageError.
        """
        return len(self._waiting(subject))

    def adopt(self, ledger: Ledger, *, at: datetime, fold: Fold) -> Adoption:
        """Append the drafts of the ledger's subject, oldest first, and remove them.

        A draft that was tampered with, or that contradicts the ledger (its act was closed
        meanwhile), is put aside with its reason; it holds up neither the others nor the act.

        Args:
            at: now; each record holds both times.

        Raises:
            StorageError: those not adopted yet wait on.
            LedgerBroken: the ledger itself does not fit.
            KeyUnusable: the ledger has no signing key.
        """
        records: list[Record] = []
        refused: list[RefusedDraft] = []
        for name in self._waiting(ledger.subject):
            try:
                data = self._storage.load(name)
            except FileAbsent:
                continue  # another process was quicker
            try:
                draft, key = self._open(name, data, ledger.subject)
            except LedgerBroken as error:
                refused.append(self._put_aside(name, data, error.message))
                continue
            try:
                records.append(ledger.append_spooled(draft, key=key, at=at, fold=fold))
            except (LeaseLost, RecordRefused) as error:
                refused.append(self._put_aside(name, data, error.message))
                continue
            self._storage.delete([name])
        return Adoption(records=tuple(records), refused=tuple(refused))

    def _open(self, name: str, data: bytes, subject: str) -> tuple[Draft, str]:
        what = f"draft {name} in {self._storage.url}"
        draft, key = open_draft(data, what=what, trusted=self._trusted)
        if draft.subject != subject or not name.endswith(f"-{draft.id}.json"):
            raise LedgerBroken(f"{what} holds the draft {draft.id} of {draft.subject}")
        return draft, key

    def _put_aside(self, name: str, data: bytes, reason: str) -> RefusedDraft:
        subject, _, file = name.rpartition("/")
        aside = f"{subject}/refused/{file[11:27]}-{sha256(data).hexdigest()[:8]}.json"
        with suppress(NameTaken):  # the same bytes, from a try that ended before the removal
            self._storage.save(aside, data)
        self._storage.delete([name])
        return RefusedDraft(name=aside, reason=reason)

    def _waiting(self, subject: str) -> list[str]:
        prefix = f"{subject}/"
        names = [info.name for info in self._storage.list(prefix)]
        return [name for name in names if _NAME.fullmatch(name.removeprefix(prefix))]
