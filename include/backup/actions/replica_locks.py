"""Locks and legal holds of a replica: as long as those at home, by its own dates (invariant 8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from include.backup.actions.kept import terms_of
from include.backup.actions.locking import extend_locks, hold_files
from include.backup.evidence.fields import Fields
from include.backup.vault.expiry import Extension, plan_expiry
from include.backup.vault.generations import GenerationState
from include.backup.vault.layout import generation_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from include.backup.actions.replica import News, Pair
    from include.backup.vault.holds import Hold
    from include.backup.vault.replicas import Replica
    from include.backup.vault.state import DatasetState


@dataclass(frozen=True, slots=True)
class FirstLock:
    """Of a generation that is new to a replica."""

    until: datetime
    shorter: bool  # files of a run that died were there: locked by the retention of its time


def lock_replica(
    pair: Pair,
    state: DatasetState,
    found: Replica,
    news: News,
    first: Mapping[str, FirstLock],
    touched: Collection[str],
) -> dict[str, datetime]:
    """Let the locks of a replica last as long as they must; return their dates, by generation.

    Args:
        found: what the replica holds now; its own dates are not known yet.
        news: what was decided since the last run that ended.
        first: generations that are new in it.
        touched: generations that got files.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    if not pair.copy.vault.object_lock:
        return {}
    dates = _known_dates(state, found.url) | {name: one.until for name, one in first.items()}
    now = pair.home.setting.clock()
    held = state.as_in(replace(found, locked_until=dates))
    plan = plan_expiry(held, terms_of(pair.copy, now))
    again = [
        Extension(generation=name, until=one.until, snapshots={})
        for name, one in first.items()
        if one.shorter
    ]
    longer = extend_locks(pair.copy, replace(plan, extensions=(*again, *plan.extensions)))
    _lengthen(pair, held, news.lengthened, now)
    fields = Fields(longer, what="new lock dates")
    dates |= {name: fields.moment(name) for name in longer}
    before = state.replica(found.url)
    for hold in state.holds:
        if covered := [*_newly_covered(held, hold, before, touched)]:
            hold_files(pair.copy, covered, on=True)
    return dates


def _known_dates(state: DatasetState, url: str) -> dict[str, datetime]:
    """Of the generations that live, as the last run left them."""
    before = state.replica(url)
    living = {one.id for one in state.generations if one.state is GenerationState.COMPLETED}
    known = before.locked_until.items() if before else ()
    return {name: date for name, date in known if name in living}


def _lengthen(pair: Pair, held: DatasetState, longer: Collection[str], now: datetime) -> None:
    """A longer retention was recorded: by the state of today it looks as if it had always been."""
    for point in held.points:
        if point.snapshot in longer and point.expires_at > now:
            repository = generation_folder(pair.copy.folder, point.generation)
            repository.extend_lock([f"snapshots/{point.snapshot}"], point.expires_at)


def _newly_covered(
    state: DatasetState, hold: Hold, before: Replica | None, touched: Collection[str]
) -> Iterator[tuple[str, str]]:
    """What a hold covers, and no earlier run has put it on: a new hold, or new files."""
    for point in state.points:
        stands = before is not None and before.has(point) and hold.id in before.holds
        known = stands and point.generation not in touched
        if not known and (not hold.snapshots or point.snapshot in hold.snapshots):
            yield point.generation, point.snapshot
