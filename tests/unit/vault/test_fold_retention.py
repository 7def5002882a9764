"""Records of retention: what leaves, what is held, what is in doubt."""

from __future__ import annotations

import pytest

from include.backup.errors import RecordRefused
from include.backup.evidence.kinds import Kind
from include.backup.policy.objectives import Verdict
from include.backup.vault import bodies
from include.backup.vault.state import DatasetState
from include.backup.vault.verification import Level
from tests.unit.vault.samples import DAY, FULL, NOW, Life, point_body

HOLD = {"hold": "h1", "reason": "a lawsuit", "requested_by": "legal", "approved_by": "cto"}

LATER = NOW + 60 * DAY


def five() -> tuple[Life, str, list[str]]:
    """A generation of five points, and an open act."""
    life = Life()
    name = life.full()
    for day in range(1, 5):
        life.incremental(name, at=NOW + day * DAY)
    life.begin("x", action="expire", method=None)
    return life, name, [point.snapshot for point in life.state.points]


def leaving(name: str, *snapshots: str) -> dict[str, object]:
    """The body of records about single points."""
    return bodies.of_generation(name) | {"snapshots": list(snapshots)}


def test_points_leave_by_themselves() -> None:
    """They are no copies any more, and their names are known until their files are gone."""
    life, name, snapshots = five()
    life.record(Kind.EXPIRING, "x", leaving(name, *snapshots[:2]), at=LATER)
    found = life.state.generation(name)
    assert [point.snapshot for point in life.state.points] == snapshots[2:]
    assert found.leaving == tuple(snapshots[:2])
    assert found.bytes_gone == 10
    assert DatasetState.of_json(life.state.to_json()) == life.state
    with pytest.raises(RecordRefused, match="was not about to leave"):
        life.record(Kind.EXPIRED, "x", leaving(name, snapshots[2]))
    life.record(Kind.EXPIRED, "x", leaving(name, *snapshots[:2]))
    assert life.state.generation(name).leaving == ()
    with pytest.raises(RecordRefused, match="is no recovery point of"):
        life.record(Kind.EXPIRING, "x", leaving(name, snapshots[0]), at=LATER)


def test_the_last_way_back_does_not_leave() -> None:
    """Nor the newest verified one; but of a retired dataset."""
    life, name, snapshots = five()
    with pytest.raises(RecordRefused, match="is one of the newest 2"):
        life.record(Kind.EXPIRING, "x", leaving(name, snapshots[-1]), at=LATER)
    with pytest.raises(RecordRefused, match="is one of the newest 2"):
        life.record(Kind.EXPIRING, "x", bodies.of_generation(name), at=LATER)
    verify(life, proved=[snapshots[0]])
    with pytest.raises(RecordRefused, match="is the newest that was verified"):
        life.record(Kind.EXPIRING, "x", leaving(name, snapshots[0]), at=LATER)
    life.record(Kind.EXPIRING, "x", leaving(name, *snapshots) | {"retired": True}, at=LATER)
    assert life.state.points == ()


def verify(life: Life, *, proved: list[str], suspicious: str = "", passed: bool = True) -> None:
    """A verification."""
    body = bodies.verified(
        proved=proved,
        level=Level.FACTS,
        verdict=Verdict.KEPT,
        passed=passed,
        restores=[],
        slot=None,
    )
    life.begin("v", action="verify", method=None)
    life.record(Kind.VERIFIED, "v", body | ({"suspicious": suspicious} if suspicious else {}))


def test_what_is_on_hold_does_not_leave() -> None:
    """All of it, or single points, until that very hold is lifted."""
    life, name, snapshots = five()
    life.record(Kind.HELD, "h", HOLD)
    with pytest.raises(RecordRefused, match="on hold: a lawsuit"):
        life.record(Kind.EXPIRING, "x", leaving(name, snapshots[0]), at=LATER)
    with pytest.raises(RecordRefused, match="hold h1 is there already"):
        life.record(Kind.HELD, "h", HOLD)
    with pytest.raises(RecordRefused, match="there is no hold 'h2'"):
        life.record(Kind.LIFTED, "h", {"hold": "h2"})
    life.record(Kind.LIFTED, "h", {"hold": "h1"})
    life.record(Kind.HELD, "h", HOLD | {"snapshots": [snapshots[0]]})
    assert DatasetState.of_json(life.state.to_json()) == life.state
    with pytest.raises(RecordRefused, match="on hold"):
        life.record(Kind.EXPIRING, "x", leaving(name, *snapshots[:2]), at=LATER)
    life.record(Kind.EXPIRING, "x", leaving(name, snapshots[1]), at=LATER)
    with pytest.raises(RecordRefused, match="is no recovery point of crm"):
        life.record(Kind.HELD, "h", HOLD | {"hold": "h3", "snapshots": [snapshots[1]]})


def test_nothing_leaves_while_something_is_in_doubt() -> None:
    """What a backup has found, people resolve; what a verification has found, a later one may."""
    life, name, snapshots = five()
    life.begin("b")
    body = point_body(name, life.state.points[-1].method, NOW + 5 * DAY)
    life.record(Kind.RECOVERY_POINT, "b", body | {"suspicious": "half is gone"})
    verify(life, proved=[], suspicious="1 fault", passed=False)
    assert [one.reason for one in life.state.suspicions] == ["half is gone", "1 fault"]
    assert DatasetState.of_json(life.state.to_json()) == life.state
    with pytest.raises(RecordRefused, match="in doubt: half is gone"):
        life.record(Kind.EXPIRING, "x", leaving(name, snapshots[0]), at=LATER)
    verify(life, proved=[])
    [left] = life.state.suspicions
    with pytest.raises(RecordRefused, match="record 1 is not in doubt"):
        life.record(Kind.RESOLVED, "r", {"suspicions": [1]})
    life.record(Kind.RESOLVED, "r", {"suspicions": [left.sequence]})
    life.record(Kind.EXPIRING, "x", leaving(name, snapshots[0]), at=LATER)


def test_a_silence_is_remembered() -> None:
    """A clock may have jumped."""
    life = Life()
    life.full()
    assert life.state.resumed_at is None
    later = NOW + 20 * DAY
    life.begin("x", method=FULL, at=later)
    assert life.state.resumed_at == later
    life.record(Kind.FAILED, "x", {}, at=later + DAY)
    assert life.state.resumed_at == later
    assert life.state.last_at == later + DAY
