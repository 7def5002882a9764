"""The commands about erasure requests: what must not come back with a restore.

What is to be erased comes from a file, never from an argument: others see those.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.actions import erasures as action
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.cli.arguments import order_of
from include.backup.cli.json_output import print_json
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.table import aligned
from include.backup.evidence.wording import day, moment
from include.backup.format.times import text_of_datetime
from include.backup.vault.erasures import LARGEST_BYTES, Erased, still_in

if TYPE_CHECKING:
    import argparse


def listed(options: argparse.Namespace) -> int:
    """List the requests that are carried out again after each restore."""
    setting = setting_of(options)
    warn(setting)
    names = [options.dataset] if options.dataset else sorted(setting.datasets.good)
    rows = [
        ("dataset", "erasure", "registered", "erased at", "recovery points", "until", "held in")
    ]
    documents, unread = [], False
    for name in names:
        try:
            state = DatasetVault.open_for_reading(setting, name).state()
        except BackupError as error:
            unread = True
            print(f"{name}: {error}", file=sys.stderr)
            continue
        for one in state.erasures:
            points = [point for point in state.points if one.concerns(point)]
            until = max((point.expires_at for point in points), default=None)
            held = still_in(state, one)
            documents.append({
                "dataset": name,
                **one.to_json(),
                "points": len(points),
                "until": text_of_datetime(until) if until else None,
                "generations": held,
            })
            rows.append((
                *(name, one.id, moment(one.at), moment(one.erased_at), f"{len(points):,}"),
                *(day(until) if until else "", ", ".join(held) or "none"),
            ))
    if options.json:
        print_json(documents)
    else:
        print("\n".join(aligned(rows)) if len(rows) > 1 else "nothing is registered")
    return 1 if unread else 0


def add(options: argparse.Namespace) -> int:
    """Register what is erased again from whatever is restored."""
    erased = (
        Erased(statements=_read(options.statements), database=options.database or "")
        if options.statements
        else Erased(paths=tuple(line for line in _read(options.paths).splitlines() if line.strip()))
    )
    order = action.ErasureOrder(
        erased=erased,
        requested_by=options.requested_by,
        reason=options.reason,
        ticket=options.ticket,
        erased_at=options.erased_at,
    )
    print(action.register(setting_of(options), options.dataset, order).sentence)
    return 0


def show(options: argparse.Namespace) -> int:
    """Print what a request is about."""
    erased = action.content_of(setting_of(options), options.dataset, options.erasure)
    if erased.database:
        print(f"-- in database {erased.database}")
    print(erased.statements or "\n".join(erased.paths))
    return 0


def withdraw(options: argparse.Namespace) -> int:
    """Take a request back."""
    order = order_of(options)
    print(action.withdraw(setting_of(options), options.dataset, options.erasure, order).sentence)
    return 0


def _read(name: str) -> str:
    """A file, or standard input."""
    if name == "-":
        text = sys.stdin.read(LARGEST_BYTES + 1)
    else:
        text = Path(name).read_text(encoding="utf-8")
    if not text.strip():
        raise ConfigurationInvalid(f"there is nothing in {name}")
    return text
