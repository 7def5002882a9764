"""What is to be restored: which recovery point, and which part of it. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.wording import moment
from include.backup.format.times import text_of_datetime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.policy.approval import Approval
    from include.backup.vault.generations import Point
    from include.backup.vault.state import DatasetState

PATTERNS: Final = "patterns are relative to the dataset, as in contracts/*.pdf"
_SHORTEST_ID: Final = 4
_DAY: Final = len("2026-11-23")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which recovery point, what of it, for whom. The newest one, unless a time or id is given."""

    at: datetime | None = None  # the newest point taken at or before
    recovery_point: str = ""  # the beginning of a snapshot id
    replica: str = ""  # the name of the vault whose copy is read; empty: what the home holds
    path: str = ""  # a pattern relative to the dataset; what it matches, with all below
    address: str  # of the destination, for people
    requested_by: str  # who asked for it (4.3)
    reason: str = ""
    ticket: str = ""
    requested_at: datetime | None = None  # None: now
    incident_began: datetime | None = None  # when the RTO begins to run; None: at the request
    overwrites: bool = False  # the destination may have held other things
    compare: bool = False  # read it again and compare it, before it is handed over
    keeps_erased: bool = False  # what was erased at the source comes back as well
    request: str = ""  # the id of the request that was approved
    approval: Approval | None = None  # None: outside approval

    @property
    def clock_began(self) -> datetime | None:
        """When the RTO began to run; None: with the restore."""
        return self.incident_began or self.requested_at

    def evidence(self) -> dict[str, object]:
        """What every record about this restore says of it."""
        found: dict[str, object] = {
            "destination": self.address,
            "requested_by": self.requested_by,
            "requested_because": self.reason,  # `reason` is why something failed
            "path": self.path,
        }
        if self.keeps_erased:
            found["keeps_erased"] = True
        if self.ticket:
            found["ticket"] = self.ticket
        if self.request:
            found["request"] = self.request
        if self.requested_at is not None:
            found["requested_at"] = text_of_datetime(self.requested_at)
        if self.incident_began is not None:
            found["incident_began"] = text_of_datetime(self.incident_began)
        if self.approval is not None:
            found |= self.approval.to_json()
        return found


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
        return point_named(points, order.recovery_point)

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


def point_named(points: Sequence[Point], name: str) -> Point:
    """The recovery point whose id begins so.

    Raises:
        ConfigurationInvalid: there is none, or several.
    """
    if len(name) < _SHORTEST_ID:
        raise ConfigurationInvalid(
            f"{name!r} is too short to name a recovery point",
            hint=f"give at least {_SHORTEST_ID} digits of its id",
        )
    found = [point for point in points if point.snapshot.startswith(name)]
    if len(found) != 1:
        raise ConfigurationInvalid(
            f"{len(found) or 'no'} recovery points begin with {name!r}",
            hint="`recovery-points DATASET` lists them",
        )
    return found[0]


def checked_pattern(pattern: str) -> str:
    """A pattern as it is compared: relative to the dataset, without "./" and a last "/".

    Raises:
        ConfigurationInvalid: it leads elsewhere.
    """
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    if pattern.startswith("/") or ".." in parts:
        raise ConfigurationInvalid(f"{pattern!r} leads out of the dataset", hint=PATTERNS)
    return "/".join(parts)


def matching(pattern: str) -> Callable[[bytes], bool]:
    """Whether a path in the dataset is wanted: it fits the pattern, or lies below what does.

    Raises:
        ConfigurationInvalid: it leads elsewhere.
    """
    checked = checked_pattern(pattern)
    if not checked:
        return lambda _: True

    def fits(path: bytes) -> bool:
        parts = path.decode("utf-8", "surrogateescape").split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
        return any(fnmatchcase(one, checked) for one in above)

    return fits


def time_of(text: str) -> datetime:
    """A time as people write it, in UTC unless it says otherwise.

    Raises:
        ConfigurationInvalid: it is none.
    """
    try:
        parsed = datetime.fromisoformat(text.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigurationInvalid(
            f"{text!r} is no time", hint="write 2026-11-23 or 2026-11-23T01:00"
        ) from error


def end_of(text: str) -> datetime:
    """The end of a time as people write it, in UTC unless it says otherwise.

    ``2026-11-23`` is the whole day, ``2026-11-23 01:00:04`` the whole second: recovery points are
    listed to the second, and the one that was listed is meant.

    Raises:
        ConfigurationInvalid: it is none.
    """
    parsed = time_of(text)
    try:
        if len(text.strip()) == _DAY:
            return parsed + timedelta(days=1, microseconds=-1)
        return parsed if parsed.microsecond else parsed + timedelta(seconds=1, microseconds=-1)
    except OverflowError as error:
        raise ConfigurationInvalid(f"{text!r} is no time", hint="write 2026-11-23") from error
