"""How records of those who have looked at what is stored change the state of a dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from include.backup.errors import RecordRefused
from include.backup.evidence.fields import Fields
from include.backup.policy.objectives import Verdict
from include.backup.vault.coverage import SHARES, Read, with_reads
from include.backup.vault.fold_entry import known, with_generation
from include.backup.vault.fold_replicas import mark_replica_damaged
from include.backup.vault.fold_retention import doubt, without_failed_verification
from include.backup.vault.holds import Doubter
from include.backup.vault.verification import (
    MOST_MEASURED,
    Level,
    Measured,
    Verification,
    measured_of,
)

if TYPE_CHECKING:
    from include.backup.vault.fold_entry import Entry
    from include.backup.vault.state import DatasetState


def mark_damaged(state: DatasetState, entry: Entry) -> DatasetState:
    """Nothing builds any more on what was found damaged."""
    if url := entry.fields.text("replica", ""):
        return mark_replica_damaged(state, entry, url)
    for name in entry.fields.texts("damaged"):
        state = with_generation(state, replace(known(state, name), damaged=True))
    return state


def check(state: DatasetState, entry: Entry) -> DatasetState:
    """What was found damaged is marked; what was read, and is whole, is dated."""
    state = mark_damaged(state, entry)
    for row in entry.fields.rows("read"):
        fields = Fields(row, what="a read share", error=RecordRefused)
        share = fields.number("share")
        if share >= SHARES:
            fields.refuse("share", share)
        read = Read(share, entry.draft.at, fields.number("packs"), fields.number("bytes"))
        found = known(state, fields.text("generation"))
        state = with_generation(state, replace(found, reads=with_reads(found.reads, [read])))
    return state


def verify(state: DatasetState, entry: Entry) -> DatasetState:
    """What was proved is dated; what has expired meanwhile is no more."""
    fields, at = entry.fields, entry.draft.at
    if fields.flag("passed"):
        state = without_failed_verification(state)
    state = doubt(state, entry, Doubter.VERIFICATION)
    proved = set(fields.texts("proved"))
    for generation in state.generations:
        points = tuple(
            replace(point, verified_at=at) if point.snapshot in proved else point
            for point in generation.points
        )
        state = with_generation(state, replace(generation, points=points))
    last = state.verification
    measured_before, sequence = (last.restores, last.sequence) if last else ((), 0)
    measured: tuple[Measured, ...] = ()
    if entry.act is not None:  # a second end is evidence
        measured, sequence = measured_of(fields), entry.sequence
    verification = Verification(
        at=at,
        slot=fields.moment_or_none("slot"),
        level=Level(fields.text("level", shape="|".join(Level))),
        verdict=Verdict(fields.text("verdict", shape="|".join(Verdict))),
        passed=fields.flag("passed"),
        restores=(*measured_before, *measured)[-MOST_MEASURED:],
        sequence=sequence,
    )
    return replace(state, verification=verification)
