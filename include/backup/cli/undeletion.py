"""The command `vault undelete`: what somebody has put over files of a bucket goes (3.2)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from include.backup.actions import undelete as action
from include.backup.actions.outcome import sentence_of
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.cli.stopping import sigterm_stops
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.wording import one_line
from include.backup.vault.layout import dataset_names

if TYPE_CHECKING:
    import argparse

    from include.backup.actions.setting import Setting

_MOST_SHOWN = 20


def undelete(options: argparse.Namespace) -> int:
    """Uncover files, or show which would be; exit 1 if something stays hidden, or could not be."""
    setting = setting_of(options)
    warn(setting)
    vault = options.vault or ""
    if vault and vault not in setting.datasets.vaults:
        raise ConfigurationInvalid(
            f"{vault[:80]!r} is no vault", hint=f"one of {', '.join(setting.datasets.vaults)}"
        )
    if options.dataset:
        return int(not _one(setting, options.dataset, vault, dry_run=options.dry_run))
    good = True
    for name, where in _held(setting, vault):
        try:
            good = _one(setting, name, where, dry_run=options.dry_run) and good
        except BackupError as error:
            good = False
            print(sentence_of(error, f"{name}: {error}"), file=sys.stderr)
    for where in [vault] if vault else list(setting.datasets.vaults):
        print(action.undelete_outside(setting, where, dry_run=options.dry_run))
    return 0 if good else 1


def _held(setting: Setting, only: str) -> list[tuple[str, str]]:
    """Every dataset that vaults hold, listed or not, and the vault; homes come first."""
    found = []
    for vault, settings in setting.datasets.vaults.items():
        if only in {"", vault}:
            for name in dataset_names(setting.open_storage(settings)):
                listed = setting.datasets.good.get(name)
                if listed is None or listed.vault == vault:
                    found.append((False, name, ""))
                elif only or vault in listed.replicas:
                    found.append((True, name, vault))
    return [(name, vault) for _, name, vault in sorted(found)]


def _one(setting: Setting, name: str, vault: str, *, dry_run: bool) -> bool:
    """Whether nothing of a dataset is hidden any more, or is."""
    if dry_run:
        found = action.seen_tampering(setting, name, vault=vault)
        print(f"{name}: {found}")
        for one in found.first[:_MOST_SHOWN]:
            print(f"    {one_line(one)}")
        if found.names > _MOST_SHOWN:
            print(f"    and {found.names - _MOST_SHOWN:,} more")
        return True
    with sigterm_stops():
        outcome = action.undelete(setting, name, vault=vault)
    print(outcome.sentence)
    return not outcome.details["hidden"]
