"""What the ledger of the policy knows: its last review, who keeps which key, the rescue kit.

    state = {reviewed_at?, by?, escrowed?: {<key id>: {at, by, where}}, kit?: {…}}

    escrowed {key, by, where}       somebody's word that the sheet with that key lies in a safe
    kit {sha256, version, signing_key, stored?}    a rescue kit was made, and kept in the vault

What other kinds of records leave in the state stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.backup.evidence.fields import Fields
from include.backup.evidence.kinds import Kind
from include.backup.format.times import text_of_datetime

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.records import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Escrow:
    """Somebody's word about one key."""

    at: datetime
    by: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """A rescue kit, as it was made."""

    at: datetime
    sha256: str  # of its manifest, in hex
    version: str  # of Holdfast
    signing_key: str  # the public key that it verifies ledgers with, in hex
    stored: str = ""  # its name in the first vault; empty: it lies elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """The policy's own standing."""

    escrowed: dict[str, Escrow]  # by the id of the key
    kit: Kit | None  # the newest

    @classmethod
    def of_json(cls, state: JsonObject) -> PolicyState:
        """Read it from a record.

        Raises:
            LedgerBroken: it is none.
        """
        fields = Fields(state, what="the state of the policy")
        escrowed = {}
        for key, value in fields.document("escrowed").items():
            own = Fields(value, what=f"the escrow of {key}")
            escrowed[key] = Escrow(
                at=own.moment("at"), by=own.text("by"), where=own.text("where", "")
            )
        kit = None
        if found := fields.document("kit"):
            own = Fields(found, what="the rescue kit")
            kit = Kit(
                at=own.moment("at"),
                sha256=own.text("sha256"),
                version=own.text("version"),
                signing_key=own.text("signing_key"),
                stored=own.text("stored", ""),
            )
        return cls(escrowed=escrowed, kit=kit)


def fold_policy(state: JsonObject, draft: Draft, sequence: int) -> JsonObject:
    """The state after a record of the policy's ledger."""
    del sequence
    body, at = draft.body, text_of_datetime(draft.at)
    if draft.kind == Kind.REVIEWED:
        return {**state, "reviewed_at": at, "by": body["by"]}
    if draft.kind == Kind.ESCROWED:
        known = Fields(state, what="the state of the policy").document("escrowed")
        one = {"at": at, "by": body["by"], "where": body["where"]}
        return {**state, "escrowed": {**known, str(body["key"]): one}}
    if draft.kind == Kind.KIT:
        return {**state, "kit": {"at": at, **body}}
    return state
