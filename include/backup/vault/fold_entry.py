"""A record on its way into the state of a dataset, and what all changes need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from include.backup.errors import RecordRefused
from include.backup.vault.generations import Generation, GenerationState

if TYPE_CHECKING:
    from include.backup.evidence.fields import Fields
    from include.backup.evidence.kinds import Kind
    from include.backup.evidence.records import Draft
    from include.backup.vault.generations import Act
    from include.backup.vault.state import DatasetState

_STATE = GenerationState
# Which states a generation may leave for another (invariant 2: it only grows, and dies whole).
TRANSITIONS: Final = {
    _STATE.OPENED: frozenset({_STATE.COMPLETED, _STATE.ABANDONED}),
    _STATE.COMPLETED: frozenset({_STATE.EXPIRING}),
    _STATE.ABANDONED: frozenset({_STATE.EXPIRING}),
    _STATE.EXPIRING: frozenset({_STATE.EXPIRED}),
    _STATE.EXPIRED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record, looked at."""

    kind: Kind
    draft: Draft
    fields: Fields  # of its body
    act: Act | None  # the open act it belongs to
    sequence: int


def known(state: DatasetState, name: str) -> Generation:
    """The generation of that id.

    Raises:
        RecordRefused: there is none.
    """
    if (generation := state.generation(name)) is None:
        raise RecordRefused(f"generation {name[:80]!r} is not in the ledger")
    return generation


def with_generation(state: DatasetState, changed: Generation) -> DatasetState:
    """The state with another version of one of its generations."""
    return replace(
        state,
        generations=tuple(
            changed if known.id == changed.id else known for known in state.generations
        ),
    )


def moved(generation: Generation, to: GenerationState) -> Generation:
    """A generation in its next state.

    Raises:
        RecordRefused: that cannot come next.
    """
    if to not in TRANSITIONS[generation.state]:
        raise RecordRefused(
            f"generation {generation.id} is {generation.state} and cannot become {to}"
        )
    return replace(generation, state=to)
