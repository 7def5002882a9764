"""A shorter retention for what was promised a longer one: on two people's word only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.actions.acts import Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence import expiry_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count
from include.backup.format.times import text_of_datetime
from include.backup.policy.retention import expires_at

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.actions.two_people import TwoPeople
    from include.backup.vault.generations import Point

_SHORTEN: Final = "shorten"


def shortened(setting: Setting, name: str) -> tuple[DatasetVault, list[tuple[Point, datetime]]]:
    """The recovery points that the class of today would keep for less long, and until when.

    Raises:
        DatasetInvalid, ConfigurationInvalid, LedgerBroken, StorageError.
    """
    place = DatasetVault.open(setting, name)
    found = [
        (point, expires_at(point.taken_at, place.data_class.retention))
        for point in place.state().points
    ]
    return place, [(point, until) for point, until in found if until < point.expires_at]


def shorten(setting: Setting, name: str, order: TwoPeople) -> Outcome:
    """Let recovery points expire by the retention of today, though they were promised a longer one.

    Raises:
        ConfigurationInvalid: nobody approved it; no recovery point was promised a longer one.
        StorageError, LedgerBroken: it could not be recorded, and does not count.
    """
    order.require()
    place, found = shortened(setting, name)
    if not found:
        raise ConfigurationInvalid(
            f"no recovery point of {name} was promised more than its class keeps now"
        )
    act = Act(place, _SHORTEN)
    act.begin()
    told = sentences.shortened(
        place.subject,
        points=len(found),
        retention=place.data_class.retention,
        reason=order.reason,
        by=order.approved_by,
    )
    body = {
        **order.to_json(),
        "expires_at": {point.snapshot: text_of_datetime(until) for point, until in found},
    }
    what = f"{count(len(found), 'recovery point')} shortened"
    return act.end(Kind.SHORTENED, body, say=lambda _: told, what=what)
