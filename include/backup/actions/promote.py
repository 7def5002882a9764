"""Making another vault the home of a dataset: its ledger goes on there, and nowhere else (3.5).

    the home can be read    replicated → `promoted` at home, which takes no record after it → copied
    it is lost              `promoted` in the copy; what the home had recorded last is lost

A crash in between leaves a home that refuses, and a copy that is none yet: the next run goes on.
Who reads the former home with an old datasets.yaml is refused by its last record.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from include.backup.actions.acts import Act
from include.backup.actions.dataset_vault import DatasetVault, why_not_home
from include.backup.actions.open_acts import PROMOTE, REPLICATE
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.replica import Pair, copy_ledger
from include.backup.actions.replicate import replicate
from include.backup.actions.seen import Seen
from include.backup.errors import AccessRefused, BackupError, ConfigurationInvalid, StorageFull
from include.backup.evidence import replica_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.signing import Signer
from include.backup.vault.leases import Lease

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.actions.two_people import TwoPeople

log = logging.getLogger(__name__)


def promote(
    setting: Setting, name: str, vault: str, order: TwoPeople, *, lost: bool = False
) -> Outcome:
    """Let the ledger of a dataset go on in another vault.

    Args:
        vault: its name in datasets.yaml; it holds a replica.
        lost: the home is lost for good, or has lost what cannot be copied any more.

    Raises:
        ConfigurationInvalid: nobody approved it; the home cannot be read; there is no such replica,
            or a run works on the dataset.
        BackupError: not all could be copied; nothing was promoted.
    """
    order.require()
    home = DatasetVault.open_for_reading(setting, name)
    if vault == home.vault.name:
        return _claim(home, order)
    copy = home.as_replica(vault)
    if (moved := home.seen.moved) not in {"", copy.vault.url}:
        raise ConfigurationInvalid(
            f"{moved} was promoted already", hint="name that vault in datasets.yaml"
        )
    if not (why := why_not_home(home, copy)):
        try:
            return _move(setting, home, vault, order, lost=lost)
        except (AccessRefused, StorageFull) as error:  # it can be read, and takes no record
            if not lost:
                raise
            log.warning("%s: %s", home.where, error)
    elif not lost:
        raise ConfigurationInvalid(
            f"the home of {name} cannot be gone on with: {why}",
            hint="once it is lost for good: --lost; what it had recorded last is lost with it",
        )
    return _take_over(home, copy, order)


def _claim(home: DatasetVault, order: TwoPeople) -> Outcome:
    """A vault that is a home lies elsewhere now; or a replica is one, and nobody knows its home."""
    head = home.ledger.head()
    if head is None or not home.is_copy():
        raise ConfigurationInvalid(f"{home.where} is the home of {home.dataset.name}")
    former = str(head.state.get("home") or "a vault that nobody names")
    return _record(_alone(home), former, order, missing=None, behind=0)


def _move(
    setting: Setting, home: DatasetVault, vault: str, order: TwoPeople, *, lost: bool
) -> Outcome:
    pair = Pair.of(home, vault)
    act = Act(home, PROMOTE)
    if home.state().home == pair.copy.vault.url:  # an earlier run died before it had copied that
        return _follow(act, pair)
    outcome = replicate(setting, home.dataset.name, vault)
    if outcome.details.get("unmet") and not lost:
        raise ConfigurationInvalid(
            f"{vault} does not hold all of {home.dataset.name}: {outcome.what}",
            hint=f"`holdfast replicate {home.dataset.name}` says why; --lost gives up the rest",
        )

    def failed(error: BaseException) -> str:
        return sentences.not_promoted(
            home.subject, vault=pair.copy.where, reason=reason_of(error), hint=hint_of(error)
        )

    with (
        act.ending(failed),
        Lease.acquire(home.home, REPLICATE, owner=act.owner, now=act.now()) as lease,
    ):
        state = act.begin(held=REPLICATE)
        replica = state.replica(pair.copy.vault.url)
        behind = len(replica.behind(state.points)) if replica else len(state.points)
        lease.check()
        # The ledger refuses it while somebody works on the dataset, or the copy lacks something.
        outcome = _record(act, home.where, order, missing=0, behind=behind, to=pair.copy, lost=lost)
    _follow(act, pair)
    return outcome


def _follow(act: Act, pair: Pair) -> Outcome:
    """Copy the last records of the former home: with them the copy is the home."""
    head = pair.home.ledger.head()
    assert head is not None
    vault, setting = pair.copy.vault.url, act.place.setting
    Seen.of(setting.state_folder, vault=vault, dataset=act.place.dataset.name).move("")
    copy_ledger(pair, last=head.sequence, go_on=lambda: None)
    return act.outcome_of(head, what=f"{pair.copy.vault.name} is its home")


def _take_over(home: DatasetVault, copy: DatasetVault, order: TwoPeople) -> Outcome:
    act = _alone(copy)
    head = act.place.ledger.head()
    if head is None:
        raise ConfigurationInvalid(f"{copy.replica} holds no replica of {home.dataset.name}")
    _require_freshest(home, copy, head.sequence)
    seen, state = home.seen.sequence, act.place.state()
    replica = state.replica(copy.vault.url)
    outcome = _record(
        act,
        home.where,
        order,
        missing=max(0, seen - head.sequence) if seen else None,
        behind=len(replica.missing) if replica else 0,
    )
    home.seen.move(copy.vault.url)  # it cannot be told itself
    act.place.seen.move("")
    return outcome


def _require_freshest(home: DatasetVault, copy: DatasetVault, records: int) -> None:
    """Refuse a replica while another one, which can be read, knows more."""
    for name in home.dataset.replicas:
        if name == copy.replica:
            continue
        try:
            other = home.as_replica(name).alone().ledger.head()
        except BackupError:
            continue  # it is no choice either
        if other is not None and other.sequence > records:
            raise ConfigurationInvalid(
                f"{name} holds {other.sequence} records, {copy.replica} only {records}",
                hint=f"promote {name}; or take it out of datasets.yaml first",
            )


def _alone(copy: DatasetVault) -> Act:
    """An act in the copy itself, with a ledger that takes records."""
    setting = copy.setting
    key = setting.connection(setting.datasets.signing_key).password
    place = replace(
        copy.alone(),
        replica="",
        detached=False,
        ledger=Ledger(
            copy.folder,
            subject=copy.dataset.name,
            signer=Signer.of_text(key),
            trusted=setting.datasets.trusted_keys,
            keep_for=setting.policy.evidence_retention if copy.vault.object_lock else None,
        ),
    )
    return Act(place, PROMOTE)


def _record(
    act: Act,
    former: str,
    order: TwoPeople,
    *,
    missing: int | None,
    behind: int,
    to: DatasetVault | None = None,
    lost: bool = True,
) -> Outcome:
    """Record that `to`, or the vault of the act itself, is the home from now on.

    Args:
        missing: records of the former home that it has not; None: nobody knows.
        behind: recovery points that it is known not to hold.
    """
    copy = to or act.place
    told = sentences.promoted(
        act.place.subject,
        vault=copy.where,
        former=former,
        lost=missing,
        points=behind,
        reason=order.reason,
        by=order.approved_by,
    )
    body = order.to_json() | {
        "vault": copy.vault.name,
        "url": copy.vault.url,
        "former": former,
        "missing": missing,
        "behind": behind,
        "lost": lost,
    }
    what = f"{copy.vault.name} is its home"
    return act.end(Kind.PROMOTED, body, say=lambda _: told, what=what, details=dict(body))
