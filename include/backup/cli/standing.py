"""The commands that tell how things stand, and how to go on from there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.actions import assess as assess_action
from include.backup.actions import report as report_action
from include.backup.actions.assess import owner_of, recovery_order
from include.backup.cli.json_output import planned_json, print_json
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.evidence.signing import Signer
from include.backup.evidence.table import aligned, table
from include.backup.evidence.tested import tested_table
from include.backup.evidence.wording import moment
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    import argparse


def status(options: argparse.Namespace) -> int:
    """Every dataset against its objectives; exit 1 if one is broken."""
    setting = setting_of(options)
    # Without it no ledger can be read: that is no verdict on any dataset.
    Signer.of_text(setting.connection(setting.datasets.signing_key).password)
    warn(setting)
    found = assess_action.assess(setting)
    if options.json:
        print_json([assessment.to_json() for assessment in found])
    else:
        print(table([assessment.row for assessment in found]))
        print(f"\n{tested_table([assessment.tested for assessment in found])}")
        for line in assess_action.class_lines(setting, found):
            print(line)
    broken = any(assessment.row.verdict is Verdict.BROKEN for assessment in found)
    return 1 if broken else 0


def recovery_plan(options: argparse.Namespace) -> int:
    """What is restored first after a disaster, how long each takes, and whom to call (4.2, 4.3)."""
    setting = setting_of(options)
    warn(setting)
    found = assess_action.assess(setting)
    plan = recovery_order(found)
    if options.json:
        print_json([planned_json(one, owner_of(one, setting.datasets)) for one in plan])
        return 0
    rows = [("", "dataset", "RTO", "forecast", "tested", "newest copy", "whom to call")]
    for number, one in enumerate(plan, start=1):
        tested, owner = one.tested, owner_of(one, setting.datasets)
        rows.append((
            f"{number}.",
            f"{one.row.data_class}/{one.row.dataset}",
            "" if tested.limit is None else format_duration(tested.limit),
            "unknown" if tested.forecast is None else format_duration(tested.forecast),
            str(tested.verdict),
            "none known" if one.row.newest_at is None else moment(one.row.newest_at),
            owner,
        ))
    print("\n".join(aligned(rows)))
    for line in assess_action.class_lines(setting, found):
        print(line)
    return 0


def report(options: argparse.Namespace) -> int:
    """The page about a verification: into a file, or printed."""
    record, page = report_action.report(setting_of(options), options.dataset, act=options.act or "")
    if options.to is None:
        sys.stdout.write(page.decode())
        return 0
    path = Path(options.to)
    with path.open("xb") as file:  # what is there is not replaced
        path.chmod(0o600)
        file.write(page)
    print(f"{path}: the verification of {moment(record.happened_at)} ({record.act})")
    return 0
