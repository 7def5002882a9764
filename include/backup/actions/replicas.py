"""How the replicas of a dataset stand by its ledger, which are due, all in turn (3.5)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.due import DueDataset
from include.backup.actions.offsite import is_offsite, is_waived
from include.backup.actions.replicate import replicate
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.replica_table import ReplicaStanding
from include.backup.evidence.wording import Several, count, moment, some_of
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.repository.progress import Progress
    from include.backup.vault.generations import Point
    from include.backup.vault.replicas import Replica
    from include.backup.vault.state import DatasetState

MOST_BEHIND: Final = timedelta(days=1)  # a recovery point is in every replica by then
_LOOKED_AT_EVERY: Final = timedelta(hours=20)  # of a daily run: what expires, and locks


def standing_of(place: DatasetVault, state: DatasetState, now: datetime) -> list[ReplicaStanding]:
    """How each replica of a dataset stands, those that no entry names any more included."""
    named = place.dataset.replicas
    known = {place.setting.datasets.vaults[vault].url for vault in named}
    unnamed = [one.vault for one in state.replicas if one.url not in known]
    return [
        *(_of_named(place, state, vault, now) for vault in named),
        *(_of_unnamed(place, vault) for vault in unnamed),
    ]


def standings(setting: Setting, name: str) -> list[ReplicaStanding]:
    """How each replica of a dataset stands, by the ledger of its home if that can be read."""
    try:
        place = DatasetVault.open(setting, name)
        place.require_history()
        return standing_of(place, place.state(), setting.clock())
    except BackupError as error:
        return standing_alone(setting, name, error.message)


def standing_alone(setting: Setting, name: str, why: str) -> list[ReplicaStanding]:
    """How each replica stands by its own ledger, while the home cannot be read.

    Args:
        why: it cannot.
    """
    dataset = setting.datasets.good[name]
    found = []
    for vault in dataset.replicas:
        points: Sequence[Point] = ()
        told = f"the home cannot be read: {why}"
        try:
            points = DatasetVault.open(setting, name).as_replica(vault).alone().state().points
        except BackupError as error:
            told = f"{told}; nor this replica: {error.message}"
        found.append(
            ReplicaStanding(
                verdict=Verdict.AT_RISK,
                data_class=dataset.data_class,
                dataset=name,
                vault=vault,
                offsite=setting.datasets.vaults[vault].offsite,
                held=len(points),
                newest_at=max((point.taken_at for point in points), default=None),
                what=told,
            )
        )
    return found


def findings_of(setting: Setting, now: datetime) -> Iterator[str]:
    """What of vaults keeps less than one may think, and what somebody has waived, a line each."""
    for vault in setting.datasets.vaults.values():
        if vault.envelope_lock:
            yield (
                f"finding 3.5 · {vault.name}: who may bypass governance there can destroy all its "
                "backups by their keys (envelope_lock)"
            )
    waiver = setting.datasets.offsite_waiver
    if waiver is not None:
        over = "" if is_waived(setting, now) else ", which is over"
        yield (
            f"finding 3.5 · copies count though none is offsite, until {waiver.until}{over}: "
            f"{waiver.reason} ({waiver.by})"
        )
    unsaid = [
        name
        for name, dataset in setting.datasets.good.items()
        if is_offsite(setting, dataset) is None and dataset.retired is None
    ]
    if unsaid:
        named = some_of(Several.of(unsaid))
        yield (
            f"finding 3.5 · nobody says whether a vault of {named} is offsite: its copies "
            "count all the same; hint: `offsite: true` or `false` beside the url of each vault"
        )


def due_replications(setting: Setting, *, data_class: str, tick: datetime) -> list[DueDataset]:
    """Every dataset of a class that has replicas, by name: due if one lacks something."""
    found = [
        _judge(setting, name, tick)
        for name, dataset in setting.datasets.good.items()
        if dataset.data_class == data_class and dataset.replicas
    ]
    return sorted(found, key=lambda one: one.name)


def replicate_all(
    setting: Setting, name: str, *, only: str = "", progress: Progress | None = None
) -> Iterator[Outcome | BackupError]:
    """Bring every replica of a dataset up to date, or one; what becomes of one stops no other.

    Raises:
        DatasetInvalid: no valid entry names it.
        ConfigurationInvalid: it has no replica.
    """
    dataset = setting.datasets.dataset(name)
    if not dataset.replicas and not only:
        raise ConfigurationInvalid(
            f"{name} has no replica", hint="`replicas: [VAULT]` in its entry of datasets.yaml"
        )
    for vault in [only] if only else dataset.replicas:
        try:
            yield replicate(setting, name, vault, progress=progress)
        except BackupError as error:
            yield error


def _judge(setting: Setting, name: str, tick: datetime) -> DueDataset:
    try:
        place = DatasetVault.open(setting, name)
        place.require_history()
        why = next(_wants(place, place.state(), setting.clock()), "")
    except BackupError as error:
        why = f"its ledger cannot be read: {error}"
    return DueDataset(name=name, due=bool(why), slot=tick, reason=why or "every replica has all")


def _wants(place: DatasetVault, state: DatasetState, now: datetime) -> Iterator[str]:
    """Why a replica is to be looked at now; nothing: none is."""
    for vault in place.dataset.replicas:
        replica = state.replica(place.setting.datasets.vaults[vault].url)
        if replica is None:
            if state.points:
                yield f"nothing was copied to {vault} yet"
            continue
        if behind := replica.behind(state.points):
            yield f"{vault} lacks {count(len(behind), 'recovery point')}"
        if now - replica.at > _LOOKED_AT_EVERY or replica.at > now:
            yield f"{vault} was last looked at {moment(replica.at)}"


def _of_named(
    place: DatasetVault, state: DatasetState, vault: str, now: datetime
) -> ReplicaStanding:
    replica = state.replica(place.setting.datasets.vaults[vault].url)
    behind = replica.behind(state.points) if replica else list(state.points)
    held = [point for point in state.points if point not in behind]
    first = min((point.committed_at for point in behind), default=None)
    lag = None if first is None else max(now - first, timedelta())
    what = _trouble(replica, lag)
    return ReplicaStanding(
        verdict=Verdict.AT_RISK if what else Verdict.KEPT,
        data_class=place.data_class.name,
        dataset=place.dataset.name,
        vault=vault,
        offsite=place.setting.datasets.vaults[vault].offsite,
        held=len(held),
        behind=len(behind),
        lag=lag,
        newest_at=max((point.taken_at for point in held), default=None),
        at=replica.at if replica else None,
        what=what,
    )


def _trouble(replica: Replica | None, lag: timedelta | None) -> str:
    if replica is not None and replica.damaged:
        return f"damaged: {', '.join(replica.damaged)}"
    if replica is not None and replica.missing:
        return f"{count(len(replica.missing), 'recovery point')} could not be copied"
    if lag is not None and lag > MOST_BEHIND:
        return "behind for more than a day" if replica else "nothing was copied yet"
    return ""


def _of_unnamed(place: DatasetVault, vault: str) -> ReplicaStanding:
    return ReplicaStanding(
        verdict=Verdict.AT_RISK,
        data_class=place.data_class.name,
        dataset=place.dataset.name,
        vault=vault,
        offsite=None,
        what="no entry names it any more: nothing of it expires there; name it again",
    )
