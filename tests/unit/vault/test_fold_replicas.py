"""What records of replication, promotion and erasure do to the state, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.errors import LeaseLost, RecordRefused, StillNeeded
from include.backup.evidence.kinds import Kind
from include.backup.evidence.records import Draft, new_id
from include.backup.vault import bodies
from include.backup.vault.erasures import still_in
from include.backup.vault.fold import fold_json
from include.backup.vault.state import DatasetState
from tests.unit.vault.samples import DAY, HOUR, INCREMENTAL, NOW, Life, point_body

if TYPE_CHECKING:
    from datetime import timedelta

SECOND = {"vault": "second", "url": "s3://second/vault"}
THERE = {"vault": "second", "replica": "s3://second/vault"}
TWO = {"requested_by": "anna", "approved_by": "bob", "reason": "a fire"}


def replicate(life: Life, sequence: int, *, at: timedelta = HOUR, **more: object) -> None:
    """A whole replication, up to a record."""
    act = new_id()
    life.begin(act, action="replicate", method=None, at=NOW + at)
    life.record(Kind.REPLICATED, act, SECOND | {"sequence": sequence} | more, at=NOW + at)


def test_a_replica_holds_what_was_recorded_before() -> None:
    """But for what is missing, or in a generation that is damaged there; and it survives JSON."""
    life = Life()
    name = life.full()
    replicate(life, life.sequence)
    life.incremental(name, at=NOW + DAY)
    replica = life.state.replica(str(SECOND["url"]))
    first, second = life.state.points
    assert (replica.has(first), replica.has(second)) == (True, False)
    assert replica.behind(life.state.points) == [second]
    replicate(life, life.sequence, at=2 * DAY, missing=[second.snapshot])
    assert life.state.replica(str(SECOND["url"])).behind(life.state.points) == [second]
    replicate(life, life.sequence, at=3 * DAY, damaged=[name])
    assert len(life.state.replica(str(SECOND["url"])).behind(life.state.points)) == 2
    assert DatasetState.of_json(life.state.to_json()) == life.state


def test_the_age_of_a_replica_is_its_own() -> None:
    """How old its newest point was when a newer one came: by that it is judged, not by the home."""
    life = Life()
    name = life.full()
    replicate(life, life.sequence, at=HOUR)
    for day in (1, 2, 3):
        life.incremental(name, at=NOW + day * DAY)
    replicate(life, life.sequence, at=3 * DAY + 2 * HOUR)
    replica = life.state.replica(str(SECOND["url"]))
    assert replica.greatest_age == 3 * DAY + 2 * HOUR
    assert life.state.as_in(replica).greatest_age_seen == 3 * DAY + 2 * HOUR
    assert life.state.greatest_age_seen < 2 * DAY


def test_a_replica_cannot_hold_the_future_or_forget() -> None:
    """A zombie's end comes too late; its number is lower, or its act is closed."""
    life = Life()
    life.full()
    with pytest.raises(RecordRefused, match="before it is written"):
        replicate(life, 99)
    replicate(life, life.sequence)
    with pytest.raises(RecordRefused, match="holds record 4 already"):
        replicate(life, 2)
    with pytest.raises(LeaseLost):
        life.record(Kind.REPLICATED, "gone", SECOND | {"sequence": 3})
    with pytest.raises(RecordRefused, match="is not in the ledger"):
        replicate(life, life.sequence, locked_until={"20300101T000000Z": "2026-12-01T00:00:00Z"})


def test_damage_in_a_replica_is_not_of_the_home() -> None:
    """A check of the copy marks the copy; the next replication says what is mended."""
    life = Life()
    name = life.full()
    with pytest.raises(RecordRefused, match="holds no replica"):
        life.record(Kind.DAMAGED, "", bodies.damaged([name]) | THERE)
    replicate(life, life.sequence)
    life.record(Kind.DAMAGED, "", bodies.damaged([name]) | THERE)
    assert life.state.newest_point is not None
    assert life.state.replica(str(SECOND["url"])).damaged == (name,)
    assert not life.state.replica(str(SECOND["url"])).has(life.state.points[0])
    replicate(life, life.sequence, at=2 * HOUR)  # it did not know of it
    assert life.state.replica(str(SECOND["url"])).damaged == (name,)
    replicate(life, life.sequence, at=3 * HOUR, mended=[name])
    assert life.state.replica(str(SECOND["url"])).damaged == ()


def test_a_promotion_loses_nothing_without_a_word() -> None:
    """Not while somebody works on it, not while the copy lacks something; unless it is lost."""
    life = Life()
    name = life.full()
    replicate(life, life.sequence)
    life.begin("b", at=NOW + DAY)
    with pytest.raises(StillNeeded, match="being worked on: back_up"):
        life.record(Kind.PROMOTED, "p", SECOND | TWO)
    life.record(Kind.RECOVERY_POINT, "b", point_body(name, INCREMENTAL, NOW + DAY), at=NOW + DAY)
    with pytest.raises(StillNeeded, match="second lacks 1 recovery points"):
        life.record(Kind.PROMOTED, "p", SECOND | TWO)
    life.record(Kind.PROMOTED, "p", SECOND | TWO | {"lost": True})
    assert len(life.state.points) == 2  # what is missing is told by what was missing


def test_the_new_home_is_what_the_copy_was() -> None:
    """With its own damage and locks, without what it lacks, and with what is still leaving it."""
    life = Life()
    name = life.full()
    life.incremental(name, at=NOW + DAY)
    first, second = life.state.points
    date = "2027-03-01T00:00:00Z"
    replicate(
        life,
        life.sequence,
        at=2 * DAY,
        missing=[second.snapshot],
        damaged=[name],
        left=[f"{name}/{'ab' * 32}", "20260101T000000Z/"],
        locked_until={name: date},
    )
    life.record(Kind.PROMOTED, "p", SECOND | TWO | {"lost": True})
    [generation] = life.state.generations
    assert generation.points == (first,)
    assert generation.damaged
    assert generation.leaving == ("ab" * 32,)
    assert generation.to_json()["locked_until"] == date


def test_a_ledger_goes_on_in_one_vault() -> None:
    """Once another one was promoted, no record fits into the former home."""
    life = Life()
    life.full()
    with pytest.raises(RecordRefused, match="does not approve it"):
        life.record(Kind.PROMOTED, "p", SECOND | TWO | {"approved_by": "anna"})
    replicate(life, life.sequence)
    life.record(Kind.PROMOTED, "p", SECOND | TWO)
    assert life.state.home == SECOND["url"]
    assert life.state.replica(str(SECOND["url"])) is None
    document = life.state.to_json()

    def recorded(home: str, kind: str = Kind.BEGUN, **body: object) -> None:
        body = {"action": "check"} | body
        draft = Draft(id=new_id(), at=NOW, subject="crm", kind=kind, act="x", body=body)
        fold_json(document, draft, life.sequence + 1, home=home)

    recorded(str(SECOND["url"]))
    recorded("")  # whoever does not say where is asked nothing
    with pytest.raises(RecordRefused, match="goes on in s3://second/vault"):
        recorded("s3://first/vault")
    with pytest.raises(RecordRefused, match="goes on in s3://second/vault"):
        recorded("s3://first/vault", Kind.PROMOTED, **(SECOND | TWO))
    recorded("s3://moved/vault", Kind.PROMOTED, **(TWO | {"vault": "x", "url": "s3://moved/vault"}))


def test_an_erasure_is_fulfilled_by_the_death_of_generations_alone() -> None:
    """Not by the expiry of points; what was opened after it does not matter."""
    life = Life()
    old = life.full()
    life.begin("e", action="erasure", method=None, at=NOW + DAY)
    body = {"erased_at": "2026-11-02T01:00:00Z", "digest": "ab" * 32}
    life.record(Kind.ERASURE, "e", body, at=NOW + DAY)
    life.full(at=NOW + 40 * DAY)
    [erasure] = life.state.erasures
    assert still_in(life.state, erasure) == [old]
    assert [erasure.concerns(point) for point in life.state.points] == [True, False]
    life.begin("x", action="expire", method=None, at=NOW + 80 * DAY)

    def retained() -> None:
        life.record(Kind.RETAINED, "x", {"fulfilled": ["e"]}, at=NOW + 80 * DAY)

    with pytest.raises(RecordRefused, match=f"{old} may hold it"):
        retained()
    dying = bodies.of_generation(old) | {"retired": True}
    life.record(Kind.EXPIRING, "x", dying, at=NOW + 80 * DAY)
    with pytest.raises(RecordRefused, match=f"{old} may hold it"):
        retained()
    life.record(Kind.EXPIRED, "x", bodies.of_generation(old), at=NOW + 80 * DAY)
    assert DatasetState.of_json(life.state.to_json()) == life.state
    retained()
    assert life.state.erasures == ()
