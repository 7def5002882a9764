"""What somebody wants restored, as it is asked for, approved and carried out (4.3). No I/O.

    Form     what was filled in, for one dataset, several, or a class
    Request  one dataset of it, planned: the very recovery point, the very place

What is approved is a request to the last field: its digest stands in the record of the approval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from include.backup.actions.choosing import Order, checked_pattern, end_of, time_of
from include.backup.actions.open_destination import Place
from include.backup.actions.open_server import PREFIX
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.fields import Fields, canonical
from include.backup.evidence.wording import moment, one_line
from include.backup.format.times import text_of_datetime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.policy.approval import Approval

NEWEST: Final = "latest"
EACH: Final = "{dataset}"  # in a destination: the name of the dataset
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?", re.ASCII)
_ID: Final = re.compile(r"[0-9a-f]{4,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What somebody asks for."""

    datasets: tuple[str, ...]
    data_class: str  # all of its datasets, if none is named
    at: datetime | None  # the newest recovery point then; None: the newest, or that of the id
    recovery_point: str
    path: str
    destination: str  # a directory, or a connection
    overwrite: bool
    into_source: str
    compare: bool
    reason: str
    ticket: str
    incident_began: datetime | None
    replica: str = ""  # the name of the vault whose copies are read; empty: the homes

    @classmethod
    def of(cls, values: Mapping[str, Any], *, now: datetime) -> Form:
        """Read what was filled in.

        Raises:
            ConfigurationInvalid: names the field.
        """
        text = {key: one_line(str(value)) for key, value in values.items() if value is not None}
        names = tuple(dict.fromkeys(str(name).strip() for name in values.get("datasets") or ()))
        data_class = text.get("data_class", "")
        if bool(names) == bool(data_class):
            raise ConfigurationInvalid(
                "datasets, data_class: one of the two says what is restored",
                hint="name datasets, or one class",
            )
        for field in ("destination", "reason"):
            if not text.get(field):
                raise ConfigurationInvalid(f"{field} is empty", hint=_WANTED[field])
        destination = text["destination"]
        if not destination.startswith((PREFIX, "/")):
            raise ConfigurationInvalid(
                f"destination: {destination!r} is relative to nothing", hint=_WANTED["destination"]
            )
        began = text.get("incident_began", "")
        at, recovery_point = _point(text.get("recovery_point", NEWEST))
        return cls(
            datasets=names,
            data_class=data_class,
            at=at,
            recovery_point=recovery_point,
            path=checked_pattern(text.get("path", "")),
            destination=destination,
            overwrite=values.get("overwrite") is True,
            into_source=text.get("into_source", ""),
            compare=values.get("compare") is not False,
            reason=text["reason"],
            ticket=text.get("ticket", ""),
            incident_began=_past(time_of(began), now) if began else None,
            replica=text.get("from", ""),
        )

    def place(self, dataset: str, *, several: bool) -> Place:
        """Where one dataset goes.

        Raises:
            ConfigurationInvalid: several would go to one place.
        """
        place = Place(
            to=self.destination.replace(EACH, dataset),
            path=self.path,
            overwrite=self.overwrite,
            into_source=self.into_source,
        )
        names_one = not place.is_server or "/" in place.to
        if several and names_one and EACH not in self.destination:
            raise ConfigurationInvalid(
                f"several datasets cannot all be restored to {self.destination}",
                hint=f"write {EACH} where the name of each is to stand: /srv/restored/{EACH}",
            )
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One dataset that somebody wants restored."""

    id: str
    dataset: str
    data_class: str
    snapshot: str
    taken_at: datetime
    size_bytes: int
    forecast: timedelta | None  # None: no restore of it was ever measured
    limit: timedelta  # the RTO
    place: Place
    replaces: tuple[str, ...]  # what stands there, for people
    compare: bool
    requested_by: str
    requested_at: datetime
    reason: str
    ticket: str
    incident_began: datetime | None
    replica: str = ""  # the name of the vault whose copy is read; empty: the home
    sequence: int = 0  # of its record in the ledger

    @property
    def due_at(self) -> datetime:
        """When the RTO ends."""
        return (self.incident_began or self.requested_at) + self.limit

    def order(self, approval: Approval | None = None) -> Order:
        """What is restored, once somebody has approved it."""
        return Order(
            recovery_point=self.snapshot,
            path=self.place.path,
            address=self.place.address,
            requested_by=self.requested_by,
            reason=self.reason,
            ticket=self.ticket,
            requested_at=self.requested_at,
            incident_began=self.incident_began,
            overwrites=self.place.overwrite,
            compare=self.compare,
            request=self.id,
            approval=approval,
            replica=self.replica,
        )

    def digest(self) -> str:
        """Of all that was asked for and planned: SHA-256 of the canonical JSON without sequence."""
        asked = {key: value for key, value in self.to_json().items() if key != "sequence"}
        return sha256(canonical(asked)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As plain values, in the canonical form of records."""
        copy = {"from": self.replica} if self.replica else {}
        return copy | {
            "id": self.id,
            "dataset": self.dataset,
            "data_class": self.data_class,
            "snapshot": self.snapshot,
            "taken_at": text_of_datetime(self.taken_at),
            "size_bytes": self.size_bytes,
            "forecast_seconds": None if self.forecast is None else _seconds(self.forecast),
            "limit_seconds": _seconds(self.limit),
            "to": self.place.to,
            "path": self.place.path,
            "overwrite": self.place.overwrite,
            "into_source": self.place.into_source,
            "replaces": list(self.replaces),
            "compare": self.compare,
            "requested_by": self.requested_by,
            "requested_at": text_of_datetime(self.requested_at),
            "reason": self.reason,
            "ticket": self.ticket,
            "incident_began": _text(self.incident_began),
            "sequence": self.sequence,
        }

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Request:
        """Read what `to_json` made.

        Raises:
            ConfigurationInvalid: it is none.
        """
        fields = Fields(document, what="a request", error=ConfigurationInvalid)
        known = document.get("forecast_seconds") is not None
        return cls(
            id=fields.text("id", shape="[0-9a-f]{16}"),
            dataset=fields.text("dataset"),
            data_class=fields.text("data_class"),
            snapshot=fields.text("snapshot", shape="[0-9a-f]{64}"),
            taken_at=fields.moment("taken_at"),
            size_bytes=fields.number("size_bytes"),
            forecast=timedelta(seconds=fields.number("forecast_seconds")) if known else None,
            limit=timedelta(seconds=fields.number("limit_seconds")),
            place=Place(
                to=fields.text("to"),
                path=fields.text("path"),
                overwrite=fields.flag("overwrite"),
                into_source=fields.text("into_source"),
            ),
            replaces=tuple(fields.texts("replaces")),
            compare=fields.flag("compare"),
            requested_by=fields.text("requested_by"),
            requested_at=fields.moment("requested_at"),
            reason=fields.text("reason"),
            ticket=fields.text("ticket"),
            incident_began=fields.moment_or_none("incident_began"),
            replica=fields.text("from", ""),
            sequence=fields.number("sequence"),
        )


def request_id(run: str, dataset: str) -> str:
    """The same for every attempt of a run: 16 hex digits."""
    return sha256(f"{run}\n{dataset}".encode()).hexdigest()[:16]


_WANTED: Final = {
    "destination": f"a new directory, as in /srv/restored/{EACH}, or connection:ID",
    "reason": "say why: it is documented (4.3)",
}


def _point(text: str) -> tuple[datetime | None, str]:
    """A recovery point as people name it: ``latest``, a time, or the beginning of its id.

    Raises:
        ConfigurationInvalid: it is none of these.
    """
    if text in {"", NEWEST}:
        return None, ""
    if _TIME.fullmatch(text):
        return end_of(text), ""
    if _ID.fullmatch(text):
        return None, text
    raise ConfigurationInvalid(
        f"recovery_point: {text!r} names none",
        hint=f"{NEWEST}, a time in UTC as in 2026-11-23T01:00, or the beginning of an id",
    )


def _past(began: datetime, now: datetime) -> datetime:
    if began > now:
        raise ConfigurationInvalid(
            f"incident_began: {moment(began)} is yet to come",
            hint="times are UTC, unless they say otherwise, as in 2026-11-23T01:00+01:00",
        )
    return began


def _seconds(length: timedelta) -> int:
    return round(length.total_seconds())


def _text(when: datetime | None) -> str | None:
    return None if when is None else text_of_datetime(when)
