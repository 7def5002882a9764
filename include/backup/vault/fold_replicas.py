"""How records of replication change the state of a dataset: what other vaults hold of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import RecordRefused, StillNeeded
from include.backup.vault.fold_entry import known
from include.backup.vault.replicas import Replica, dates_of

if TYPE_CHECKING:
    from include.backup.vault.fold_entry import Entry
    from include.backup.vault.generations import Generation
    from include.backup.vault.state import DatasetState

_SECOND: Final = timedelta(seconds=1)


def replicate(state: DatasetState, entry: Entry) -> DatasetState:
    """A replica is up to date as far as the record says."""
    fields, act = entry.fields, entry.act
    assert act is not None
    name, url = fields.text("vault"), fields.text("url")
    before = state.replica(url)
    sequence = fields.number("sequence")
    if sequence >= entry.sequence:
        raise RecordRefused(f"record {sequence} cannot be in {name} before it is written")
    if before is not None and before.sequence > sequence:
        raise RecordRefused(f"{name} holds record {before.sequence} already, not {sequence} alone")
    locks = dates_of(
        fields.document("locked_until"), what="what is locked in a replica", error=RecordRefused
    )
    for generation in locks:
        known(state, generation)
    # What a check has found meanwhile is not mended by who did not know of it.
    mended = set(fields.texts("mended"))
    damaged = [one for one in before.damaged if one not in mended] if before else []
    found = Replica(
        vault=name,
        url=url,
        at=entry.draft.at,
        sequence=sequence,
        missing=tuple(fields.texts("missing")),
        damaged=tuple(dict.fromkeys((*damaged, *fields.texts("damaged")))),
        left=tuple(fields.texts("left")),
        locked_until=locks,
        holds=tuple(fields.texts("holds")),
        greatest_age=_greatest_age(before, entry),
    )
    held = [one.taken_at for one in state.as_in(found).sound_points]
    return with_replica(state, replace(found, newest_at=max(held, default=None)))


def mark_replica_damaged(state: DatasetState, entry: Entry, url: str) -> DatasetState:
    """The copy of some generations in a replica is damaged; those of the home are not."""
    found = state.replica(url)
    if found is None:
        raise RecordRefused(f"{url[:200]!r} holds no replica")
    wanted = [known(state, name).id for name in entry.fields.texts("damaged")]
    damaged = tuple(dict.fromkeys((*found.damaged, *wanted)))
    return with_replica(state, replace(found, damaged=damaged))


def promote(state: DatasetState, entry: Entry) -> DatasetState:
    """Another vault is the home from now on: the ledger goes on there, and nowhere else."""
    fields = entry.fields
    if fields.text("requested_by") == fields.text("approved_by"):
        raise RecordRefused("who wants a vault promoted does not approve it")
    url, lost = fields.text("url"), fields.flag("lost", default=False)
    replica = state.replica(url)
    if not lost:
        _require_quiet(state, entry, replica)
    others = tuple(one for one in state.replicas if one.url != url)
    generations = _as_home(state, replica) if replica else state.generations
    return replace(state, home=url, replicas=others, generations=generations)


def _require_quiet(state: DatasetState, entry: Entry, replica: Replica | None) -> None:
    """What was recorded since the last copy would be lost without a word."""
    running = [one.action for one in state.acts if one.id != entry.draft.act]
    if running:
        raise StillNeeded(f"it is being worked on: {', '.join(running)}")
    if replica is not None and (behind := replica.behind(state.points)):
        raise StillNeeded(f"{replica.vault} lacks {len(behind)} recovery points")


def _as_home(state: DatasetState, replica: Replica) -> tuple[Generation, ...]:
    """The generations with the damage, the locks, and what is still leaving, of that copy."""
    leaving: dict[str, list[str]] = {}
    for one in replica.left:
        generation, _, snapshot = one.partition("/")
        if snapshot:  # else the whole generation, which is swept
            leaving.setdefault(generation, []).append(snapshot)
    return tuple(
        replace(
            one,
            points=tuple(point for point in one.points if point.snapshot not in replica.missing),
            damaged=one.damaged or one.id in replica.damaged,
            locked_until=replica.locked_until.get(one.id),
            leaving=tuple(dict.fromkeys((*one.leaving, *leaving.get(one.id, ())))),
        )
        for one in state.generations
    )


def with_replica(state: DatasetState, changed: Replica) -> DatasetState:
    """The state with another version of one of its replicas, or with a new one."""
    others = tuple(one for one in state.replicas if one.url != changed.url)
    return replace(state, replicas=(*others, changed))


def _greatest_age(before: Replica | None, entry: Entry) -> timedelta | None:
    """How old the newest copy there has ever been, until this run made a newer one."""
    if before is None:
        return None
    newest, at = before.newest_at, entry.draft.at
    ages = [before.greatest_age, at - newest if newest is not None and newest <= at else None]
    found = max((age for age in ages if age is not None), default=None)
    return None if found is None else -(-found // _SECOND) * _SECOND
