"""`ledger verify`, `accept` and `adopt`: the evidence, as an auditor reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.actions.adopt_spool import adopt_spool
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.opening import keys_of
from include.backup.actions.review import policy_ledger
from include.backup.cli.policy_in_force import setting_of
from include.backup.errors import BackupError
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.sentences import with_evidence
from include.backup.evidence.wording import count
from include.backup.vault.layout import dataset_folder, dataset_names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from include.backup.actions.setting import Setting


def verify(options: argparse.Namespace) -> int:
    """Read ledgers as an auditor does; exit 1 naming the first record that does not fit."""
    setting = setting_of(options)
    names = [options.dataset] if options.dataset else sorted(setting.datasets.good)
    ledgers = [DatasetVault.open_for_reading(setting, name).ledger for name in names]
    if not options.dataset:
        ledgers += [*_unlisted_ledgers(setting, ledgers), policy_ledger(setting)]
    failures = 0
    for ledger in ledgers:
        try:
            verified = ledger.verify(options.public_key)
        except BackupError as error:
            failures += 1
            print(f"{ledger.subject}: {error}")
            continue
        told = count(verified.records, "record")
        fit = "fits" if verified.records == 1 else "fit"
        keys = f", signed by {', '.join(verified.keys)}" if verified.keys else ""
        newest = f", the newest sha256 {verified.head.sha256[:16]}…" if verified.head else ""
        print(f"{ledger.subject}: {told} {fit}{keys}{newest}")
    return 1 if failures else 0


def accept(options: argparse.Namespace) -> int:
    """Forget what this machine has seen of a ledger: it was set aside, or the vault put back."""
    place = DatasetVault.open(setting_of(options), options.dataset)
    head = place.ledger.head()
    number = place.seen.forget()
    print(
        f"{place.subject}: this machine had seen record {number}, and accepts that there are "
        f"{head.sequence if head else 0} in {place.vault.url}"
    )
    return 0


def adopt(options: argparse.Namespace) -> int:
    """Record what waits in the spool of another machine; exit 1 if something was refused."""
    setting = setting_of(options)
    adoption = adopt_spool(setting, options.dataset, Path(options.spool))
    for record in adoption.records:
        signed = "" if record.spooled and record.spooled.key else " · nobody had signed it"
        told = record.sentence or f"{record.kind} of {record.subject}"
        print(f"{with_evidence(told, record)}{signed}")
    for refused in adoption.refused:
        print(f"refused: {refused.name}: {refused.reason}")
    print(f"{count(len(adoption.records), 'record')} of {options.dataset} adopted")
    return 1 if adoption.refused else 0


def _unlisted_ledgers(setting: Setting, listed: Sequence[Ledger]) -> Iterator[Ledger]:
    """Ledgers in the vaults of datasets that no entry names, or only a wrong one."""
    names = {ledger.subject for ledger in listed}
    signer, trusted = keys_of(setting)
    for vault in setting.datasets.vaults.values():
        storage = setting.open_storage(vault)
        for name in dataset_names(storage):
            if name not in names:
                folder = dataset_folder(storage, name)
                yield Ledger(folder, subject=name, signer=signer, trusted=trusted)
