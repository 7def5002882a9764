"""Histories of names, put together from the pages of a listing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from include.backup.storage.s3_versions import histories

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEYS = st.text("ab/-", min_size=1, max_size=4)


def entry(key: str, age: int) -> dict[str, Any]:
    at = NOW - timedelta(seconds=age)
    return {"Key": key, "VersionId": f"{key}@{age}", "Size": age, "LastModified": at}


@given(
    st.dictionaries(KEYS, st.lists(st.booleans(), min_size=1, max_size=6), max_size=8),
    st.integers(1, 5),
)
def test_pages_cut_anywhere_give_the_same_histories(
    contents: dict[str, list[bool]], page_size: int
) -> None:
    """Whatever the page size, each key comes once, ascending, complete, newest first."""
    flat = [
        (is_version, entry(key, age))
        for key, kinds in sorted(contents.items())
        for age, is_version in enumerate(kinds)
    ]
    pages = [
        {
            "Versions": [e for is_version, e in flat[begin : begin + page_size] if is_version],
            "DeleteMarkers": [
                e for is_version, e in flat[begin : begin + page_size] if not is_version
            ],
        }
        for begin in range(0, len(flat), page_size)
    ]
    found = list(histories(pages))
    assert [history.key for history in found] == sorted(contents)
    for history in found:
        ages = [age for age, is_version in enumerate(contents[history.key]) if is_version]
        assert [version.size_bytes for version in history.versions] == ages
        assert len(history.everything()) == len(contents[history.key])
        assert (history.oldest.size_bytes if history.oldest else None) == (
            ages[-1] if ages else None
        )


def test_a_marker_of_the_same_second_counts_as_older() -> None:
    """Listings may tell whole seconds only; a name is called free only beyond doubt."""
    [history] = histories([{"Versions": [entry("a", 5)], "DeleteMarkers": [entry("a", 5)]}])
    assert not history.begins_with("a@5")
    [later] = histories([{"Versions": [entry("a", 5)], "DeleteMarkers": [entry("a", 4)]}])
    assert later.begins_with("a@5")
    assert not later.begins_with("a@4")
