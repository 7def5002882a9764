"""`restore`: one dataset, or all of a class in the order that meets the recovery time objectives.

In a class each dataset stands alone: one that cannot be restored holds up no other.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.backup.actions import restore as restore_action
from include.backup.actions.assess import assess, recovery_order
from include.backup.actions.choosing import Order
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_destination import Place, open_destination
from include.backup.actions.open_server import PREFIX
from include.backup.actions.restores import every_dataset
from include.backup.cli.json_output import print_json
from include.backup.cli.policy_in_force import setting_of
from include.backup.cli.progress_line import ProgressLine
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence.wording import count, moment, one_line
from include.backup.policy.durations import format_duration
from include.backup.repository.progress import Progress

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ForWhom:
    """Who asked for it, and why; at a terminal it is asked for (4.3)."""

    requested_by: str
    reason: str


def restore(options: argparse.Namespace) -> int:
    """Restore to directories, or into servers."""
    if (options.dataset is None) == (options.data_class is None):
        raise ConfigurationInvalid("name one dataset, or a class with --class")
    setting = setting_of(options)
    _refuse_future(options.incident_began, now=setting.clock())
    if options.data_class is not None:
        return _restore_class(setting, options)
    if len(options.to) > 1:
        raise ConfigurationInvalid("one dataset goes to one place", hint="give --to once")
    outcome = _restore(
        setting, options.dataset, options.to[0], options, _for_whom(options, setting)
    )
    if options.json:
        print_json(outcome.to_json())
        return 0
    _print(outcome)
    return 0


def _restore_class(setting: Setting, options: argparse.Namespace) -> int:
    """Restore them one after the other; exit 1 if one could not be."""
    _refuse_single(options)
    names = _of_class(setting, options.data_class)
    places = _places(options.to, names)
    whom = _for_whom(options, setting)
    began, outcomes, failed = setting.clock(), [], {}
    for number, name in enumerate(names, start=1):
        print(f"{number} of {len(names)}: {name} to {places[name]}", file=sys.stderr)
        try:
            outcomes.append(_restore(setting, name, places[name], options, whom))
        except BackupError as error:
            failed[name] = str(error)
            print(f"error: {name}: {error}", file=sys.stderr)
            continue
        if not options.json:
            _print(outcomes[-1])
    took = format_duration(setting.clock() - began)
    limit = format_duration(setting.policy.data_class(options.data_class).rto)
    told = (
        f"{len(outcomes)} of {count(len(names), 'dataset')} of class {options.data_class} restored "
        f"in {took} (limit {limit})"
    )
    if options.json:
        print_json({"restored": [one.to_json() for one in outcomes], "failed": failed})
    print(told + (f"; not restored: {', '.join(failed)}" if failed else ""), file=sys.stderr)
    return 1 if failed else 0


def _of_class(setting: Setting, data_class: str) -> list[str]:
    """Its datasets, those that a vault alone knows too, in the order of the recovery plan.

    Raises:
        ConfigurationInvalid: there is no such class, or none of them is in it.
    """
    setting.policy.data_class(data_class)
    names, silent = every_dataset(setting)
    for name, why in silent.items():
        print(f"{name}: {why}", file=sys.stderr)
    own = [name for name in names if _class_of(setting, name) == data_class]
    if not own:
        raise ConfigurationInvalid(f"no dataset is of class {data_class}")
    return [one.row.dataset for one in recovery_order(assess(setting, own))]


def _class_of(setting: Setting, name: str) -> str:
    try:
        return DatasetVault.open_for_reading(setting, name).data_class.name
    except BackupError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ""


def _places(given: list[str], names: list[str]) -> dict[str, str]:
    """Where each goes: what is named for it, else a folder of its own below the common one.

    Raises:
        ConfigurationInvalid: there is no place for one.
    """
    pairs = [one.partition("=")[::2] for one in given]
    own = {name: to for name, to in pairs if name in names and to}
    common = [one for one in given if one.partition("=")[0] not in own]
    is_one = len(common) == 1 and not common[0].startswith(PREFIX)
    if not is_one and (common or len(own) < len(names)):
        raise ConfigurationInvalid(
            "of a class, --to names one directory for all",
            hint="and DATASET=connection:ID[/NAME] for those that go elsewhere",
        )
    return {name: own.get(name) or f"{common[0].rstrip('/')}/{name}" for name in names}


def _refuse_single(options: argparse.Namespace) -> None:
    for name in ("recovery_point", "path", "into_source"):
        if getattr(options, name):
            raise ConfigurationInvalid(f"--{name.replace('_', '-')} is about a single dataset")


def _restore(
    setting: Setting, name: str, to: str, options: argparse.Namespace, whom: ForWhom
) -> Outcome:
    place = Place(
        to=to,
        path=options.path or "",
        overwrite=options.overwrite,
        into_source=options.into_source,
        owner="" if options.no_owner else options.owner,
        jobs=options.jobs,
        statistics=not options.no_statistics,
    )
    if options.data_class is not None and not place.is_server:  # what is for servers is not for it
        place = Place(to=to, overwrite=options.overwrite)
    destination = open_destination(setting, name, place)
    order = Order(
        at=options.at,
        recovery_point=options.recovery_point or "",
        replica=options.replica or "",
        path=place.path,
        address=place.address,
        requested_by=whom.requested_by,
        reason=whom.reason,
        ticket=options.ticket,
        incident_began=options.incident_began,
        overwrites=place.overwrite,
        compare=options.compare,
        keeps_erased=options.keep_erased,
    )
    progress = Progress()
    with ProgressLine(progress, what=f"restore {name}"):
        return restore_action.restore(setting, name, destination, order, progress=progress)


def _print(outcome: Outcome) -> None:
    print(outcome.sentence)
    for note in outcome.details["noted"]:
        print(f"note: {one_line(note)}")


def _for_whom(options: argparse.Namespace, setting: Setting) -> ForWhom:
    return ForWhom(
        requested_by=options.requested_by or _asked("Who asked for it") or setting.owner,
        reason=options.reason or _asked("Why"),
    )


def _asked(question: str) -> str:
    """What somebody at a terminal answers; nobody has to: a rescue goes on without (4.3)."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    sys.stderr.write(f"{question}? It is documented (4.3); Enter leaves it open: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _refuse_future(began: datetime | None, *, now: datetime) -> None:
    if began is not None and began > now:
        raise ConfigurationInvalid(
            f"--incident-began {moment(began)} is yet to come",
            hint="times are UTC, unless they say otherwise, as in 2026-11-23T01:00+01:00",
        )
