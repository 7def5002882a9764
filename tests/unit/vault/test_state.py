"""What one can ask the state of a dataset."""

from __future__ import annotations

from include.backup.vault.generations import Point
from include.backup.vault.state import DatasetState
from tests.unit.vault.samples import (
    DAY,
    FULL,
    HOUR,
    INCREMENTAL,
    NOW,
    Life,
    point_body,
)


def test_dataset_without_records_has_nothing() -> None:
    """Every question has an answer before the first record."""
    state = DatasetState()
    assert state.newest_point is None
    assert state.unfinished_generation is None
    assert state.last_slot(FULL, now=NOW) is None
    assert state.age(NOW) is None
    assert state.greatest_age(NOW) is None
    assert state.to_json() == {}
    assert DatasetState.of_json({}) == state


def test_greatest_age_is_that_just_before_the_next_copy_was_complete() -> None:
    """From consistency point to the next commit: what a disaster would have cost at worst."""
    life = Life()
    name = life.full()
    assert life.state.greatest_age_seen is None
    life.incremental(name, at=NOW + DAY)
    assert life.state.greatest_age_seen == DAY + HOUR
    life.incremental(name, at=NOW + DAY + HOUR)
    assert life.state.greatest_age_seen == DAY + HOUR
    assert life.state.greatest_age(NOW + DAY + 3 * HOUR) == DAY + HOUR
    assert life.state.greatest_age(NOW + 9 * DAY) == 8 * DAY - HOUR


def test_long_full_does_not_make_a_younger_incremental_old() -> None:
    """The newest copy is the newest by time when ages are reckoned, not the last recorded."""
    life = Life()
    name = life.full()
    life.begin("full", method=FULL, at=NOW + DAY)
    other = life.open("full", at=NOW + DAY)
    life.incremental(name, at=NOW + 2 * DAY)
    body = point_body(other, FULL, NOW + DAY, took=30 * HOUR)
    life.record("recovery-point", "full", body, at=NOW + DAY + 30 * HOUR)
    assert life.state.newest_point.generation == other
    assert life.state.age(NOW + 3 * DAY) == DAY
    assert life.state.greatest_age_seen == 2 * DAY + HOUR


def test_copy_from_the_future_proves_nothing() -> None:
    """A clock was wrong; the age is that of the newest copy before."""
    life = Life()
    name = life.full()
    life.incremental(name, at=NOW + 10 * DAY)
    assert life.state.age(NOW + 2 * DAY) == 2 * DAY


def test_any_point_completes_the_slot_of_an_incremental() -> None:
    """Only fulls complete that of a full; what a person asked for completes none."""
    life = Life()
    name = life.full(slot=NOW)
    life.incremental(name, at=NOW + DAY, slot=NOW + DAY)
    life.incremental(name, at=NOW + DAY + HOUR)
    later = NOW + 2 * DAY
    assert life.state.last_slot(INCREMENTAL, now=later) == NOW + DAY
    assert life.state.last_slot(FULL, now=later) == NOW
    life.full(at=later, slot=later)
    assert life.state.last_slot(INCREMENTAL, now=later) == later
    assert life.state.last_slot(FULL, now=later) == later


def test_slot_of_the_future_counts_only_when_there_is_no_other() -> None:
    """Else a clock that was wrong once would keep the dataset from ever being due again."""
    life = Life()
    name = life.full(slot=NOW + 365 * DAY)
    assert life.state.last_slot(INCREMENTAL, now=NOW) == NOW + 365 * DAY
    life.incremental(name, at=NOW, slot=NOW)
    assert life.state.last_slot(INCREMENTAL, now=NOW) == NOW


def test_generation_that_closes_too_soon_is_not_offered() -> None:
    """An incremental must be able to end in it."""
    life = Life()
    old = life.full()
    closes_at = life.state.generation(old).closes_at
    assert life.state.newest_completed_generation(closing_after=closes_at) is None
    assert life.state.newest_completed_generation(closing_after=closes_at - HOUR).id == old
    new = life.full(at=NOW + DAY)
    assert life.state.newest_completed_generation(closing_after=NOW).id == new


def test_state_is_compact() -> None:
    """Usual values take no room: the state stands in every record."""
    life = Life()
    life.full()
    document = life.state.to_json()
    assert set(document) == {"version", "since", "generations", "last_at"}
    assert set(document["generations"][0]) == {
        "id",
        "state",
        "opened_at",
        "closes_at",
        "key",
        "envelope_sha256",
        "points",
    }
    assert not {"slot", "adopted", "verified_at"} & set(document["generations"][0]["points"][0])


def test_what_was_found_is_read_back_and_older_points_found_nothing() -> None:
    """A record from before this figure existed is read as one without it, and written alike."""
    old = {**point_body("g", FULL, NOW), "sequence": 3}
    point = Point.of_json(old, generation="g", what="a point")
    assert point.bytes_found == 0
    assert point.bytes_in_vault == 5
    assert "bytes_found" not in point.to_json()
    found = Point.of_json({**old, "bytes_found": 7}, generation="g", what="a point")
    assert found.bytes_in_vault == 12
    assert Point.of_json(found.to_json(), generation="g", what="a point") == found
