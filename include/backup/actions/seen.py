"""What this machine has seen of a dataset in a vault: an empty vault is not taken for a new one.

    <state folder>/seen/<vault>-<dataset>.json    {since, sequence, sha256, moved?}

A volume that is not mounted leaves an empty directory, and an address with a slip leads to one: a
backup into it would look like the first. Whoever has seen record 42 does not accept less. And a
dataset that is listed, but never backed up, has been waiting since it was first seen.

It is a memory, no evidence: where it cannot be kept, everything works but for what it watches.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from include.backup.errors import LedgerBroken
from include.backup.evidence.wording import count

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.evidence.records import Record

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The memory of one dataset in one vault."""

    path: Path
    dataset: str
    vault: str  # its address

    @classmethod
    def of(cls, state_folder: Path, *, vault: str, dataset: str) -> Seen:
        """Say where it is; read nothing."""
        name = f"{sha256(vault.encode()).hexdigest()[:16]}-{dataset}.json"
        return cls(path=state_folder / "seen" / name, dataset=dataset, vault=vault)

    @staticmethod
    def established(state_folder: Path) -> frozenset[str]:
        """The datasets of which this machine has seen records, in whatever vault."""
        found = (state_folder / "seen").glob("*.json")
        return frozenset(path.stem.partition("-")[2] for path in found if "sequence" in _read(path))

    def since(self, now: datetime) -> datetime:
        """When the dataset was first seen; `now`, remembered, if it never was."""
        found = self._read().get("since")
        if isinstance(found, str):
            return datetime.fromisoformat(found)
        self._write({"since": now.isoformat()})
        return now

    def require(self, head: Record | None) -> None:
        """See that a ledger has at least the records that were seen.

        Raises:
            LedgerBroken: it is shorter, or ends with another record.
        """
        seen = self._read()
        if moved := seen.get("moved"):
            raise LedgerBroken(
                f"{self.vault} is no longer the home of {self.dataset}: {moved} was promoted",
                hint="name that vault in datasets.yaml",
            )
        sequence = seen.get("sequence", 0)
        found = head.sequence if head else 0
        if not isinstance(sequence, int) or found > sequence:
            return
        if found < sequence:
            what = f"has {count(found, 'record')}, and had {sequence} when this machine last looked"
        elif head and head.sha256 != seen.get("sha256"):
            what = f"ends with another record {found} than the one this machine has seen"
        else:
            return
        raise LedgerBroken(
            f"the ledger of {self.dataset} in {self.vault} {what}",
            hint="is the volume mounted, and the address right? If it is meant to be so: "
            f"holdfast ledger accept {self.dataset}",
        )

    @property
    def sequence(self) -> int:
        """The number of the newest record that was seen; 0: none was."""
        found = self._read().get("sequence", 0)
        return found if isinstance(found, int) else 0

    @property
    def moved(self) -> str:
        """The address of the vault that was promoted instead; empty: none was, as far as known."""
        found = self._read().get("moved", "")
        return found if isinstance(found, str) else ""

    def remember(self, head: Record) -> None:
        """Remember the newest record."""
        seen = self._read()
        seen |= {"sequence": head.sequence, "sha256": head.sha256}
        seen.setdefault("since", head.at.isoformat())
        self._write(seen)

    def move(self, url: str) -> None:
        """Remember that another vault is the home from now on; empty: this one is."""
        self._write(self._read() | {"moved": url})

    def forget(self) -> int:
        """Accept whatever the ledger is now; return the number of the record that was seen."""
        seen = self._read()
        sequence = seen.pop("sequence", 0)
        seen.pop("sha256", None)
        seen.pop("moved", None)
        self._write(seen)
        return sequence if isinstance(sequence, int) else 0

    def _read(self) -> dict[str, object]:
        return _read(self.path)

    def _write(self, document: dict[str, object]) -> None:
        temporary = self.path.with_name(f".{secrets.token_hex(4)}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(document), encoding="utf-8")
            os.replace(temporary, self.path)  # noqa: PTH105  the atomic one, by its plain name
        except OSError as error:
            log.warning("%s cannot be kept: %s", self.path, error.strerror)


def _read(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
