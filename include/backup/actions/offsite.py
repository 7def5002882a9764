"""Which copies count (3.5, 4.1): those offsite, unless nobody says which are, or it is waived.

a vault of the dataset is offsite            its points count, and no others
none is, all of them say so                  none counts, but for a waiver
nobody says                                  all count; a finding until somebody does
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import Dataset, VaultSettings
    from include.backup.vault.state import DatasetState


def is_offsite(setting: Setting, dataset: Dataset) -> bool | None:
    """Whether a vault of a dataset is offsite; None: nobody says."""
    said = [vault.offsite for vault in _vaults(setting, dataset)]
    if True in said:
        return True
    return None if None in said else False


def is_waived(setting: Setting, now: datetime) -> bool:
    """Whether somebody has decided, for now, that copies count although none is offsite."""
    waiver = setting.datasets.offsite_waiver
    return waiver is not None and now.date() <= waiver.until


def counted(setting: Setting, dataset: Dataset, state: DatasetState, now: datetime) -> DatasetState:
    """The dataset with the recovery points that count for its RPO, and no others."""
    home = setting.datasets.vaults[dataset.vault]
    offsite = is_offsite(setting, dataset)
    if offsite is None or home.offsite or (offsite is False and is_waived(setting, now)):
        return state
    vaults = (setting.datasets.vaults[name] for name in dataset.replicas)
    wanted = {vault.url for vault in vaults if vault.offsite}
    held = [one for one in state.replicas if one.url in wanted]
    if not held:
        generations = tuple(replace(one, points=()) for one in state.generations)
        return replace(state, generations=generations, greatest_age_seen=None)
    # The newest of them is the copy that a disaster would leave.
    return max((state.as_in(one) for one in held), key=_newest)


def _newest(state: DatasetState) -> tuple[bool, datetime | None]:
    newest = state.newest_point
    return newest is not None, newest.taken_at if newest else None


def _vaults(setting: Setting, dataset: Dataset) -> Iterator[VaultSettings]:
    for name in (dataset.vault, *dataset.replicas):
        yield setting.datasets.vaults[name]
