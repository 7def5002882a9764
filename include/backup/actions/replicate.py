"""Copying a dataset to another vault, and removing there what has expired (3.5).

    leases → begun → claimed
      → each generation: envelopes, keys, config → packs → indexes → snapshots
      → reports → records → what has expired by them is removed → locks, holds → replicated

The copy is whole at every moment: records come after what they name, and what leaves, leaves by a
record that says so, never because it is absent at home. What a run that dies has copied is used by
the next.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from include.backup.actions import rescuing
from include.backup.actions.acts import Act
from include.backup.actions.clocks import require_clock
from include.backup.actions.copying_data import Done, copy_data, note_gone
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.leaving import Left, remove_departed
from include.backup.actions.offsite import is_offsite
from include.backup.actions.open_acts import REPLICATE
from include.backup.actions.opening import spool_of
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.replica import News, Pair, claim, copy_beside, copy_ledger, copy_policy
from include.backup.actions.replica_locks import lock_replica
from include.backup.errors import (
    AlreadyRunning,
    BackupError,
    ConfigurationInvalid,
    LeaseLost,
)
from include.backup.evidence import replica_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count
from include.backup.repository.progress import Progress
from include.backup.vault.leases import Lease
from include.backup.vault.replicas import Replica
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting

log = logging.getLogger(__name__)


def replicate(
    setting: Setting, name: str, vault: str, *, progress: Progress | None = None
) -> Outcome:
    """Bring the copy of a dataset in another vault up to date.

    Args:
        vault: its name in datasets.yaml.

    Raises:
        ConfigurationInvalid: no vault has that name, or it is the home.
        NotAReplica: what lies there is no copy of this dataset; nothing was touched.
        BackupError: it could not be brought up to date; what was copied is used by the next run.
            The failure is recorded; see `attached_outcome`.
    """
    home = DatasetVault.open_for_reading(setting, name)
    home.require_history()
    pair = Pair.of(home, vault)
    if home.ledger.head() is None:  # nothing is begun in a vault that may not be mounted
        raise ConfigurationInvalid(
            f"{home.where} holds nothing of {name}", hint="back it up first; is it the right vault?"
        )
    act = Act(home, REPLICATE, about={"vault": vault})

    def told(error: BaseException) -> str:
        return sentences.not_replicated(
            home.subject,
            vault=pair.copy.where,
            reason=reason_of(error),
            newest_at=_newest(home, pair.copy.vault.url),
            hint=hint_of(error),
        )

    with act.ending(told):
        try:
            with (
                Lease.acquire(home.home, REPLICATE, owner=act.owner, now=act.now()) as lease,
                Lease.acquire(pair.copy.folder, REPLICATE, owner=act.owner, now=act.now()) as there,
            ):
                return _replicate(act, pair, [lease, there], progress or Progress())
        except AlreadyRunning as running:
            sentence = sentences.already_running(home.subject, vault=vault, holder=running.message)
            return act.refuse(running.message, sentence=sentence)


def _replicate(act: Act, pair: Pair, leases: list[Lease], progress: Progress) -> Outcome:
    act.begin(held=REPLICATE)
    require_clock(pair.copy, REPLICATE, act.now())
    _adopt_spooled(act, pair)
    head = act.place.ledger.head()
    assert head is not None  # the record of our own beginning
    state = DatasetState.of_json(head.state)
    claim(pair, state)
    go_on = partial(_require, leases)
    gone = note_gone(act, pair, state)
    done = copy_data(act, pair, state, progress, go_on)
    copy_beside(pair, state)
    copy_ledger(pair, last=head.sequence, go_on=go_on)
    news = _news(pair, state, last=head.sequence)
    left = remove_departed(pair, state, news, go_on=go_on)
    found = Replica(
        vault=pair.copy.vault.name,
        url=pair.copy.vault.url,
        at=act.now(),
        sequence=head.sequence,
        missing=tuple(done.missing),
        damaged=tuple(done.damaged),
        left=tuple(left.snapshots),
        holds=tuple(hold.id for hold in state.holds),
    )
    locks = lock_replica(pair, state, found, news, done.first_locks, done.touched)
    done.why += gone
    done.rescue, troubled = rescuing.keep(act, pair.copy)
    done.why += [troubled] if troubled else []
    outcome = _end(act, pair, state, replace(found, locked_until=locks), done, left)
    _copy_the_end(pair, known=head.sequence, go_on=go_on)
    copy_policy(pair)
    return outcome


def _news(pair: Pair, state: DatasetState, *, last: int) -> News:
    """What the records since the last run that ended decide: it is done in the copy as well."""
    news = News()
    before = state.replica(pair.copy.vault.url)
    known = before.sequence if before else 0
    for record in pair.home.ledger.read(known + 1):
        if record.sequence <= last:
            news.read(record)
    return news


def _require(leases: list[Lease]) -> None:
    for lease in leases:
        if lease.over:
            raise LeaseLost(lease.over, hint="another run replicates; it goes on from here")


def _adopt_spooled(act: Act, pair: Pair) -> None:
    """Record what happened with the copy while the home could not be read."""
    spool = spool_of(act.place.setting, pair.copy.vault)
    adopted = spool.adopt(act.place.ledger, at=act.now(), fold=act.place.fold)
    for refused in adopted.refused:
        log.warning("spool %s: put aside: %s", refused.name, refused.reason)


def _end(
    act: Act, pair: Pair, state: DatasetState, found: Replica, done: Done, left: Left
) -> Outcome:
    held = state.as_in(found).points
    told = sentences.replicated(
        act.place.subject,
        sentences.Replicated(
            where=pair.copy.where,
            sent=pair.copy.sent,
            offsite=is_offsite(act.place.setting, act.place.dataset),
            points=len(held),
            newest_at=max((point.taken_at for point in held), default=None),
            files=done.files,
            size_bytes=done.size_bytes,
            read_again=done.read_again,
            removed=left.removed,
            generations=left.generations,
            missing=done.why,
            kept_back=left.kept_back,
            foreign=left.foreign,
            refused=left.refused,
        ),
    )
    body = found.to_json() | {
        "mended": done.mended,
        "files": done.files,
        "bytes": done.size_bytes,
        "read_again": done.read_again,
        "removed": left.removed,
        "generations": left.generations,
        "kept_back": left.kept_back,
        "foreign": left.foreign,
        "why": done.why,
    }
    evidence = body | rescuing.evidence(pair.copy.vault, done.rescue)
    what = f"replicated to {pair.copy.vault.name}: {count(len(held), 'recovery point')}"
    details = {**body, "unmet": bool(done.why or left.foreign or left.refused)}
    return act.end(Kind.REPLICATED, evidence, say=lambda _: told, what=what, details=details)


def _copy_the_end(pair: Pair, *, known: int, go_on: Callable[[], None]) -> None:
    """Copy the record of this very run as well, unless a newer one names what was not copied."""
    try:
        head = pair.home.ledger.head()
        points = pair.home.state().points
        if head is not None and all(point.sequence <= known for point in points):
            copy_ledger(pair, last=head.sequence, go_on=go_on)
    except BackupError as error:
        log.warning("%s: the last records are copied by the next run: %s", pair.copy.where, error)


def _newest(home: DatasetVault, url: str) -> datetime | None:
    """Of what a replica holds, as far as the ledger can be read."""
    try:
        state = home.state()
    except BackupError:
        return None
    replica = state.replica(url)
    held = state.as_in(replica).points if replica else ()
    return max((point.taken_at for point in held), default=None)
