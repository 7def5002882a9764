"""Verifying a dataset: its recovery points are restored and looked at, in time, and recorded (3.4).

choose → sweep → prove one after the other → record verified, whatever was found
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from include.backup.actions.acts import Act
from include.backup.actions.choosing import Order, find_point
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_acts import VERIFY
from include.backup.actions.open_scratch import open_scratch
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.proving import prove
from include.backup.actions.tested import forecast_of
from include.backup.actions.verified import Found, record_verified
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence import verify_sentences as sentences
from include.backup.evidence.wording import Several
from include.backup.quality.file_facts import drift
from include.backup.quality.known import require_known
from include.backup.repository.progress import Progress
from include.backup.vault.verification import Chosen, choose

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.proving import Proof
    from include.backup.actions.setting import Setting
    from include.backup.quality.scratch import ScratchPlace
    from include.backup.vault.state import DatasetState

log = logging.getLogger(__name__)

_SEEDS: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOrder:
    """What is verified."""

    recovery_point: str = ""  # the beginning of a snapshot id; empty: those that are due
    replica: str = ""  # the name of the vault whose copy is verified; empty: what the home holds
    seed: int | None = None  # of the draw; None: a new one
    slot: datetime | None = None  # what it completes on the schedule


def verify(
    setting: Setting, name: str, order: VerifyOrder, *, progress: Progress | None = None
) -> tuple[Outcome, list[str]]:
    """Verify recovery points of a dataset.

    Returns:
        The outcome, and one text for each fault; none means that what was looked at is whole.

    Raises:
        ConfigurationInvalid: there is no such recovery point, or no place for restores.
        KeyUnusable, StorageError, RestoreRefused: nothing could be looked at.
    """
    place = DatasetVault.open_to_rescue(setting, name, replica=order.replica)
    act = Act(place, VERIFY)

    def failed(error: BaseException) -> str:
        return sentences.verification_failed(
            place.subject, reason=reason_of(error), hint=hint_of(error)
        )

    with act.ending(failed):
        state = act.begin()
        seed = secrets.randbelow(_SEEDS) if order.seed is None else order.seed
        chosen = _choose(act, state, order, seed)
        wanted = setting.expectations(name)
        require_known(wanted, setting.state_folder)
        scratch = open_scratch(place)
        swept = _sweep(act, scratch)
        progress = progress or Progress()
        proofs = [prove(act, one, scratch, wanted, progress) for one in chosen]
        _note_drift(act, state, proofs)
    last = state.verification
    found = Found(
        proofs=proofs,
        scratch=scratch,
        slot=order.slot,
        seed=seed,
        swept=swept,
        forecast=forecast_of(last.restores) if last else None,
    )
    return record_verified(act, found)


def _choose(act: Act, state: DatasetState, order: VerifyOrder, seed: int) -> list[Chosen]:
    now = act.now()
    if order.recovery_point:
        asked = Order(recovery_point=order.recovery_point, address="", requested_by="")
        return [Chosen(find_point(state, asked, now=now), "asked for")]
    if not state.sound_points:
        raise ConfigurationInvalid(
            "there is no recovery point that is known to be whole",
            hint="back it up first; `check DATASET --read-data` says what is damaged",
        )
    outlives = now + act.place.data_class.rto
    chosen = choose(state, outlives=outlives, seed=seed)
    if not chosen:
        raise ConfigurationInvalid(
            "every recovery point expires before a verification of it would have to end",
            hint="back it up; or name one: --recovery-point ID",
        )
    return chosen


def _note_drift(act: Act, state: DatasetState, proofs: list[Proof]) -> None:
    """Note what facts of files are not as they were at the last verification."""
    if state.verification is None or not state.verification.sequence or not proofs:
        return
    record = next(act.place.ledger.read(state.verification.sequence))
    points: Any = record.body.get("points") or [{}]
    texts = [*drift(proofs[0].tables, points[0].get("tables") or ())]
    proofs[0].notes = proofs[0].notes.and_more(Several.of(texts))


def _sweep(act: Act, scratch: ScratchPlace | None) -> list[str]:
    swept = [] if scratch is None else scratch.sweep(act.now())
    for one in swept:
        log.warning("%s: removed what a verification that was killed had left", one)
    return swept
