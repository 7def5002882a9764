"""The evidence of a dataset in another vault: that it is a replica, reports, and the ledger.

    replica.json = {version, of}     saved before anything else: what is there is nobody's home

A ledger goes on in one vault. Its copies are the beginning of it, byte for byte; one that is not is
told, and nothing is written to it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from include.backup.errors import BackupError, FileAbsent, NameTaken, NotAReplica
from include.backup.evidence.fields import Fields, canonical
from include.backup.evidence.kinds import Kind
from include.backup.evidence.ledger_copy import copy_records, require_beginning
from include.backup.evidence.ledger_files import newest_number
from include.backup.vault.erasures import ERASURES
from include.backup.vault.layout import (
    CONFIGS,
    GENERATIONS,
    INVENTORIES,
    POLICY,
    REPLICA,
    policy_folder,
)
from include.backup.vault.reports import REPORTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.evidence.records import Record
    from include.backup.policy.dataset_model import VaultSettings
    from include.backup.vault.state import DatasetState

VERSION: Final = 1
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A dataset at home, and as another vault has it."""

    home: DatasetVault
    copy: DatasetVault  # with the credentials that write
    expiring: DatasetVault  # the same with those that may delete

    @classmethod
    def of(cls, home: DatasetVault, vault: str) -> Pair:
        """Raises ConfigurationInvalid: no vault has that name, or it is the home."""
        return cls(
            home=home, copy=home.as_replica(vault), expiring=home.as_replica(vault, expiring=True)
        )


def claim(pair: Pair, state: DatasetState) -> None:
    """See that the copy is one of this very dataset, and mark it as a replica.

    Raises:
        NotAReplica: another ledger goes on there, or generations lie there that nobody knows.
        StorageError.
    """
    folder = pair.copy.folder
    records = require_beginning(pair.home.home, folder, pair.home.dataset.name)
    try:
        folder.stat(REPLICA)
    except FileAbsent:
        known = {one.id for one in state.generations}
        foreign = sorted(set(folder.folders(GENERATIONS)) - known)
        if foreign and not records:
            raise NotAReplica(
                f"{folder.url} holds generations of another dataset of that name "
                f"({', '.join(foreign[:3])})",
                hint="choose another vault, or another prefix of it",
            ) from None
        data = canonical({"version": VERSION, "of": pair.home.home_url})
        with suppress(NameTaken):
            folder.save(REPLICA, data)


def copy_beside(pair: Pair, state: DatasetState) -> None:
    """Copy the pages about verifications, and requests for erasure; those of the past go.

    Raises:
        StorageError.
    """
    _copy_folder(pair, REPORTS, until=_evidence_until(pair))
    at_home = _copy_folder(pair, ERASURES, until=None)
    known = {one.id for one in state.erasures}
    there = [info.name for info in pair.expiring.folder.list(ERASURES)]
    replaced = {name.rpartition("/")[0] for name in there if name in at_home}  # has another key
    past = [
        name
        for name in there
        if name.split("/")[1] not in known
        or (name not in at_home and name.rpartition("/")[0] in replaced)
    ]
    if past:
        pair.expiring.folder.delete(past)


def _copy_folder(pair: Pair, folder: str, *, until: datetime | None) -> set[str]:
    """Copy files that have no name by their bytes; return the names of those at home."""
    home, copy = pair.home.home, pair.copy.folder
    there = {info.name for info in copy.list(folder)}
    names = {info.name for info in home.list(folder)}
    for name in sorted(names - there):
        data = home.load(name)
        with suppress(NameTaken):
            copy.save(name, data, sha256=sha256(data).digest(), locked_until=until)
    return names


def copy_ledger(pair: Pair, *, last: int, go_on: Callable[[], None]) -> None:
    """Copy records up to a number.

    Raises:
        LedgerBroken: one does not fit.
        NotAReplica: the copy is no beginning of this ledger.
        StorageError.
    """
    name, folder = pair.home.dataset.name, pair.copy.folder
    locks = pair.copy.vault.object_lock
    copy_records(
        pair.home.home,
        folder,
        name,
        first=require_beginning(pair.home.home, folder, name) + 1,
        last=last,
        trusted=pair.home.ledger.trusted,
        keep_for=pair.home.setting.policy.evidence_retention if locks else None,
        now=pair.home.setting.clock(),
        go_on=go_on,
    )


def copy_policy(pair: Pair) -> None:
    """Copy the configurations that were in force, and the ledger of the policy, if it is ours.

    They lie in the first vault. A vault with a policy of its own keeps that; what cannot be
    copied is told in the log.
    """
    setting = pair.home.setting
    first = next(iter(setting.datasets.vaults.values()))
    if first.name == pair.copy.vault.name:
        return
    try:
        _copy_policy(pair, first)
    except BackupError as error:  # a third vault; the recovery points are copied
        log.warning("the policy is not copied from %s: %s", first.name, error)


def _copy_policy(pair: Pair, first: VaultSettings) -> None:
    setting = pair.home.setting
    home = policy_folder(setting.open_storage(first))
    folder = policy_folder(setting.open_storage(pair.copy.vault))
    until = _evidence_until(pair)
    kept = (CONFIGS, INVENTORIES)
    there = {info.name for prefix in kept for info in folder.list(prefix)}
    for name in [info.name for prefix in kept for info in home.list(prefix)]:
        if name in there:
            continue
        with suppress(NameTaken):
            folder.save(name, home.load(name), locked_until=until)
    known = require_beginning(home, folder, POLICY)
    copy_records(
        home,
        folder,
        POLICY,
        first=known + 1,
        last=newest_number(home, POLICY),
        trusted=pair.home.ledger.trusted,
        keep_for=setting.policy.evidence_retention if pair.copy.vault.object_lock else None,
        now=setting.clock(),
        go_on=lambda: None,
    )


@dataclass(slots=True)
class News:
    """What records since the last run decide: verdicts, no absences."""

    departed: dict[str, list[str]] = field(default_factory=dict)  # snapshots, by generation
    lengthened: set[str] = field(default_factory=set)  # snapshots that are kept for longer

    def read(self, record: Record) -> None:
        """Take from a record what a copy has to follow."""
        if record.kind == Kind.EXPIRING:
            generation, snapshots = record.body.get("generation"), record.body.get("snapshots")
            if isinstance(generation, str) and isinstance(snapshots, list):
                self.departed.setdefault(generation, []).extend(map(str, snapshots))
        elif record.kind == Kind.RETAINED:
            fields = Fields(record.body, what="a verdict")
            self.lengthened.update(fields.document("lengthened"))


def _evidence_until(pair: Pair) -> datetime | None:
    if not pair.copy.vault.object_lock:
        return None
    return pair.home.setting.clock() + pair.home.setting.policy.evidence_retention
