"""The commands that work on datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.actions import back_up as back_up_action
from include.backup.actions import check as check_action
from include.backup.actions import verify as verify_action
from include.backup.actions.check import Reading
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.verify import VerifyOrder
from include.backup.cli.environment import config_folder
from include.backup.cli.json_output import point_json, print_json
from include.backup.cli.policy_in_force import keep, setting_in_force, setting_of, warn
from include.backup.cli.progress_line import ProgressLine
from include.backup.evidence.sentences import STORED_BEFORE
from include.backup.evidence.table import aligned
from include.backup.evidence.wording import moment, one_line, size
from include.backup.policy.model import Method
from include.backup.repository.progress import Progress

if TYPE_CHECKING:
    import argparse

    from include.backup.actions.setting import Setting


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
    setting = setting_of(options)
    place = DatasetVault.open_to_rescue(setting, options.dataset, replica=options.replica or "")
    warn(place.setting)
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
    print("\n".join(aligned(rows)))
    return 0


def check(options: argparse.Namespace) -> int:
    """Check a dataset; exit 1 naming each damage."""
    setting = setting_of(options)
    progress = Progress()
    reading = Reading.ALL if options.read_data else Reading.NOTHING
    reading = Reading.NEXT if options.read_next else reading
    with ProgressLine(progress, what=f"check {options.dataset}"):
        outcome, damages = check_action.check(
            setting,
            options.dataset,
            reading=reading,
            progress=progress,
            replica=options.replica or "",
        )
    if options.json:
        print_json(outcome.to_json() | {"damages": damages})
    else:
        for damage in damages:
            print(f"damage: {one_line(damage)}")
        print(outcome.sentence)
    return 1 if damages else 0


def verify(options: argparse.Namespace) -> int:
    """Restore recovery points into a scratch and look at them; exit 1 naming each fault."""
    setting = setting_of(options)
    progress = Progress()
    order = VerifyOrder(
        recovery_point=options.recovery_point or "",
        seed=options.seed,
        replica=options.replica or "",
    )
    with ProgressLine(progress, what=f"verify {options.dataset}"):
        outcome, faults = verify_action.verify(setting, options.dataset, order, progress=progress)
    if options.json:
        print_json(outcome.to_json() | {"faults": faults})
    else:
        for fault in faults:
            print(f"fault: {one_line(fault)}")
        print(outcome.sentence)
    return 0 if outcome.details["passed"] else 1


def _found(count_bytes: int) -> str:
    return f", {size(count_bytes)} {STORED_BEFORE}" if count_bytes else ""


def _usual_method(setting: Setting, name: str) -> Method:
    dataset = setting.datasets.dataset(name)
    return setting.policy.data_class(dataset.data_class).method
