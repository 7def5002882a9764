"""The commands that work on datasets."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from include.backup.actions import assess as assess_action
from include.backup.actions import back_up as back_up_action
from include.backup.actions import check as check_action
from include.backup.actions import report as report_action
from include.backup.actions import restore as restore_action
from include.backup.actions import verify as verify_action
from include.backup.actions.choosing import Order
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_server import PREFIX, ServerOrder, open_server
from include.backup.actions.review import policy_ledger
from include.backup.actions.verify import VerifyOrder
from include.backup.cli.environment import config_folder
from include.backup.cli.json_output import point_json, print_json
from include.backup.cli.policy_in_force import keep, setting_in_force
from include.backup.cli.progress_line import ProgressLine
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.sentences import STORED_BEFORE
from include.backup.evidence.signing import Signer
from include.backup.evidence.table import table
from include.backup.evidence.tested import tested_table
from include.backup.evidence.wording import count, moment, one_line, size
from include.backup.policy.model import Method
from include.backup.policy.objectives import Verdict
from include.backup.repository.progress import Progress
from include.backup.sources.directory import Directory
from include.backup.vault.layout import dataset_folder, dataset_names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from include.backup.actions.setting import Setting
    from include.backup.sources.base import Destination, Server


def back_up(options: argparse.Namespace) -> int:
    """Take a recovery point and print what was read, new and stored."""
    setting = setting_in_force(config_folder(options.config), proved=True)
    if not setting.warnings:
        keep(setting)
    progress = Progress()
    method = Method.FULL if options.full else _usual_method(setting, options.dataset)
    with ProgressLine(progress, what=f"back-up {options.dataset}"):
        outcome = back_up_action.back_up(
            setting, options.dataset, method=method, progress=progress, new_key=options.new_key
        )
    if options.json:
        print_json(outcome.to_json())
        return 0
    print(outcome.sentence)
    for note in outcome.details.get("noted", ()):
        print(f"note: {one_line(note)}")
    if figures := outcome.details:
        print(
            f"recovery point {figures['snapshot'][:8]} in generation {figures['generation']}: "
            f"{size(figures['bytes_read'])} read, {size(figures['bytes_new'])} new, "
            f"{size(figures['bytes_stored'])} stored{_found(figures['bytes_found'])}"
        )
    return 0


def recovery_points(options: argparse.Namespace) -> int:
    """List recovery points, newest first."""
    place = DatasetVault.open_for_reading(_setting(options), options.dataset)
    _warn(place.setting)
    state = place.state()
    points = sorted(state.points, key=lambda point: (point.taken_at, point.sequence), reverse=True)
    sound = {point.snapshot for point in state.sound_points}
    if options.json:
        print_json([point_json(point, damaged=point.snapshot not in sound) for point in points])
        return 0
    if not points:
        print(f"{place.subject} has no recovery point yet")
        return 0
    rows = [
        (
            *("id", "generation", "method", "taken", "read", "new", "stored", "stored before"),
            *("entries", "expires", "verified", "state"),
        )
    ]
    rows += [
        (
            point.snapshot[:8],
            point.generation,
            str(point.method),
            moment(point.taken_at),
            size(point.bytes_read),
            size(point.bytes_new),
            size(point.bytes_stored),
            size(point.bytes_found),
            f"{point.entries:,}",
            moment(point.expires_at),
            moment(point.verified_at) if point.verified_at else "never",
            "sound" if point.snapshot in sound else "in a damaged generation",
        )
        for point in points
    ]
    _print_columns(rows)
    return 0


def restore(options: argparse.Namespace) -> int:
    """Restore to a directory, or into a server."""
    setting = _setting(options)
    destination, address = _destination(setting, options)
    order = Order(
        at=options.at,
        recovery_point=options.recovery_point or "",
        path=options.path or "",
        address=address,
        requested_by=options.requested_by or setting.owner,
        reason=options.reason,
    )
    progress = Progress()
    with ProgressLine(progress, what=f"restore {options.dataset}"):
        outcome = restore_action.restore(
            setting,
            options.dataset,
            destination,
            order,
            progress=progress,
        )
    if options.json:
        print_json(outcome.to_json())
        return 0
    print(outcome.sentence)
    for note in outcome.details["noted"]:
        print(f"note: {one_line(note)}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Check a dataset; exit 1 naming each damage."""
    setting = _setting(options)
    progress = Progress()
    with ProgressLine(progress, what=f"check {options.dataset}"):
        outcome, damages = check_action.check(
            setting, options.dataset, read_data=options.read_data, progress=progress
        )
    if options.json:
        print_json(outcome.to_json() | {"damages": damages})
    else:
        for damage in damages:
            print(f"damage: {damage}")
        print(outcome.sentence)
    return 1 if damages else 0


def verify(options: argparse.Namespace) -> int:
    """Restore recovery points into a scratch and look at them; exit 1 naming each fault."""
    setting = _setting(options)
    progress = Progress()
    order = VerifyOrder(recovery_point=options.recovery_point or "", seed=options.seed)
    with ProgressLine(progress, what=f"verify {options.dataset}"):
        outcome, faults = verify_action.verify(setting, options.dataset, order, progress=progress)
    if options.json:
        print_json(outcome.to_json() | {"faults": faults})
    else:
        for fault in faults:
            print(f"fault: {one_line(fault)}")
        print(outcome.sentence)
    return 0 if outcome.details["passed"] else 1


def report(options: argparse.Namespace) -> int:
    """The page about a verification: into a file, or printed."""
    record, page = report_action.report(_setting(options), options.dataset, act=options.act or "")
    if options.to is None:
        sys.stdout.write(page.decode())
        return 0
    path = Path(options.to)
    with path.open("xb") as file:  # what is there is not replaced
        path.chmod(0o600)
        file.write(page)
    print(f"{path}: the verification of {moment(record.happened_at)} ({record.act})")
    return 0


def status(options: argparse.Namespace) -> int:
    """Every dataset against its objectives; exit 1 if one is broken."""
    setting = _setting(options)
    # Without it no ledger can be read: that is no verdict on any dataset.
    Signer.of_text(setting.connection(setting.datasets.signing_key).password)
    _warn(setting)
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


def verify_ledger(options: argparse.Namespace) -> int:
    """Read ledgers as an auditor does; exit 1 naming the first record that does not fit."""
    setting = _setting(options)
    names = [options.dataset] if options.dataset else sorted(setting.datasets.good)
    ledgers = [DatasetVault.open_for_reading(setting, name).ledger for name in names]
    if not options.dataset:
        ledgers += [*_unlisted_ledgers(setting, ledgers), policy_ledger(setting)]
    failures = 0
    for ledger in ledgers:
        try:
            verified = ledger.verify()
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


def _destination(setting: Setting, options: argparse.Namespace) -> tuple[Destination | Server, str]:
    """Where a restore goes, and how people call it.

    Raises:
        ConfigurationInvalid.
    """
    if options.to.startswith(PREFIX):
        order = replace(
            ServerOrder.parse(options.to),
            pattern=options.path or "",
            overwrite=options.overwrite,
            into_source=options.into_source,
            owner="" if options.no_owner else options.owner,
            jobs=options.jobs,
            statistics=not options.no_statistics,
        )
        place = DatasetVault.open_for_reading(setting, options.dataset)
        return open_server(place, order), options.to
    if options.owner or options.no_owner or options.into_source or options.no_statistics:
        raise ConfigurationInvalid(
            "--owner, --no-owner, --no-statistics and --into-source have no meaning for a directory"
        )
    folder = Path(options.to).absolute()
    _refuse_vault(setting, folder)
    return Directory(folder, overwrite=options.overwrite), str(folder)


def _refuse_vault(setting: Setting, destination: Path) -> None:
    """Nothing is restored into a vault: what lies there is encrypted, and named by its content."""
    for vault in setting.datasets.vaults.values():
        if vault.local_path and destination.resolve().is_relative_to(
            Path(vault.local_path).resolve()
        ):
            raise ConfigurationInvalid(
                f"{destination} lies in the vault {vault.url}", hint="--to another directory"
            )


def _unlisted_ledgers(setting: Setting, listed: Sequence[Ledger]) -> Iterator[Ledger]:
    """Ledgers in the vaults of datasets that no entry names, or only a wrong one."""
    names = {ledger.subject for ledger in listed}
    signer = Signer.of_text(setting.connection(setting.datasets.signing_key).password)
    for vault in setting.datasets.vaults.values():
        storage = setting.open_storage(vault)
        for name in dataset_names(storage):
            if name not in names:
                trusted = setting.datasets.trusted_keys
                folder = dataset_folder(storage, name)
                yield Ledger(folder, subject=name, signer=signer, trusted=trusted)


def accept_ledger(options: argparse.Namespace) -> int:
    """Forget what this machine has seen of a ledger: it was set aside, or the vault put back."""
    place = DatasetVault.open(_setting(options), options.dataset)
    head = place.ledger.head()
    number = place.seen.forget()
    print(
        f"{place.subject}: this machine had seen record {number}, and accepts that there are "
        f"{head.sequence if head else 0} in {place.vault.url}"
    )
    return 0


def _found(count_bytes: int) -> str:
    return f", {size(count_bytes)} {STORED_BEFORE}" if count_bytes else ""


def _setting(options: argparse.Namespace) -> Setting:
    return setting_in_force(config_folder(options.config))


def _warn(setting: Setting) -> None:
    """Say on the error stream what the sentences of acts say themselves."""
    for warning in setting.warnings:
        print(warning, file=sys.stderr)


def _usual_method(setting: Setting, name: str) -> Method:
    dataset = setting.datasets.dataset(name)
    return setting.policy.data_class(dataset.data_class).method


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
