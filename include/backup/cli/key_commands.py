"""`keys list`, `rotate` and `erase`: which key opens what, and what none opens any more."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.erase import erase as erase_generations
from include.backup.actions.outcome import sentence_of
from include.backup.actions.providers import provider_of
from include.backup.actions.replicas import replicate_all
from include.backup.actions.restores import every_dataset
from include.backup.actions.rotate_key import rotate_key
from include.backup.cli.arguments import order_of
from include.backup.cli.json_output import print_json
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.cli.stopping import sigterm_stops
from include.backup.errors import BackupError
from include.backup.evidence.table import aligned
from include.backup.format.times import text_of_datetime
from include.backup.policy.dataset_model import KeySettings
from include.backup.vault.generations import GenerationState
from include.backup.vault.layout import envelope_folder

if TYPE_CHECKING:
    import argparse

    from include.backup.actions.setting import Setting


def listed(options: argparse.Namespace) -> int:
    """Which master key opens which generation, how old it is, and which envelopes there are."""
    setting = setting_of(options)
    warn(setting)
    names, silent = every_dataset(setting, only=options.dataset or "")
    found: list[dict[str, object]] = []
    for name in names:
        try:
            found += _inventory(setting, name)
        except BackupError as error:
            silent[name] = str(error)
    for name, why in silent.items():
        print(f"{name}: {why}", file=sys.stderr)
    if options.json:
        print_json(found)
    else:
        head = ("dataset", "generation", "state", "master key", "since", "days", "envelopes")
        rows = [tuple(str(value) for value in one.values()) for one in found]
        print("\n".join(aligned([head, *rows])) if rows else "nothing is stored yet")
    return 1 if silent else 0


def _inventory(setting: Setting, name: str) -> list[dict[str, object]]:
    place = DatasetVault.open_for_reading(setting, name)
    now = setting.clock()
    found: list[dict[str, object]] = []
    for one in place.state().generations:
        if one.state is GenerationState.EXPIRED:
            continue
        folder = envelope_folder(one.id)
        files = [info.name.removeprefix(folder) for info in place.folder.list(folder)]
        found.append({
            "dataset": name,
            "generation": one.id,
            "state": str(one.state),
            "master_key": one.key,
            "opened_at": text_of_datetime(one.opened_at),
            "days": (now - one.opened_at).days,
            "envelopes": ", ".join(file.removesuffix(".json") for file in files) or "none",
        })
    return found


def rotate(options: argparse.Namespace) -> int:
    """Let everything open with the master key that is configured now; exit 1 if not all does."""
    setting = setting_of(options)
    warn(setting)
    old, new = provider_of(setting, _old_key(setting, options.old)), provider_of(setting)
    print(f"from master key {old.master_key_id} to {new.master_key_id}")
    names, silent = every_dataset(setting, only=options.dataset or "")
    failed = bool(silent)
    for name, why in silent.items():
        print(f"{name}: {why}", file=sys.stderr)
    for name in names:
        try:
            with sigterm_stops():
                print(rotate_key(setting, name, old).sentence)
                failed = not _followed(setting, name) or failed
        except BackupError as error:
            failed = True
            print(sentence_of(error, f"{name}: {error}"), file=sys.stderr)
    if failed:
        print("not everything is done: keep both keys, and run it again", file=sys.stderr)
    return 1 if failed else 0


def _followed(setting: Setting, name: str) -> bool:
    """Let the copies of a dataset follow at once; say whether all did."""
    dataset = setting.datasets.good.get(name)
    if dataset is None or not dataset.replicas:
        return True
    followed = True
    for found in replicate_all(setting, name):
        if isinstance(found, BackupError):
            print(sentence_of(found, f"{name}: {found}"))
            followed = False
        else:
            print(found.sentence)
            followed = followed and not (
                found.details.get("kept_back") or found.details.get("unmet")
            )
    return followed


def _old_key(setting: Setting, named: str) -> KeySettings:
    """A connection that holds the key of before; or its ARN, in the KMS of the configured one."""
    if named.startswith("arn:"):
        return replace(setting.datasets.key, provider="aws_kms", key_id=named)
    return KeySettings(provider="local", connection=named)


def erase(options: argparse.Namespace) -> int:
    """Remove generations before their time, their keys first."""
    setting = setting_of(options)
    warn(setting)
    order = order_of(options)
    with sigterm_stops():
        outcome = erase_generations(
            setting,
            options.dataset,
            order,
            generation=options.generation or "",
            bypass_governance=options.bypass_governance,
        )
        print(outcome.sentence)
        return 0 if _followed(setting, options.dataset) else 1
