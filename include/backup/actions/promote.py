"""Making another vault the home of a dataset: its ledger goes on there, and nowhere else (3.5).

    the home can be read    replicated → `promoted` at home, which takes no record after it → copied
    it is lost              `promoted` in the copy; what the home had recorded last is lost

A crash in between leaves a home that refuses, and a copy that is none yet: the next run goes on.
Who reads the former home with an old datasets.yaml is refused by its last record.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from include.backup.actions.acts import PROMOTE, REPLICATE, Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.replica import Pair, copy_ledger
from include.backup.actions.replicate import replicate
from include.backup.actions.seen import Seen
from include.backup.errors import ConfigurationInvalid, LedgerBroken, StorageError
from include.backup.evidence import replica_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.signing import Signer
from include.backup.vault.leases import Lease

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.actions.two_people import TwoPeople


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
    if _is_readable(home):
        return _move(setting, home, vault, order, lost=lost)
    if not lost:
        raise ConfigurationInvalid(
            f"the home of {name} cannot be read: {home.where}",
            hint="once it is lost for good: --lost; what it had recorded last is lost with it",
        )
    return _take_over(home, vault, order)


def _is_readable(home: DatasetVault) -> bool:
    try:
        home.require_history()
        return home.ledger.head() is not None
    except (StorageError, LedgerBroken):
        return False


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

    def told(error: BaseException) -> str:
        return sentences.not_promoted(
            home.subject, vault=pair.copy.where, reason=reason_of(error), hint=hint_of(error)
        )

    with (
        act.ending(told),
        Lease.acquire(home.home, REPLICATE, owner=act.owner, now=act.now()) as lease,
    ):
        state = act.begin(held=REPLICATE)
        replica = state.replica(vault)
        running = [one.action for one in state.acts if one.id != act.id]
        behind = replica.behind(state.points) if replica else []
        if running or replica is None or (behind and not lost):
            raise ConfigurationInvalid(
                f"{home.dataset.name} is being worked on: {', '.join(running) or 'a backup ended'}",
                hint="wait for its end, and promote then",
            )
        lease.check()
        outcome = _record(act, pair.copy, home.where, order, missing=len(behind))
    _follow(act, pair)
    return outcome


def _follow(act: Act, pair: Pair) -> Outcome:
    """Copy the last records of the former home: with them the copy is the home."""
    head = pair.home.ledger.head()
    assert head is not None
    vault = pair.copy.vault.url
    Seen.of(act.place.setting.state_folder, vault=vault, dataset=act.place.dataset.name).move("")
    copy_ledger(pair, last=head.sequence, go_on=lambda: None)
    return act.outcome_of(head, what=f"{pair.copy.vault.name} is its home")


def _take_over(home: DatasetVault, vault: str, order: TwoPeople) -> Outcome:
    copy = home.as_replica(vault)
    setting, name = home.setting, home.dataset.name
    if copy.ledger.head() is None:
        raise ConfigurationInvalid(f"{vault} holds no replica of {name}")
    key = setting.connection(setting.datasets.signing_key).password
    alone = replace(
        copy,
        home=copy.folder,
        home_url=copy.vault.url,
        replica="",
        detached=False,
        ledger=Ledger(
            copy.folder,
            subject=name,
            signer=Signer.of_text(key),
            trusted=setting.datasets.trusted_keys,
            keep_for=setting.policy.evidence_retention if copy.vault.object_lock else None,
        ),
    )
    head = alone.ledger.head()
    assert head is not None
    seen = home.seen.sequence
    missing = None if not seen else max(0, seen - head.sequence)
    outcome = _record(Act(alone, PROMOTE), copy, home.where, order, missing=missing)
    home.seen.move(copy.vault.url)  # it cannot be told itself
    alone.seen.move("")
    return outcome


def _record(
    act: Act, copy: DatasetVault, former: str, order: TwoPeople, *, missing: int | None
) -> Outcome:
    told = sentences.promoted(
        act.place.subject,
        vault=copy.where,
        former=former,
        lost=missing,
        reason=order.reason,
        by=order.approved_by,
    )
    body = order.to_json() | {
        "vault": copy.vault.name,
        "url": copy.vault.url,
        "former": former,
        "missing": missing,
    }
    what = f"{copy.vault.name} is its home"
    return act.end(Kind.PROMOTED, body, say=lambda _: told, what=what, details=dict(body))
