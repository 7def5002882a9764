"""`policy`: what the policy promises, whether it can be kept, and where words and reality part."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.backup.actions import review as review_action
from include.backup.actions.key_findings import key_findings
from include.backup.cli.environment import config_folder, load_setting, now
from include.backup.cli.json_output import print_json
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.sentences import with_evidence
from include.backup.evidence.wording import count
from include.backup.policy.datasets import datasets_schema, team_file_schema
from include.backup.policy.durations import format_duration
from include.backup.policy.findings import Finding, findings
from include.backup.policy.load import policy_schema
from include.backup.policy.people import people_schema
from include.backup.policy.proof import Proof, prove

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from include.backup.actions.setting import Setting
    from include.backup.policy.model import DataClass

INFEASIBLE = 2


def show(options: argparse.Namespace) -> int:
    """Print classes, schedules with proof, findings, and wrong entries of datasets.yaml."""
    if options.schemas:
        return _write_schemas(Path(options.schemas))
    setting = load_setting(config_folder(options.config))
    moment = now()
    proofs = [(one, prove(one, start=moment.date())) for one in setting.policy.classes]
    try:
        reviewed, unknown = review_action.last_review(setting), ""
    except BackupError as error:
        reviewed, unknown = None, str(error)
    found = findings(setting.policy, last_review=reviewed.date() if reviewed else None, now=moment)
    found = (*found, *key_findings(setting))
    if options.json:
        print_json(_as_json(setting, proofs, found))
    else:
        _print(setting, proofs, found, reviewed, unknown)
    infeasible = [proof for _, proof in proofs if not proof.feasible]
    for proof in infeasible:  # why stands in what was printed
        print(f"error: class {proof.data_class} cannot keep its promises", file=sys.stderr)
    return INFEASIBLE if infeasible or setting.datasets.bad else 0


def review(options: argparse.Namespace) -> int:
    """Record a review of the policy (8)."""
    setting = load_setting(config_folder(options.config))
    record = review_action.review(setting, by=options.by, note=options.note)
    sentence = with_evidence(record.sentence, record)
    if options.json:
        print_json({"sentence": sentence})
    else:
        print(sentence)
    return 0


def _write_schemas(folder: Path) -> int:
    try:
        return _write_schemas_to(folder)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{folder} cannot be written: {error.strerror}", hint="name a folder that you may write"
        ) from error


def _write_schemas_to(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in (
        ("policy", policy_schema()),
        ("datasets", datasets_schema()),
        ("team-file", team_file_schema()),
        ("people", people_schema()),
    ):
        path = folder / f"{name}.schema.json"
        path.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
        print(path)
    return 0


def _print(
    setting: Setting,
    proofs: list[tuple[DataClass, Proof]],
    found: tuple[Finding, ...],
    reviewed: datetime | None,
    unknown: str,
) -> None:
    policy = setting.policy
    print(f"{policy.name} · {policy.organization} · effective {policy.effective}")
    last = f"{reviewed:%Y-%m-%d}" if reviewed else unknown or "never"
    print(f"last review: {last}")
    for data_class, proof in proofs:
        print(f"\n{data_class.name}")
        for label, text in _lines(data_class, proof):
            print(f"  {label:<26}{text}")
    print(f"\n{count(len(found), 'finding')}: where the words of the policy and reality part")
    for finding in found:
        of = f" · {finding.subject}" if finding.subject else ""
        print(f"\n  {' '.join(finding.clauses)}{of} · {finding.key}")
        print(f"    the policy says: {finding.words}")
        print(f"    in reality:      {finding.reality}")
        print(f"    reading chosen:  {finding.reading}")
    for one in policy.attestations:
        word = "attested" if one.counts(now().date()) else "no longer attested"
        until = f"{one.date} to {one.until}"
        print(f"\n  {' '.join(one.clauses)} · {word} by {one.by}, {until}: {one.says}")
    datasets = setting.datasets
    unusable = count(len(datasets.bad), "entry", "entries")
    print(f"\n{count(len(datasets.good), 'dataset')}, {unusable} that cannot be used")
    for name, error in datasets.bad.items():
        print(f"  {name}: {error}")


def _lines(data_class: DataClass, proof: Proof) -> list[tuple[str, str]]:
    promises = [
        ("frequency (3.1)", data_class.frequency.words),
        ("retention (3.2)", format_duration(data_class.retention)),
        ("method (3.3)", str(data_class.method)),
        ("RPO (4.1)", format_duration(data_class.rpo)),
        ("RTO (4.2)", format_duration(data_class.rto)),
        ("complete within", format_duration(data_class.complete_within)),
    ]
    if not proof.feasible:
        nearest = f'; hint: the nearest schedule that would do is "{proof.nearest}"'
        told = f"CANNOT BE KEPT: {proof.reason}{nearest if proof.nearest else ''}"
        return [*promises, ("schedule", told)]
    catch_up = format_duration(proof.catch_up_within)
    return [
        *promises,
        ("schedule", f"{proof.schedule}, interval {format_duration(proof.interval)}"),
        ("greatest age", f"{format_duration(proof.greatest_age)} (interval + complete within)"),
        ("slack", format_duration(proof.slack)),
        ("survives one lost run", "yes" if proof.survives_one_lost_run else "no"),
        ("catch-up run", f"must begin within {catch_up} of the last good start"),
    ]


def _as_json(
    setting: Setting, proofs: list[tuple[DataClass, Proof]], found: tuple[Finding, ...]
) -> dict[str, Any]:
    return {
        "policy": setting.policy.name,
        "classes": [
            {
                "name": data_class.name,
                "feasible": proof.feasible,
                "reason": proof.reason,
                "schedule": str(proof.schedule) if proof.schedule else None,
                "interval_seconds": proof.interval.total_seconds(),
                "greatest_age_seconds": proof.greatest_age.total_seconds(),
                "slack_seconds": proof.slack.total_seconds(),
                "survives_one_lost_run": proof.survives_one_lost_run,
                "catch_up_within_seconds": proof.catch_up_within.total_seconds(),
            }
            for data_class, proof in proofs
        ],
        "findings": [
            {
                "key": finding.key,
                "clauses": list(finding.clauses),
                "subject": finding.subject,
                "words": finding.words,
                "reality": finding.reality,
                "reading": finding.reading,
            }
            for finding in found
        ],
        "attestations": [
            {"name": one.name, **one.to_json()} for one in setting.policy.attestations
        ],
        "datasets": sorted(setting.datasets.good),
        "bad_entries": {name: str(error) for name, error in setting.datasets.bad.items()},
    }
