"""`datasets`: what is protected, by which promises, and where its newest recovery point lies."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.restores import every_dataset
from include.backup.cli.json_output import print_json
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.errors import BackupError
from include.backup.evidence.table import aligned
from include.backup.evidence.wording import moment, size
from include.backup.format.times import text_of_datetime
from include.backup.policy.durations import format_duration

if TYPE_CHECKING:
    import argparse

    from include.backup.actions.setting import Setting


def datasets(options: argparse.Namespace) -> int:
    """List them, also those that only a vault knows; exit 1 if one cannot be read."""
    setting = setting_of(options)
    warn(setting)
    names, silent = every_dataset(setting)
    found = []
    for name in names:
        try:
            found.append(_listed(setting, name))
        except BackupError as error:
            silent[name] = str(error)
    for name, why in silent.items():
        print(f"{name}: {why}", file=sys.stderr)
    if options.json:
        print_json([document for document, _ in found])
    else:
        head = ("dataset", "class", "RPO", "RTO", "owner", "points", "newest", "size", "vault")
        print("\n".join(aligned([head, *(row for _, row in found)])) if found else "none")
    return 1 if silent else 0


def _listed(setting: Setting, name: str) -> tuple[dict[str, object], tuple[str, ...]]:
    place = DatasetVault.open_to_rescue(setting, name)
    state = place.state()
    newest, own = state.newest_point, place.data_class
    document: dict[str, object] = {
        "dataset": name,
        "class": own.name,
        "owner": place.dataset.owner,
        "vault": place.vault.url,
        "recovery_points": len(state.points),
        "newest_at": text_of_datetime(newest.taken_at) if newest else None,
        "bytes": newest.bytes_all if newest else None,
        "rpo_seconds": own.rpo.total_seconds(),
        "rto_seconds": own.rto.total_seconds(),
    }
    row = (
        name,
        own.name,
        format_duration(own.rpo),
        format_duration(own.rto),
        place.dataset.owner or "unknown",
        f"{len(state.points):,}",
        moment(newest.taken_at) if newest else "none",
        size(newest.bytes_all) if newest else "",
        place.vault.url,
    )
    return document, row
