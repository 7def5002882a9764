"""What people read of a restore before it is done: the question, and the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.evidence.table import aligned
from include.backup.evidence.wording import moment, one_line, size
from include.backup.policy.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from include.backup.actions.request import Request

_MARKDOWN: Final = frozenset("\\|*_`<>[]#~!&:")  # a colon makes an address a link


def subject(requests: Sequence[Request]) -> str:
    """The question in one line."""
    first = requests[0]
    what = first.dataset if len(requests) == 1 else f"{len(requests)} datasets"
    return f"Restore {what} for {_plain(first.requested_by) or 'somebody unknown'}?"


def body(requests: Sequence[Request], refused: Sequence[str], wait: timedelta) -> str:
    """What the person who approves has to know, in Markdown."""
    first = requests[0]
    lines = [
        f"**Why:** {_plain(first.reason)}" + (f" ({_plain(first.ticket)})" if first.ticket else ""),
        "",
        f"**Asked for by** {_plain(first.requested_by) or 'somebody unknown'} at "
        f"{moment(first.requested_at)}"
        + (f"; the incident began {moment(first.incident_began)}" if first.incident_began else ""),
        "",
        "| dataset | data of | recovery point | to | size | forecast | RTO ends |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.data_class}/{one.dataset} | {moment(one.taken_at)} | {one.snapshot[:8]} "
        f"| {_plain(one.place.address)} | {size(one.size_bytes)} | {_forecast(one)} "
        f"| {moment(one.due_at)} |"
        for one in requests
    ]
    if first.replica:
        lines += ["", f"**From** the copies in {_plain(first.replica)}"]
    if only := first.place.path:
        lines += ["", f"**Only** {_plain(only)}"]
    replaced = [_plain(told) for one in requests for told in one.replaces]
    lines += ["", "**Replaced:** " + ("; ".join(replaced) if replaced else "nothing")]
    if younger := _younger(requests):
        told = f"**Younger than the incident** is the data of {younger.dataset}: is it still good?"
        lines += ["", told]
    if source := first.place.into_source:
        lines += ["", f"**Into the source itself**, {_plain(source)}: live data."]
    if not first.compare:
        lines += ["", "What was restored is **not compared** before it is handed over."]
    if refused:
        lines += ["", "**Cannot be restored:**", *(f"* {_plain(told)}" for told in refused)]
    lines.append("")
    lines.append(
        "Approve only if you are trained (people.yaml) and did not ask for it yourself. The first "
        "answer ends the question, whoever gives it. "
        f"Without one within {format_duration(wait)} it is refused."
    )
    return "\n".join(lines)


def _younger(requests: Sequence[Request]) -> Request | None:
    """One whose data was taken after the incident began."""
    return next(
        (
            one
            for one in requests
            if one.incident_began is not None and one.taken_at > one.incident_began
        ),
        None,
    )


def _forecast(one: Request) -> str:
    return "never measured" if one.forecast is None else format_duration(one.forecast)


def _plain(text: str) -> str:
    """On one line of a Markdown table, and as nothing but text."""
    return "".join(f"\\{char}" if char in _MARKDOWN else char for char in one_line(text))


def plan_table(requests: Sequence[Request]) -> str:
    """What was planned, for the log."""
    rows = [("dataset", "data of", "to", "size", "forecast", "RTO ends", "replaces")]
    rows += [
        (
            f"{one.data_class}/{one.dataset}",
            moment(one.taken_at),
            one_line(one.place.address),
            size(one.size_bytes),
            _forecast(one),
            moment(one.due_at),
            one_line("; ".join(one.replaces)) or "nothing",
        )
        for one in requests
    ]
    return "\n".join(aligned(rows))
