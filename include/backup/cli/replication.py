"""The commands about copies in other vaults: `replicate`, and `vault` (3.5)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from include.backup.actions.outcome import sentence_of
from include.backup.actions.promote import promote as promote_dataset
from include.backup.actions.replicas import replicate_all, standings
from include.backup.cli.arguments import order_of
from include.backup.cli.json_output import print_json
from include.backup.cli.policy_in_force import setting_of, warn
from include.backup.cli.progress_line import ProgressLine
from include.backup.cli.stopping import sigterm_stops
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.replica_table import replica_table
from include.backup.evidence.table import aligned
from include.backup.policy.objectives import Verdict
from include.backup.repository.progress import Progress

if TYPE_CHECKING:
    import argparse

    from include.backup.actions.outcome import Outcome


def replicate(options: argparse.Namespace) -> int:
    """Bring replicas up to date; exit 1 if one could not be, or lacks something."""
    setting = setting_of(options)
    warn(setting)
    good = setting.datasets.good
    names = [options.dataset] if options.dataset else [n for n in sorted(good) if good[n].replicas]
    outcomes: list[Outcome] = []
    failed = False
    for name in names:
        progress = Progress()
        with ProgressLine(progress, what=f"replicate {name}"), sigterm_stops():
            for found in replicate_all(setting, name, only=options.to or "", progress=progress):
                if isinstance(found, BackupError):
                    failed = True
                    print(sentence_of(found, f"{name}: {found}"), file=sys.stderr)
                else:
                    outcomes.append(found)
                    failed = failed or bool(found.details.get("unmet"))
                    if not options.json:
                        print(found.sentence)
    if options.json:
        print_json([outcome.to_json() for outcome in outcomes])
    elif not names:
        print("no dataset has replicas; hint: `replicas: [VAULT]` in datasets.yaml")
    return 1 if failed else 0


def vaults(options: argparse.Namespace) -> int:
    """List vaults: where they are, whether they lie offsite, and what has its home in them."""
    setting = setting_of(options)
    warn(setting)
    good = setting.datasets.good.values()
    documents: list[dict[str, Any]] = [
        {
            "vault": vault.name,
            "url": vault.url,
            "offsite": vault.offsite,
            "object_lock": vault.object_lock,
            "envelope_lock": vault.envelope_lock,
            "home_of": sorted(one.name for one in good if one.vault == vault.name),
            "replica_of": sorted(one.name for one in good if vault.name in one.replicas),
        }
        for vault in setting.datasets.vaults.values()
    ]
    if options.json:
        print_json(documents)
        return 0
    said = {True: "yes", False: "no", None: "nobody says"}
    rows = [("vault", "url", "offsite", "Object Lock", "home of", "replica of")]
    for one, vault in zip(documents, setting.datasets.vaults.values(), strict=True):
        rows.append((
            *(vault.name, vault.url, said[vault.offsite], vault.object_lock or "none"),
            *(f"{len(one['home_of']):,}", f"{len(one['replica_of']):,}"),
        ))
    print("\n".join(aligned(rows)))
    names = sorted(setting.datasets.good)
    found = [one for name in names for one in standings(setting, name)]
    if found:
        print(f"\n{replica_table(found)}")
    return 1 if any(one.verdict is not Verdict.KEPT for one in found) else 0


def promote(options: argparse.Namespace) -> int:
    """Make a vault that holds replicas the home of datasets."""
    setting = setting_of(options)
    warn(setting)
    order = order_of(options)
    good = setting.datasets.good
    names = (
        [options.dataset]
        if options.dataset
        else [name for name in sorted(good) if options.vault in good[name].replicas]
    )
    if not names:
        raise ConfigurationInvalid(
            f"no dataset has a replica in {options.vault}",
            hint="`vault list` tells which vault holds what",
        )
    failed = []
    for name in names:
        try:
            print(promote_dataset(setting, name, options.vault, order, lost=options.lost).sentence)
        except BackupError as error:
            if options.dataset:
                raise
            failed.append(name)
            print(f"error: {name}: {error}", file=sys.stderr)
    done = [name for name in names if name not in failed]
    if done:
        print(f"now, in datasets.yaml, for {', '.join(done)}:")
        print(f"    vault: {options.vault}")
        former = {good[name].vault for name in done if name in good}
        print(f"    replicas: [{', '.join(sorted(former))}]    # without it, if it is lost")
    return 1 if failed else 0
