"""A verification as a page that a person reads: one file, no script, nothing fetched, no row.

Made from what the record holds, so that the page says nothing that is not in the evidence.
"""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Final

from include.backup.evidence.page import heading, page
from include.backup.evidence.wording import count, moment, size
from include.backup.format.times import datetime_of_text
from include.backup.policy.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from include.backup.evidence.sentences import Subject

_NUMBERS: Final = frozenset({
    "Size", "Restored in", "Compared in", "Judged in", "Looked at", "Not so",
})  # fmt: skip


def verification_page(  # noqa: PLR0913  a page of so many facts, each named
    subject: Subject,
    *,
    verdict: str,
    sentence: str,
    details: Mapping[str, Any],
    at: datetime,
    act: str,
    by: str,
    limit: timedelta,
) -> str:
    """One page about one verification.

    Args:
        details: of the record `verified`.
        act: its id, by which the record is found in the ledger.
        limit: the RTO of the class (4.2).
    """
    points = details["points"]
    title = f"Recovery verification: {subject.data_class}/{subject.dataset}"
    below = f"{moment(at)} · clauses 3.4 and 4.2 · asked for by {by}"
    parts = [
        *heading(title, below, verdict, sentence),
        _promises(details, points, limit),
        "<h2>Recovery points</h2>",
        _points(points),
        *_faults(points),
        *_expectations(points),
        *_notes(points),
        _footer(act, details),
    ]
    return page(title, parts)


def _promises(details: Mapping[str, Any], points: Sequence[Mapping[str, Any]],
              limit: timedelta) -> str:  # fmt: skip
    longest = max((one["restore_seconds"] for one in points), default=0)
    share = min(1.0, longest / limit.total_seconds())
    late = ' class="late"' if longest > limit.total_seconds() else ""
    where = escape(str(details["place"])) or "nowhere: recovery points were only read"
    level = escape(str(details["level"]))
    tested = f"{count(len(points), 'recovery point')}, level reached: <b>{level}</b>"
    bar = f'<div class="bar"><i{late} style="width:{max(share, 0.004):.1%}"></i></div>'
    forecast = details["forecast_seconds"]
    told = "" if forecast is None else f", and was forecast to take {_seconds(forecast)}"
    took = f"{format_duration(limit)}; the longest restore took {_seconds(longest)}{told}{bar}"
    rows = [
        ("3.4 restores are tested", tested),
        ("4.2 recovery time objective", took),
        ("Restored to", where),
    ]
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f"<h2>What was promised, and what was found</h2><table>{body}</table>"


def _points(points: Sequence[Mapping[str, Any]]) -> str:
    head = (
        "Taken", "Why this one", "Contents", "Size", "Restored in", "Compared in", "Judged in",
        "Result",
    )  # fmt: skip
    rows = []
    for one in points:
        if one["obstacle"]:
            result = f'<span class="open">could not be looked at: {escape(one["obstacle"])}</span>'
        elif one["faults"]:
            result = f'<span class="no">{count(one["faults"], "fault")}</span>'
        else:
            result = '<span class="yes">as it was</span>'
        rows.append((
            f"{moment(datetime_of_text(one['taken_at']))}<br><code>{one['snapshot'][:8]}</code>",
            escape(one["why"]),
            escape(one["contents"]),
            _number(size(one["bytes"])),
            _number(_seconds(one["restore_seconds"])),
            _number(_seconds(one["compare_seconds"])),
            _number(_seconds(one["judge_seconds"])),
            result,
        ))
    return _table(head, rows)


def _faults(points: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    rows = [
        (f"<code>{one['snapshot'][:8]}</code>", escape(fault))
        for one in points
        for fault in one["faulty"]
    ]
    if rows:
        yield "<h2>What is not as it was, or not as it should be</h2>"
        yield _table(("Recovery point", "Fault"), rows)


def _expectations(points: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    for by, title in (("users", "What users expect"), ("facts", "What facts tell")):
        rows = [
            (
                f"<code>{one['snapshot'][:8]}</code>",
                escape(each["of"]),
                escape(_in_words(each["expected"])),
                _met(each),
                _number(f"{each['looked_at']:,}" if "looked_at" in each else ""),
                _number(f"{each['not_so']:,}" if "not_so" in each else ""),
            )
            for one in points
            for each in one["expectations"]
            if each["by"] == by
        ]
        if rows:
            yield f"<h2>{title} ({len(rows):,})</h2>"
            head = ("Recovery point", "Of", "Expected", "Result", "Looked at", "Not so")
            yield _table(head, rows)
        elif by == "users":
            yield "<h2>What users expect</h2><p>Nobody has written anything down.</p>"


def _in_words(expected: str) -> str:
    """Without what only programs need: the name of an expectation reads as its words."""
    kind, _, arguments = expected.partition(" ")
    words = kind.removeprefix("expect_").replace("_", " ")
    return f"{words} {arguments}".rstrip()


def _met(each: Mapping[str, Any]) -> str:
    why = escape(str(each.get("why", "")))
    if each["met"] is None:
        return f'<span class="open">could not be judged: {why}</span>'
    if each["met"]:
        return f'<span class="yes">met</span>{f": {why}" if why else ""}'
    return f'<span class="no">not met</span>{f": {why}" if why else ""}'


def _notes(points: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    rows = [
        (f"<code>{one['snapshot'][:8]}</code>", escape(note))
        for one in points
        for note in one["noted"]
    ]
    if rows:
        yield "<h2>What differs, and need not be the same</h2>"
        yield _table(("Recovery point", "Note"), rows)


def _footer(act: str, details: Mapping[str, Any]) -> str:
    return (
        f"<footer>Act <code>{escape(act)}</code>, seed of the draw {details['seed']}. The signed "
        "record of this act is in the ledger of the dataset, and holds the SHA-256 of this page: "
        "<code>holdfast ledger verify</code>. This page holds counts and names, and no value of a "
        "row.</footer>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = "".join(
        f'<th class="n">{name}</th>' if name in _NUMBERS else f"<th>{name}</th>" for name in head
    )
    body = "".join(
        "<tr>" + "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )  # fmt: skip
    return f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>"


def _number(text: str) -> str:
    return f'<td class="n">{escape(text)}</td>'


def _seconds(seconds: int) -> str:
    return format_duration(timedelta(seconds=seconds)) if seconds else "under 1 s"
