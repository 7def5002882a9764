"""How records of replication change the state of a dataset: what other vaults hold of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import RecordRefused
from include.backup.vault.fold_entry import known
from include.backup.vault.replicas import Replica, dates_of

if TYPE_CHECKING:
    from include.backup.vault.fold_entry import Entry
    from include.backup.vault.state import DatasetState

_SECOND: Final = timedelta(seconds=1)


def replicate(state: DatasetState, entry: Entry) -> DatasetState:
    """A replica is up to date as far as the record says."""
    fields = entry.fields
    name = fields.text("vault")
    before = state.replica(name)
    sequence = fields.number("sequence")
    if sequence >= entry.sequence:
        raise RecordRefused(f"record {sequence} cannot be in {name} before it is written")
    if before is not None and before.sequence > sequence and before.url == fields.text("url"):
        raise RecordRefused(f"{name} holds record {before.sequence} already, not {sequence} alone")
    locks = dates_of(
        fields.document("locked_until"), what="what is locked in a replica", error=RecordRefused
    )
    for generation in locks:
        known(state, generation)
    found = Replica(
        vault=name,
        url=fields.text("url"),
        at=entry.draft.at,
        sequence=sequence,
        missing=tuple(fields.texts("missing")),
        damaged=tuple(fields.texts("damaged")),
        left=tuple(fields.texts("left")),
        locked_until=locks,
        greatest_age=_greatest_age(state, before, entry),
    )
    return with_replica(state, found)


def mark_replica_damaged(state: DatasetState, entry: Entry, vault: str) -> DatasetState:
    """The copy of some generations in a replica is damaged; those of the home are not."""
    found = state.replica(vault)
    if found is None:
        raise RecordRefused(f"{vault[:80]!r} holds no replica")
    wanted = [known(state, name).id for name in entry.fields.texts("damaged")]
    damaged = tuple(dict.fromkeys((*found.damaged, *wanted)))
    return with_replica(state, replace(found, damaged=damaged))


def promote(state: DatasetState, entry: Entry) -> DatasetState:
    """Another vault is the home from now on: the ledger goes on there, and nowhere else."""
    fields = entry.fields
    if fields.text("requested_by") == fields.text("approved_by"):
        raise RecordRefused("who wants a vault promoted does not approve it")
    name = fields.text("vault")
    others = tuple(one for one in state.replicas if one.vault != name)
    return replace(state, home=fields.text("url"), replicas=others)


def with_replica(state: DatasetState, changed: Replica) -> DatasetState:
    """The state with another version of one of its replicas, or with a new one."""
    others = tuple(one for one in state.replicas if one.vault != changed.vault)
    return replace(state, replicas=(*others, changed))


def _greatest_age(state: DatasetState, before: Replica | None, entry: Entry) -> timedelta | None:
    """How old the newest copy there has ever been, until this run made a newer one."""
    if before is None:
        return None
    held = [point.taken_at for point in state.sound_points if before.has(point)]
    at = entry.draft.at
    ages = [before.greatest_age, at - max(held) if held and max(held) <= at else None]
    found = max((age for age in ages if age is not None), default=None)
    return None if found is None else -(-found // _SECOND) * _SECOND
