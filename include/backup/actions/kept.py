"""How the retention of a dataset stands, by its ledger (3.2)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.errors import BackupError
from include.backup.evidence.expiry_table import ExpiryStanding
from include.backup.evidence.wording import count
from include.backup.policy.objectives import Verdict
from include.backup.policy.retention import MOST_LATE
from include.backup.vault.expiry import Terms, plan_expiry
from include.backup.vault.generations import GenerationState

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.setting import Setting
    from include.backup.vault.state import DatasetState

_RUNS_LATE: Final = timedelta(hours=4)  # of a daily run


def terms_of(place: DatasetVault, now: datetime) -> Terms:
    """What the policy and datasets.yaml say of the retention of a dataset now."""
    retired = place.dataset.retired
    return Terms(
        now=now,
        retention=place.data_class.retention,
        complete_within=place.data_class.complete_within,
        retired=retired is not None and retired.date <= now.date(),
        locks=bool(place.vault.object_lock),
    )


def standing(setting: Setting, name: str) -> ExpiryStanding:
    """How the retention of a dataset stands; BROKEN if nobody can know."""
    dataset = setting.datasets.good[name]
    try:
        place = DatasetVault.open(setting, name)
        place.require_history()
        return standing_of(place, place.state(), setting.clock())
    except BackupError as error:
        return ExpiryStanding(
            verdict=Verdict.BROKEN, data_class=dataset.data_class, dataset=name, what=str(error)
        )


def standing_of(place: DatasetVault, state: DatasetState, now: datetime) -> ExpiryStanding:
    """The same where its state is known."""
    plan = plan_expiry(state, terms_of(place, now))
    # What is free only since the last run goes with the next one, if there is one.
    runs = state.retained_at is not None and now - state.retained_at <= MOST_LATE + _RUNS_LATE
    late = [
        one.snapshot
        for one in plan.expired
        if now - one.until > MOST_LATE and (not runs or one.snapshot in state.left)
    ]
    if not place.vault.object_lock:
        late += [one for generation in state.generations for one in generation.leaving]
        late += [one.id for one in state.generations if one.state is GenerationState.EXPIRING]
    beyond = [one for one in plan.kept if one.until <= now]
    what = ""
    if late:
        what = f"{count(len(late), 'thing')} should have gone; owner {place.dataset.owner}"
    elif state.suspicions:
        what = f"nothing expires: in doubt, {state.suspicions[0].reason}"
    return ExpiryStanding(
        verdict=Verdict.BROKEN if late else Verdict.AT_RISK if what else Verdict.KEPT,
        data_class=place.data_class.name,
        dataset=place.dataset.name,
        kept=len(plan.kept),
        beyond=len(beyond),
        next_at=min((one.until for one in plan.kept if one.until > now), default=None),
        what=what or "; ".join(sorted({one.why for one in beyond})),
    )
