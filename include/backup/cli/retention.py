"""The commands about retention: what expires, what is held, what is in doubt (3.2)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from include.backup.actions import expire as expire_action
from include.backup.actions import hold as hold_action
from include.backup.actions import shorten as shorten_action
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.expire import verdict_rows
from include.backup.actions.outcome import sentence_of
from include.backup.cli.arguments import order_of
from include.backup.cli.json_output import plan_json, print_json
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.cli.stopping import sigterm_stops
from include.backup.errors import BackupError
from include.backup.evidence.table import aligned
from include.backup.evidence.wording import moment, one_line

if TYPE_CHECKING:
    import argparse

    from include.backup.actions.setting import Setting
    from include.backup.vault.expiry import ExpiryPlan
    from include.backup.vault.state import DatasetState


def expire(options: argparse.Namespace) -> int:
    """Remove what has expired, or show what would be; exit 1 if something could not be."""
    setting = setting_of(options)
    warn(setting)
    names = [options.dataset] if options.dataset else sorted(setting.datasets.good)
    documents, failed = [], False
    for name in names:
        try:
            plan, document = _expired(setting, name, dry_run=options.dry_run)
        except BackupError as error:
            if options.dataset:
                raise
            failed = True
            print(sentence_of(error, f"{name}: {error}"), file=sys.stderr)
            continue
        documents.append(document)
        if not options.json:
            _show(name, plan, document)
    if options.json:
        print_json(documents)
    return 1 if failed else 0


def _expired(setting: Setting, name: str, *, dry_run: bool) -> tuple[ExpiryPlan, dict[str, object]]:
    if dry_run:
        _, plan = expire_action.plan_of(setting, name)
        return plan, plan_json(name, plan)
    with sigterm_stops():
        outcome, plan = expire_action.expire(setting, name)
    return plan, plan_json(name, plan) | {"outcome": outcome.to_json()}


def _show(name: str, plan: ExpiryPlan, document: dict[str, object]) -> None:
    print(f"{name}: {len(plan.kept):,} kept, {len(plan.expired):,} expired")
    if plan.verdicts:
        print("\n".join(aligned(verdict_rows(plan))))
    for fate in plan.fates:
        print(f"generation {fate.generation} {fate.told}: {fate.why}")
    outcome = document.get("outcome")
    if isinstance(outcome, dict):
        print(outcome["sentence"])
    else:
        print("nothing was touched")


def holds(options: argparse.Namespace) -> int:
    """List holds."""
    setting = setting_of(options)
    warn(setting)
    rows = [("dataset", "hold", "since", "covers", "reason", "requested by", "approved by")]
    documents = []
    for name, state in _states(setting, options.dataset):
        for one in state.holds:
            documents.append({"dataset": name, **one.to_json()})
            covers = ", ".join(snapshot[:8] for snapshot in one.snapshots) or "everything"
            rows.append((
                *(name, one.id, moment(one.since), covers, one_line(one.reason)),
                *(one.requested_by, one.approved_by),
            ))
    if options.json:
        print_json(documents)
    else:
        print("\n".join(aligned(rows)) if len(rows) > 1 else "nothing is on hold")
    return 0


def add_hold(options: argparse.Namespace) -> int:
    """Keep what a hold covers until it is lifted."""
    outcome = hold_action.add_hold(
        setting_of(options), options.dataset, order_of(options), points=options.recovery_point
    )
    print(outcome.sentence)
    return 0


def lift_hold(options: argparse.Namespace) -> int:
    """End a hold."""
    order = order_of(options)
    print(hold_action.lift_hold(setting_of(options), options.dataset, options.hold, order).sentence)
    return 0


def shorten(options: argparse.Namespace) -> int:
    """Let recovery points expire by the shorter retention of today."""
    setting = setting_of(options)
    warn(setting)
    _, found = shorten_action.shortened(setting, options.dataset)
    rows = [("recovery point", "taken", "promised until", "by its class of today")]
    rows += [
        (point.snapshot[:8], moment(point.taken_at), moment(point.expires_at), moment(until))
        for point, until in found
    ]
    if found:
        print("\n".join(aligned(rows)))
    if options.dry_run:
        print("nothing was touched")
        return 0
    print(shorten_action.shorten(setting, options.dataset, order_of(options)).sentence)
    return 0


def suspicions(options: argparse.Namespace) -> int:
    """List suspicious runs that nobody has resolved; exit 1 if there are any."""
    setting = setting_of(options)
    warn(setting)
    rows = [("dataset", "record", "at", "found by", "what")]
    documents = []
    for name, state in _states(setting, options.dataset):
        for one in state.suspicions:
            documents.append({"dataset": name, **one.to_json()})
            rows.append((name, str(one.sequence), moment(one.at), str(one.source), one.reason))
    if options.json:
        print_json(documents)
    else:
        print("\n".join(aligned(rows)) if documents else "nothing is in doubt")
    return 1 if documents else 0


def resolve(options: argparse.Namespace) -> int:
    """Say that somebody has looked into them."""
    outcome = hold_action.resolve(
        setting_of(options), options.dataset, by=options.by, reason=options.reason
    )
    print(outcome.sentence)
    return 0


def _states(setting: Setting, only: str | None) -> list[tuple[str, DatasetState]]:
    """The state of each dataset; one whose ledger cannot be read is named."""
    found = []
    for name in [only] if only else sorted(setting.datasets.good):
        try:
            found.append((name, DatasetVault.open_for_reading(setting, name).state()))
        except BackupError as error:
            if only:
                raise
            print(f"{name}: {error}", file=sys.stderr)
    return found
