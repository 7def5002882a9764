"""How records of erasure requests change the state of a dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from include.backup.errors import RecordRefused
from include.backup.vault.erasures import Erasure, still_in

if TYPE_CHECKING:
    from include.backup.vault.fold_entry import Entry
    from include.backup.vault.state import DatasetState


def register(state: DatasetState, entry: Entry) -> DatasetState:
    """Something is erased again from whatever is restored."""
    made = Erasure(
        id=entry.draft.act,
        at=entry.draft.at,
        erased_at=entry.fields.moment("erased_at"),
        digest=entry.fields.text("digest", shape="[0-9a-f]{64}"),
    )
    return replace(state, erasures=(*state.erasures, made))


def withdraw(state: DatasetState, entry: Entry) -> DatasetState:
    """It is so no more: two people say that it was an error."""
    if entry.fields.text("requested_by") == entry.fields.text("approved_by"):
        raise RecordRefused("who withdraws an erasure does not approve it")
    return _without(state, entry.fields.text("erasure"))


def fulfil(state: DatasetState, entry: Entry) -> DatasetState:
    """No generation holds it any more: there is nothing that could come back."""
    for name in entry.fields.texts("fulfilled"):
        for one in state.erasures:
            if one.id == name and (left := still_in(state, one)):
                raise RecordRefused(f"erasure {name} is not fulfilled: {left[0]} may hold it")
        state = _without(state, name)
    return state


def _without(state: DatasetState, name: str) -> DatasetState:
    left = tuple(one for one in state.erasures if one.id != name)
    if len(left) == len(state.erasures):
        raise RecordRefused(f"there is no erasure {name[:80]!r}")
    return replace(state, erasures=left)
