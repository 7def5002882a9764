"""Keys, storages with faults and a small fold, for the tests of evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from include.backup.errors import StorageUnreachable
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.signing import Signer
from include.backup.storage.base import Folder
from include.backup.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.records import Draft, Record
    from include.backup.storage.base import Storage

NOW = datetime(2026, 11, 23, 1, 0, 4, tzinfo=UTC)
SIGNER = Signer(bytes(range(32)))
OTHER_SIGNER = Signer(bytes(range(1, 33)))
HOUR = timedelta(hours=1)


def count(state: JsonObject, draft: Draft, sequence: int) -> JsonObject:
    """A fold that counts records and remembers their acts: it shows any lost update."""
    acts = state.get("acts", [])
    assert isinstance(acts, list)
    return {"count": len(acts) + 1, "acts": [*acts, draft.act], "newest": sequence}


def memory() -> MemoryStorage:
    """An empty storage whose clock stands still."""
    return MemoryStorage(lambda: NOW)


def ledger_on(storage: Storage, *, signer: Signer | None = SIGNER) -> Ledger:
    """The ledger of "crm" on a storage."""
    return Ledger(storage, subject="crm", signer=signer)


def append(ledger: Ledger, act: str, *, at: datetime = NOW, sentence: str = "") -> Record:
    """Append one record that holds nothing of interest."""
    draft = ledger.draft(kind="failed", act=act, at=at, body={"reason": "x"}, sentence=sentence)
    return ledger.append(draft, fold=count)


class Faulty(Folder):
    """A storage whose next saves fail as told: "lost" is done, and the answer is lost."""

    def __init__(self, storage: Storage, *faults: str) -> None:
        super().__init__(storage, "")
        self.faults = list(faults)
        self.lists = 0

    def save(self, name: str, data: bytes, **more: object) -> None:
        """Save, unless a fault comes first."""
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "unreachable":
            raise StorageUnreachable(f"{name} was not saved")
        super().save(name, data, **more)
        if fault == "lost":
            raise StorageUnreachable(f"nobody knows whether {name} was saved")

    def list(self, prefix: str = "") -> object:
        """List, and count."""
        self.lists += 1
        return super().list(prefix)
