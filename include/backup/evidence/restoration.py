"""A restoration from its request to its end, as one document (4.3): made of its records alone.

requested ─ approved ─ begun ─ restored          by the DAG, approved
requested ─ refused                              rejected, untrained, the same person, no answer
begun ─ restored                     by command: outside approval

One whose evidence had to wait says why the glass was broken, and whether nobody signed meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final

from include.backup.evidence.kinds import CLOSING, Kind
from include.backup.evidence.page import heading, page
from include.backup.evidence.wording import moment, one_line, size
from include.backup.format.times import datetime_of_text, text_of_datetime
from include.backup.policy.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.backup.evidence.records import Record

_RESTORE: Final = "restore"
OUTSIDE: Final = "outside approval"
OPEN: Final = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """One of them.

    Args:
        id: of its request; of its act, if there was none.
        records: in the order of the ledger, at least one.
    """

    id: str
    dataset: str
    data_class: str
    records: tuple[Record, ...]

    def said(self, field: str) -> Any:  # noqa: ANN401  of a record
        """What the newest record that has a field says of it; empty if none has."""
        for record in reversed(self.records):
            if field in record.body:
                return record.body[field]
        return ""

    @property
    def end(self) -> Record | None:
        """What ended it; None: nothing yet. What was restored stays so, whatever is tried later."""
        ends = [one for one in self.records if one.kind in CLOSING]
        done = [one for one in ends if one.kind == Kind.RESTORED]
        last = done or ends
        return last[-1] if last else None

    @property
    def result(self) -> str:
        """``restored``, ``refused``, ``failed``, ``interrupted``, or ``open``."""
        return self.end.kind if self.end else OPEN

    @property
    def asked_at(self) -> datetime:
        """When somebody asked for it."""
        return self.records[0].happened_at

    @property
    def approved_by(self) -> str:
        """Who approved it; or that nobody was to; or empty: nobody has."""
        if by := self.said("approved_by"):
            return str(by)
        was_requested = any(one.kind == Kind.REQUESTED for one in self.records)
        return "" if was_requested or self.said("request") else OUTSIDE

    @property
    def clock(self) -> timedelta | None:
        """From the incident, or the request, to the hand-over; None: it was not handed over."""
        if self.end is None or self.end.kind != Kind.RESTORED:
            return None
        body: Any = self.end.body
        return timedelta(seconds=body.get("clock_seconds", body.get("seconds", 0)))

    @property
    def verdict(self) -> str:
        """That of its newest sentence."""
        sentence = self.sentence
        words = ("AT RISK", "NOT TESTED", "KEPT", "BROKEN")
        return next((word for word in words if sentence.startswith(word)), "NOT TESTED")

    @property
    def sentence(self) -> str:
        """That of its end; until then the newest."""
        told = [one.sentence for one in self.records if one.sentence]
        return self.end.sentence if self.end and self.end.sentence else (told or [""])[-1]

    def to_json(self) -> dict[str, Any]:
        """As `restores --json` prints it: see JSON.md."""
        return {
            "id": self.id,
            "dataset": self.dataset,
            "class": self.data_class,
            "asked_at": text_of_datetime(self.asked_at),
            "requested_by": self.said("requested_by"),
            "reason": self.said("requested_because"),
            "ticket": self.said("ticket"),
            "approved_by": self.approved_by,
            "destination": self.said("destination"),
            "snapshot": self.said("snapshot"),
            "result": self.result,
            "ended_at": text_of_datetime(self.end.happened_at) if self.end else None,
            "clock_seconds": None if self.clock is None else self.clock.total_seconds(),
            "rto_seconds": self.said("limit_seconds") or None,
            "verdict": self.verdict,
            "sentence": self.sentence,
        }


def restorations(records: Iterable[Record], *, dataset: str, data_class: str) -> list[Restoration]:
    """All that a ledger has of them, in the order in which they were asked for."""
    found: dict[str, list[Record]] = {}
    acts: dict[str, str] = {}  # acts that restore, and what they belong to
    for record in records:
        request = record.body.get("request")
        # One that was restored while the home could not be read has no other record.
        kinds = {Kind.REQUESTED, Kind.RESTORED}
        if record.body.get("action") == _RESTORE or request or record.kind in kinds:
            acts.setdefault(record.act, str(request or record.act))
        if (key := acts.get(record.act)) is not None:
            found.setdefault(key, []).append(record)
    return [
        Restoration(id=key, dataset=dataset, data_class=data_class, records=tuple(own))
        for key, own in found.items()
    ]


def document(one: Restoration) -> list[tuple[str, list[tuple[str, str]]]]:
    """What an auditor asks, and the answers: by heading."""
    return [
        ("What", list(_given(_what(one)))),
        ("Who", list(_given(_who(one)))),
        ("When", list(_given(_when(one)))),
        ("Evidence", [_evidence(record) for record in one.records]),
    ]


def as_text(one: Restoration) -> str:
    """The document for logs and terminals."""
    lines = [_title(one), one_line(one.sentence)]
    for title, rows in document(one):
        lines += ["", title]
        width = max((len(name) for name, _ in rows), default=0)
        lines += [f"  {name:<{width}}  {one_line(value)}" for name, value in rows]
    return "\n".join(lines)


def as_page(one: Restoration) -> str:
    """The document as a page."""
    below = f"{one.result} · asked for {moment(one.asked_at)} · clauses 4.2 and 4.3"
    parts = heading(_title(one), below, one.verdict, one.sentence)
    for title, rows in document(one):
        body = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows
        )
        parts.append(f"<h2>{title}</h2><table><tbody>{body}</tbody></table>")
    parts.append(
        "<footer>Made of the signed records of the ledger that are named under Evidence, and of "
        "nothing else: <code>holdfast ledger verify</code> reads them again.</footer>"
    )
    return page(_title(one), parts)


def _title(one: Restoration) -> str:
    return f"Restoration record: {one.data_class}/{one.dataset}"


def _what(one: Restoration) -> Iterator[tuple[str, str]]:
    yield "Request", one.id
    yield "Recovery point", str(one.said("snapshot"))
    if taken := one.said("taken_at"):
        yield "Its data is of", moment(datetime_of_text(taken))
    yield "Destination", str(one.said("destination"))
    yield "Only", str(one.said("path"))
    if one.result == Kind.RESTORED:
        yield "Contents", f"{one.said('contents')}, {size(one.said('bytes') or 0)}"
        yield "Read again and compared", str(one.said("compared") or "no")
        yield "Notes", "; ".join(one.said("noted") or ())
    elif one.end is not None:
        yield "Not restored", str(one.said("reason"))


def _who(one: Restoration) -> Iterator[tuple[str, str]]:
    yield "Requested by", str(one.said("requested_by"))
    yield "Because", str(one.said("requested_because"))
    yield "Ticket", str(one.said("ticket"))
    name = str(one.said("approved_by_name"))
    by = one.approved_by or "nobody"
    yield "Approved by", by if name in {"", by} else f"{name} ({by})"
    yield "Glass broken", str(one.said("break_glass"))
    if course := one.said("course"):
        yield "Trained in", f"{course}, until {one.said('trained_until')}"


def _when(one: Restoration) -> Iterator[tuple[str, str]]:
    if began := one.said("incident_began"):
        yield "Incident began", moment(datetime_of_text(began))
    words = {Kind.REQUESTED: "Requested", Kind.APPROVED: "Approved", Kind.BEGUN: "Restore began"}
    for record in one.records:
        if record.kind in words:
            yield words[Kind(record.kind)], moment(record.happened_at)
    if one.end is not None:
        ended = "Handed over" if one.result == Kind.RESTORED else "Ended"
        yield ended, moment(one.end.happened_at)
    if (seconds := one.said("seconds")) != "":
        yield "The restore took", format_duration(timedelta(seconds=seconds)) or "under 1 s"
    if one.clock is not None:
        yield "RTO clock", format_duration(one.clock)
    if limit := one.said("limit_seconds"):
        yield "RTO", format_duration(timedelta(seconds=limit))


def _evidence(record: Record) -> tuple[str, str]:
    name = f"{record.subject}/{record.sequence} {record.kind}"
    told = f"{moment(record.happened_at)} · sha256 {record.sha256}"
    if record.spooled is None:
        return name, told
    signed = "" if record.spooled.key else ", and had been signed by nobody"
    return name, f"{told} · it waited until {moment(record.at)}{signed}"


def _given(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in rows if value)
