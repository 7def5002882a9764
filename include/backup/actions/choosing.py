"""What is to be restored: which recovery point, and which part of it. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.wording import moment

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.vault.generations import Point
    from include.backup.vault.state import DatasetState

PATTERNS: Final = "patterns are relative to the dataset, as in contracts/*.pdf"
_SHORTEST_ID: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which recovery point, what of it, for whom. The newest one, unless a time or id is given."""

    at: datetime | None = None  # the newest point taken at or before
    recovery_point: str = ""  # the beginning of a snapshot id
    path: str = ""  # a pattern relative to the dataset; what it matches, with all below
    address: str  # of the destination, for people
    requested_by: str  # who asked for it (4.3)
    reason: str = ""


def find_point(state: DatasetState, order: Order, *, now: datetime) -> Point:
    """Choose the recovery point: the newest, if none is named.

    The newest is that of the youngest data, not the one recorded last: a full may take long. One
    from the future is newest only if there is no other. Damage in its generation does not make it
    older: what is lost is named, and nobody is given last month's data without having asked.

    Raises:
        ConfigurationInvalid: there is none, or the id is not unique.
    """
    points = state.points
    if not points:
        raise ConfigurationInvalid("this dataset has no recovery point", hint="back it up first")
    if order.recovery_point:
        if len(order.recovery_point) < _SHORTEST_ID:
            raise ConfigurationInvalid(
                f"{order.recovery_point!r} is too short to name a recovery point",
                hint=f"give at least {_SHORTEST_ID} digits of its id",
            )
        found = [point for point in points if point.snapshot.startswith(order.recovery_point)]
        if len(found) != 1:
            raise ConfigurationInvalid(
                f"{len(found) or 'no'} recovery points begin with {order.recovery_point!r}",
                hint="`recovery-points DATASET` lists them",
            )
        return found[0]

    def youth(point: Point) -> tuple[datetime, int]:
        return point.taken_at, point.sequence

    if order.at is None:
        return max([point for point in points if point.taken_at <= now] or points, key=youth)
    earlier = [point for point in points if point.taken_at <= order.at]
    if not earlier:
        raise ConfigurationInvalid(
            f"there is no recovery point of {moment(order.at)} or before",
            hint=f"the oldest is of {moment(min(point.taken_at for point in points))}",
        )
    return max(earlier, key=youth)


def checked_pattern(pattern: str) -> str:
    """A pattern as it is compared: relative to the dataset, without "./" and a last "/".

    Raises:
        ConfigurationInvalid: it leads elsewhere.
    """
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    if pattern.startswith("/") or ".." in parts:
        raise ConfigurationInvalid(f"{pattern!r} leads out of the dataset", hint=PATTERNS)
    return "/".join(parts)
