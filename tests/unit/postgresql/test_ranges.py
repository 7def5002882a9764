"""When page ranges are taken over, and when a database or a table is read whole."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.sources.postgresql.ranges import (
    AUDITED,
    DatabaseState,
    TableState,
    count_of,
    decide,
    is_ranged,
    pages_of,
    where,
    why_all,
    why_table,
)
from include.backup.sources.postgresql.snapshot import Token

TOKEN = Token(system_identifier="7", timeline=1, started_at="1.5", database_oid=5)
BEFORE = DatabaseState(token=TOKEN, xmin=1000, types="t", durable=True, runs=3)
NOW = {"version": 150_000, "token": TOKEN, "types": "t", "xmin": 2000, "xmax": 2001}
TABLE = TableState(filenode=7, fingerprint="f", pages=128, rows=(10, 20, 30), blobs=(1, 2, 1))
CONTENT = (b"a", b"b", b"c", b"d")


def snapshot(**changes: Any) -> Any:
    return SimpleNamespace(**{**NOW, **changes})


def relation(**changes: Any) -> Any:
    known = {
        "filenode": 7,
        "fingerprint": "f",
        "bytes_main": 3 << 20,
        "bytes_all": 3 << 20,
        "access_method": "heap",
        "condition": None,
    }
    return SimpleNamespace(**{**known, **changes})


def test_nothing_changed_lets_ranges_be_taken_over() -> None:
    """The one row of the table that says yes."""
    assert why_all(snapshot(), BEFORE, full_read=False) == ""
    assert why_table(relation(), TABLE, CONTENT) == ""


@pytest.mark.parametrize(
    ("now", "before", "why"),
    [
        ({}, None, "nothing is known"),
        ({"version": 130_000}, {}, "before version 14"),
        ({"token": None}, {}, "does not tell who it is"),
        ({}, {"token": None}, "does not tell who it is"),
        ({"token": replace(TOKEN, system_identifier="8")}, {}, "another server"),
        ({"token": replace(TOKEN, timeline=2)}, {}, "another timeline"),
        ({"token": replace(TOKEN, started_at="2.5")}, {}, "restarted"),
        ({"token": replace(TOKEN, database_oid=6)}, {}, "made anew"),
        ({}, {"durable": False}, "had not reached"),
        ({"types": "u"}, {}, "a type"),
        ({"xmin": 999}, {}, "too many transactions"),
        ({"xmax": 1000 + (1 << 31)}, {}, "too many transactions"),
    ],
)
def test_whatever_is_in_doubt_is_read(
    now: dict[str, Any], before: dict[str, Any] | None, why: str
) -> None:
    """Each doubt alone is enough, and is told."""
    state = None if before is None else replace(BEFORE, **before)
    assert why in why_all(snapshot(**now), state, full_read=False)


def test_a_full_read_may_be_asked_for() -> None:
    """`full_read: true` in the dataset."""
    assert why_all(snapshot(), BEFORE, full_read=True) == "full_read is set"


@pytest.mark.parametrize(
    ("table", "before", "content", "why"),
    [
        ({}, None, CONTENT, "not read in ranges before"),
        ({"filenode": 8}, TABLE, CONTENT, "rewritten or emptied"),
        ({"fingerprint": "g"}, TABLE, CONTENT, "columns changed"),
        ({}, TABLE, None, "does not have it whole"),
        ({}, TABLE, CONTENT[:-1], "does not have it whole"),
    ],
)
def test_a_table_in_doubt_is_read(table: Any, before: Any, content: Any, why: str) -> None:
    """As for a whole database."""
    assert why in why_table(relation(**table), before, content)


@given(
    before=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=80),
    now=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=90),
    turn=st.integers(0, 100),
)
def test_only_what_is_known_unchanged_is_taken_over(
    before: list[tuple[int, int]], now: list[tuple[int, int]], turn: int
) -> None:
    """No new row and as many as before; a thirtieth of these is read all the same."""
    state = TableState(
        filenode=1,
        fingerprint="",
        pages=128,
        rows=tuple(rows for rows, _ in before),
        blobs=tuple(blobs for _, blobs in before),
    )
    content = tuple(b"%d" % number for number in range(sum(state.blobs)))
    scanned = [(number, rows, fresh) for number, (rows, fresh) in enumerate(now)]
    decided = decide(scanned, state, content, turn=turn)
    assert [one.number for one in decided] == list(range(len(now)))
    for one, (number, rows, fresh) in zip(decided, scanned, strict=True):
        assert one.rows == rows
        same = number < len(before) and not fresh and rows == before[number][0]
        audited = same and (number + turn) % AUDITED == 0
        assert (one.reused is not None) == (same and not audited)
        assert (one.audited is not None) == audited
        if same:
            start = sum(state.blobs[:number])
            assert (one.reused, one.audited)[audited] == content[
                start : start + state.blobs[number]
            ]


def test_every_range_is_audited_within_thirty_runs() -> None:
    """Each time another thirtieth."""
    state = TableState(filenode=1, fingerprint="", pages=128, rows=(1,) * 65, blobs=(1,) * 65)
    content = (b"x",) * 65
    scanned = [(number, 1, 0) for number in range(65)]
    seen = set()
    for turn in range(AUDITED):
        found = [one for one in decide(scanned, state, content, turn=turn) if one.audited]
        assert 2 <= len(found) <= 3
        seen |= {one.number for one in found}
    assert seen == set(range(65))


@given(pages=st.integers(0, 1000), size=st.sampled_from([1, 8, 128]))
def test_ranges_cover_all_pages_once(pages: int, size: int) -> None:
    """The last one has no end: what was added since the size was asked for is not lost."""
    count = count_of(relation(bytes_main=pages * 8192), size)
    conditions = [where(number, count, size) for number in range(count)]
    assert count * size >= pages
    assert " < " not in conditions[-1]
    if count == 1:
        assert conditions == [""]
        return
    for number, condition in enumerate(conditions):
        assert f">= '({number * size},0)'" in condition
        if number < count - 1:
            assert f"< '({(number + 1) * size},0)'" in condition


@given(main=st.integers(1, 1 << 34), toast=st.integers(0, 1 << 34))
def test_a_range_is_about_a_megabyte_with_its_toast(main: int, toast: int) -> None:
    """A power of two, so that it seldom changes; never more than 128 pages, never none."""
    pages = pages_of(relation(bytes_main=main, bytes_all=main + toast))
    assert 1 <= pages <= 128
    assert pages & (pages - 1) == 0
    if 1 < pages < 128:
        share = pages * 8192 * (main + toast) / main
        assert (1 << 19) < share < (1 << 22)


def test_only_large_heaps_are_ranged() -> None:
    """Of other access methods nothing is known, and small tables are read anyway."""
    assert is_ranged(relation(), 150_000)
    assert not is_ranged(relation(), 130_000)
    assert not is_ranged(relation(access_method="columnar"), 150_000)
    assert not is_ranged(relation(condition=""), 150_000)
    assert not is_ranged(relation(bytes_main=1 << 20, bytes_all=1 << 20), 150_000)
    assert is_ranged(relation(bytes_main=1 << 16, bytes_all=1 << 24), 150_000)
