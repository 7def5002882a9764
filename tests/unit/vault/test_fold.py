"""How records change the state of a dataset, and which are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from include.backup.errors import LeaseLost, LedgerBroken, RecordRefused
from include.backup.evidence.fields import canonical
from include.backup.evidence.kinds import CLOSING, Kind
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.signing import Signer
from include.backup.policy.objectives import Verdict
from include.backup.storage.memory import MemoryStorage
from include.backup.vault import bodies
from include.backup.vault.fold import fold_json
from include.backup.vault.generations import GenerationState
from include.backup.vault.state import DatasetState
from include.backup.vault.verification import Level, Measured
from tests.unit.vault.samples import (
    DAY,
    FULL,
    HOUR,
    INCREMENTAL,
    NOW,
    Life,
    point_body,
    snapshot_of,
)

LATER = NOW + 60 * DAY


def dying(name: str) -> dict[str, object]:
    """The body of the record that a generation of a retired dataset begins to leave."""
    return bodies.of_generation(name) | {"retired": True}


# Ends that need an open act, or something to end.
ONCE = {
    Kind.RECOVERY_POINT,
    Kind.INTERRUPTED,
    Kind.HELD,
    Kind.LIFTED,
    Kind.SHORTENED,
    Kind.RETAINED,
    Kind.PROMOTED,
    Kind.REPLICATED,
    Kind.ERASURE,
    Kind.WITHDRAWN,
}


def test_full_completes_its_generation() -> None:
    """Opened, then completed by its first recovery point; the act is closed."""
    life = Life()
    life.begin("a", method=FULL)
    name = life.open("a")
    assert life.state.unfinished_generation.id == name
    assert life.state.newest_completed_generation(closing_after=NOW) is None
    assert life.state.act("a").method is FULL
    life.record(Kind.RECOVERY_POINT, "a", point_body(name, FULL, NOW))
    assert life.state.unfinished_generation is None
    assert life.state.newest_completed_generation(closing_after=NOW).id == name
    assert life.state.acts == ()
    [point] = life.state.points
    assert (point.generation, point.sequence, point.adopted) == (name, 3, False)
    assert life.state.newest_point == point


def test_incremental_adds_to_a_completed_generation_only() -> None:
    """Not to one that is unfinished, abandoned, expiring or unknown."""
    life = Life()
    life.begin("f", method=FULL)
    name = life.open("f")
    life.begin("i")

    def add() -> None:
        life.record(Kind.RECOVERY_POINT, "i", point_body(name, INCREMENTAL, NOW))

    with pytest.raises(RecordRefused, match=f"{name} is opened; no incremental"):
        add()
    life.record(Kind.ABANDONED, "f", bodies.of_generation(name))
    with pytest.raises(RecordRefused, match=f"{name} is abandoned"):
        add()
    life.record(Kind.EXPIRING, "f", bodies.of_generation(name), at=LATER)
    with pytest.raises(RecordRefused, match=f"{name} is expiring"):
        add()
    with pytest.raises(RecordRefused, match="'20270101T000000Z' is not in the ledger"):
        life.record(Kind.RECOVERY_POINT, "i", point_body("20270101T000000Z", INCREMENTAL, NOW))


def test_generation_has_one_full() -> None:
    """A second one shares nothing with it, and needs a generation of its own."""
    life = Life()
    name = life.full()
    life.begin("f", method=FULL)
    with pytest.raises(RecordRefused, match="is completed and cannot become completed"):
        life.record(Kind.RECOVERY_POINT, "f", point_body(name, FULL, NOW, snapshot="other"))


def test_closed_generation_takes_no_act_that_began_later() -> None:
    """One that began in time may end later."""
    life = Life()
    name = life.full()
    closes_at = life.state.generation(name).closes_at
    life.begin("in time", at=closes_at)
    life.begin("late", at=closes_at + HOUR)
    life.record(Kind.RECOVERY_POINT, "in time", point_body(name, INCREMENTAL, closes_at + DAY))
    with pytest.raises(RecordRefused, match=f"{name} was closed when act late began"):
        life.record(Kind.RECOVERY_POINT, "late", point_body(name, INCREMENTAL, closes_at + HOUR))


def test_only_one_generation_is_unfinished() -> None:
    """A full resumes it, or abandons it first; the error names it."""
    life = Life()
    life.begin("a", method=FULL)
    name = life.open("a")
    with pytest.raises(RecordRefused, match=f"{name} is unfinished"):
        life.open("a", at=NOW + DAY)
    life.record(Kind.ABANDONED, "a", bodies.of_generation(name))
    assert life.open("a", at=NOW + DAY) == "20261102T010000Z"


def test_name_of_a_generation_is_never_used_again() -> None:
    """Not even when nothing is left of it."""
    life = Life()
    name = life.full()
    life.begin("x", action="expire", method=None)
    life.record(Kind.EXPIRING, "x", dying(name), at=LATER)
    life.record(Kind.EXPIRED, "x", bodies.of_generation(name))
    body = bodies.opened(
        generation=name, opened_at=NOW, closes_at=NOW, key="", envelope_sha256="cd" * 32
    )
    with pytest.raises(RecordRefused, match=f"generation {name} of crm was opened before"):
        life.record(Kind.OPENED, "x", body)
    with pytest.raises(RecordRefused, match=r"'\.\./x' is no id of a generation"):
        life.record(Kind.OPENED, "x", body | {"generation": "../x"})


@pytest.mark.parametrize("state", GenerationState)
@pytest.mark.parametrize("kind", [Kind.ABANDONED, Kind.EXPIRING, Kind.EXPIRED])
def test_generation_dies_in_order(state: GenerationState, kind: Kind) -> None:
    """Every move between states that is not in the design is refused and named."""
    life = Life()
    name = life.full()
    [completed] = life.state.generations
    life.state = replace(life.state, generations=(replace(completed, state=state),))
    life.begin("x", action="expire", method=None)
    legal = {("opened", "abandoned"), ("completed", "expiring"), ("abandoned", "expiring")}
    legal.add(("expiring", "expired"))
    if (str(state), str(kind)) in legal:
        life.record(kind, "x", dying(name), at=LATER)
        assert life.state.generation(name).state == str(kind)
    else:
        with pytest.raises(RecordRefused, match=f"{name} is {state} and cannot become {kind}"):
            life.record(kind, "x", bodies.of_generation(name))


def test_expiring_points_are_no_copies_and_expired_ones_are_forgotten() -> None:
    """From the record `expiring` on, nobody counts on what is being removed."""
    life = Life()
    old, new = life.full(), life.full(at=NOW + 28 * DAY)
    life.begin("x", action="expire", method=None)
    life.record(Kind.EXPIRING, "x", dying(old), at=LATER)
    assert [point.generation for point in life.state.points] == [new]
    assert life.state.generation(old).points
    life.record(Kind.EXPIRED, "x", bodies.of_generation(old))
    assert not life.state.generation(old).points


def test_whoever_was_taken_for_dead_can_commit_nothing() -> None:
    """Its act was closed as interrupted: it wakes, and every change is refused as too late."""
    life = Life()
    life.begin("zombie", method=FULL)
    name = life.open("zombie")
    life.begin("next", method=FULL)
    life.record(Kind.INTERRUPTED, "zombie", bodies.failed("its process is gone"))
    point = point_body(name, FULL, NOW)
    for kind, body in (
        (Kind.RECOVERY_POINT, point),
        (Kind.ADOPTED, point),
        (Kind.ABANDONED, bodies.of_generation(name)),
        (Kind.EXPIRING, bodies.of_generation(name)),
        (Kind.EXPIRED, bodies.of_generation(name)),
    ):
        with pytest.raises(LeaseLost, match=f"act zombie of crm is not open; its {kind} record"):
            life.record(kind, "zombie", body)
    with pytest.raises(LeaseLost):
        life.open("zombie", at=NOW + DAY)
    life.record(Kind.RECOVERY_POINT, "next", point)
    assert life.state.generation(name).state is GenerationState.COMPLETED


def test_act_is_closed_once() -> None:
    """Two runs that find the same dead act: the second is told that it is closed."""
    life = Life()
    life.begin("a")
    life.record(Kind.INTERRUPTED, "a", {})
    with pytest.raises(RecordRefused, match="act a of crm is not open; nothing to close"):
        life.record(Kind.INTERRUPTED, "a", {})
    assert life.state.failures == 1
    life.begin("b")
    with pytest.raises(RecordRefused, match="act b of crm has begun already"):
        life.begin("b")


@pytest.mark.parametrize("kind", sorted(CLOSING - ONCE))
def test_end_of_an_act_closes_it_and_comes_never_too_late(kind: Kind) -> None:
    """The second end is evidence, and changes nothing."""
    life = Life()
    life.begin("a", action="restore", method=None)
    life.begin("b")
    verified = bodies.verified(
        proved=[],
        level=Level.FACTS,
        verdict=Verdict.KEPT,
        passed=True,
        restores=[Measured(7, 1)],
        slot=None,
    )
    body = verified if kind is Kind.VERIFIED else {}
    life.record(kind, "a", body)
    after = life.state
    assert [act.id for act in after.acts] == ["b"]
    life.record(kind, "a", body)
    assert life.state == after


def test_failures_in_a_row_are_counted_until_a_recovery_point() -> None:
    """Only those of backups; a refusal is none."""
    life = Life()
    name = life.full()
    for act, kind, body in (
        ("a", Kind.FAILED, bodies.failed("/srv/crm is gone")),
        ("b", Kind.REFUSED, {}),
        ("c", Kind.NOTHING_DUE, {}),
        ("d", Kind.INTERRUPTED, {}),
    ):
        life.begin(act)
        life.record(kind, act, body)
    assert (life.state.failures, life.state.failure) == (2, "it was interrupted")
    life.begin("r", action="restore", method=None)
    life.record(Kind.FAILED, "r", bodies.failed("no space"))
    assert life.state.failures == 2
    life.incremental(name, at=NOW + DAY)
    assert (life.state.failures, life.state.failure) == (0, "")


def test_snapshot_found_without_its_record_is_adopted_once() -> None:
    """It is a recovery point then, marked, and its act goes on."""
    life = Life()
    life.begin("killed", method=FULL)
    name = life.open("killed")
    life.begin("next", method=FULL)
    life.record(Kind.INTERRUPTED, "killed", {})
    body = point_body(name, FULL, NOW, snapshot="found")
    life.record(Kind.ADOPTED, "next", body)
    assert life.state.act("next") is not None
    assert life.state.newest_point.adopted
    again = body | {"method": "incremental"}
    with pytest.raises(RecordRefused, match=f"{snapshot_of('found')[:8]} of {name} is recorded"):
        life.record(Kind.ADOPTED, "next", again)
    life.record(Kind.NOTHING_DUE, "next", {})
    assert life.state.acts == ()


def test_nothing_builds_on_a_damaged_generation() -> None:
    """Its points are still listed, but are no copies one can count on: a new full is due."""
    life = Life()
    old = life.full(slot=NOW)
    new = life.full(at=NOW + DAY, slot=NOW + DAY)
    life.begin("c", action="check", method=None)
    life.record(Kind.CHECKED, "c", bodies.damaged([new]))
    state = life.state
    assert state.generation(new).damaged
    assert [point.generation for point in state.points] == [old, new]
    assert state.newest_point.generation == old
    assert state.newest_completed_generation(closing_after=NOW).id == old
    assert state.last_slot(FULL, now=NOW + 2 * DAY) == NOW
    life.begin("i")
    with pytest.raises(RecordRefused, match=f"{new} is damaged"):
        life.record(Kind.RECOVERY_POINT, "i", point_body(new, INCREMENTAL, NOW))
    with pytest.raises(RecordRefused, match="'x' is not in the ledger"):
        life.record(Kind.DAMAGED, "i", bodies.damaged(["x"]))


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("begun", {}, "field action"),
        ("begun", {"action": "back_up", "method": "magic"}, "field method"),
        ("begun", {"action": "back_up", "slot": "today"}, "field slot"),
        ("begun", {"action": "back_up", "owner": 1}, "field owner"),
        ("failed", {"reason": 1}, "field reason"),
        ("checked", {"damaged": "all"}, "field damaged"),
        ("checked", {"damaged": [1]}, "field damaged"),
        ("verified", {"level": "facts", "verdict": "KEPT", "passed": 1}, "field passed"),
        ("verified", {"level": "facts", "verdict": "GOOD", "passed": True}, "field verdict"),
        ("verified", {"level": "hope", "passed": True}, "field level"),
        (
            "verified",
            {
                "level": "facts",
                "verdict": "KEPT",
                "passed": True,
                "restores": [{"bytes": 1, "seconds": 0}],
            },
            "field seconds",
        ),
        ("reviewed", {}, "the ledger of the policy"),
        ("exploded", {}, "'exploded' is no kind of record"),
    ],
)
def test_body_that_lacks_something_is_refused(
    kind: str, body: dict[str, object], says: str
) -> None:
    """The field is named, and nothing is written."""
    life = Life()
    life.begin("open")
    with pytest.raises(RecordRefused, match=says):
        life.record(kind, "a" if kind == "begun" else "open", body)


def test_state_that_is_none_is_damage() -> None:
    """A record whose state cannot be read stops every writer, naming the field."""
    good = Life()
    good.full()
    document = json.loads(canonical(good.state.to_json()))
    for broken, says in (
        ({"version": 2}, "field version"),
        ({"version": 1}, "field since is missing"),
        (document | {"more": 1}, "field 'more' is unknown"),
        (document | {"generations": [1]}, "is no object"),
        (document | {"failures": -1}, "field failures"),
        (document | {"acts": [{}]}, "field id"),
    ):
        with pytest.raises(LedgerBroken, match=says):
            DatasetState.of_json(broken)
    document["generations"][0]["points"][0]["method"] = "magic"
    with pytest.raises(LedgerBroken, match="field method holds 'magic'"):
        DatasetState.of_json(document)


def test_state_lives_in_the_ledger() -> None:
    """The newest record alone is enough to know the dataset."""
    storage = MemoryStorage(lambda: NOW)
    signer = Signer(bytes(32))
    ledger = Ledger(storage, subject="crm", signer=signer)
    draft = ledger.draft(
        kind=Kind.BEGUN, act="a", at=NOW, body=bodies.begun(action="back_up", method=FULL)
    )
    ledger.append(draft, fold=fold_json)
    body = bodies.opened(
        generation="20261101T010000Z",
        opened_at=NOW,
        closes_at=NOW + 35 * DAY,
        key="ab" * 8,
        envelope_sha256="cd" * 32,
    )
    ledger.append(ledger.draft(kind=Kind.OPENED, act="a", at=NOW, body=body), fold=fold_json)
    head = Ledger(storage, subject="crm").head()
    state = DatasetState.of_json(head.state)
    assert state.since == NOW
    assert state.act("a").began_at == NOW
    assert state.unfinished_generation.id == "20261101T010000Z"
