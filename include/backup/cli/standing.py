"""The commands that tell how things stand, and how to go on from there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.actions import assess as assess_action
from include.backup.actions import report as report_action
from include.backup.actions import restores as restores_action
from include.backup.actions.assess import owner_of, recovery_order
from include.backup.actions.escrow import escrow_findings
from include.backup.actions.key_findings import as_line, key_findings
from include.backup.actions.replicas import findings_of
from include.backup.cli.json_output import person_json, planned_json, print_json
from include.backup.cli.kit_folder import release
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.expiry_table import expiry_table
from include.backup.evidence.replica_table import replica_table
from include.backup.evidence.restoration import as_page, as_text
from include.backup.evidence.signing import Signer
from include.backup.evidence.table import aligned, table
from include.backup.evidence.tested import tested_table
from include.backup.evidence.wording import moment, one_line
from include.backup.policy.durations import format_duration
from include.backup.policy.objectives import Verdict
from include.backup.policy.people import FILE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from include.backup.actions.assess import Assessment
    from include.backup.actions.setting import Setting
    from include.backup.policy.findings import Finding


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
        kept = [one.retention for one in found if one.retention is not None]
        print(f"\n{expiry_table(kept)}")
        if copies := [one for assessment in found for one in assessment.replicas]:
            print(f"\n{replica_table(copies)}")
        for line in assess_action.class_lines(setting, found):
            print(line)
        for line in findings_of(setting, setting.clock()):
            print(line)
        for finding in _key_findings(setting, found):
            print(as_line(finding))
        for name in _unlisted(setting):
            print(
                f"finding 3.2 · a vault holds {name}, which no entry of datasets.yaml names: "
                "nothing of it expires; hint: list it with `retired:`"
            )
    broken = any(
        assessment.row.verdict is Verdict.BROKEN
        or (assessment.retention and assessment.retention.verdict is Verdict.BROKEN)
        for assessment in found
    )
    return 1 if broken else 0


def _key_findings(setting: Setting, found: Sequence[Assessment]) -> list[Finding]:
    """What stands between the vault and whoever has to open it."""
    told = list(key_findings(setting))
    # A vault that does not answer is not asked, and waited for, once more.
    if not found or any(one.row.known for one in found):
        told += escrow_findings(setting, version=release())
    return told


def _unlisted(setting: Setting) -> list[str]:
    names, _ = restores_action.every_dataset(setting)
    known = setting.datasets.good.keys() | setting.datasets.bad.keys()
    return [name for name in names if name not in known]


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
    what = f"the verification of {moment(record.happened_at)} ({record.act})"
    return _write(page, options.to, what=what)


def restores(options: argparse.Namespace) -> int:
    """Every restore, who asked for it, and who approved it; or the document about one (4.3)."""
    setting = setting_of(options)
    warn(setting)
    if options.act:
        if not options.dataset:
            raise ConfigurationInvalid("--act needs a dataset", hint="restores DATASET --act ID")
        one = restores_action.restoration(setting, options.dataset, act=options.act)
        if options.json:
            print_json(one.to_json())
            return 0
        if options.to is None:
            print(as_text(one))
            return 0
        what = f"the restore that was asked for {moment(one.asked_at)} ({one.id})"
        return _write(as_page(one).encode(), options.to, what=what)
    if options.to is not None:
        raise ConfigurationInvalid("--to writes the record of one", hint="--act ID names it")
    names, silent = restores_action.every_dataset(setting, only=options.dataset or "")
    found, unread = restores_action.restores(setting, names)
    silent |= unread
    for name, why in silent.items():
        print(f"{name}: {why}", file=sys.stderr)
    if options.json:
        print_json([one.to_json() for one in found])
        return 1 if silent else 0
    rows = [("id", "dataset", "asked for", "by", "approved by", "result", "RTO clock", "why")]
    rows += [
        (
            one.id,
            f"{one.data_class}/{one.dataset}",
            moment(one.asked_at),
            one_line(str(one.said("requested_by"))),
            one.approved_by or "nobody",
            one.result,
            "" if one.clock is None else format_duration(one.clock),
            one_line(str(one.said("requested_because"))),
        )
        for one in found
    ]
    nothing = "nothing is known of any restore" if silent else "nothing was ever restored"
    print("\n".join(aligned(rows)) if found else nothing)
    return 1 if silent else 0


def people(options: argparse.Namespace) -> int:
    """Who may approve restores today, and why others may not (4.3)."""
    setting = setting_of(options)
    today = setting.clock().date()
    known = sorted(setting.people().values(), key=lambda one: one.user)
    if options.json:
        print_json([person_json(one, today) for one in known])
        return 0
    if not known:
        print(f"{FILE} names nobody: no restore can be approved; hint: README, Restoring")
        return 0
    rows = [("user", "name", "role", "may approve", "until or why not")]
    for one in known:
        training = one.training(today)
        told = one.why_untrained(today) if training is None else training.ends.isoformat()
        may = "no" if training is None else "yes"
        rows.append((one.user, one_line(one.name), one_line(one.role), may, one_line(told)))
    print("\n".join(aligned(rows)))
    return 0


def _write(page: bytes, to: str | None, *, what: str) -> int:
    """Into a new file, or to standard output."""
    if to is None:
        sys.stdout.write(page.decode())
        return 0
    path = Path(to)
    with path.open("xb") as file:  # what is there is not replaced
        path.chmod(0o600)
        file.write(page)
    print(f"{path}: {what}")
    return 0
