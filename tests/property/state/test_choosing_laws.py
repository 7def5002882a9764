"""Which recovery points a verification proves, whatever the ledger holds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from include.backup.evidence.kinds import Kind
from include.backup.policy.objectives import Verdict
from include.backup.vault import bodies
from include.backup.vault.verification import Level, choose
from tests.unit.vault.samples import DAY, NOW, Life

if TYPE_CHECKING:
    from include.backup.vault.state import DatasetState

SEEDS = st.integers(0, 2**32)


@st.composite
def states(draw: st.DrawFn) -> DatasetState:
    """Up to five generations of up to six points, some damaged, some proved."""
    life = Life()
    day = 0
    for _ in range(draw(st.integers(0, 5))):
        name = life.full(at=NOW + day * DAY)
        for _ in range(draw(st.integers(0, 5))):
            day += 1
            life.incremental(name, at=NOW + day * DAY)
        if draw(st.booleans()):
            snapshots = [point.snapshot for point in life.state.points]
            proved = draw(st.sets(st.sampled_from(snapshots)))
            body = bodies.verified(
                proved=sorted(proved),
                level=Level.FACTS,
                verdict=Verdict.KEPT,
                passed=True,
                restores=[],
                slot=None,
            )
            life.record(Kind.VERIFIED, "v", body)
        if draw(st.integers(0, 4)) == 0:
            life.record(Kind.CHECKED, "c", bodies.damaged([name]))
        day += 1
    return life.state


@given(state=states(), days=st.integers(0, 70), seed=SEEDS)
def test_what_is_chosen(state: DatasetState, days: int, seed: int) -> None:
    """The newest, what was never proved of each other generation, and one by lot; each once."""
    outlives = NOW + timedelta(days=days)
    chosen = choose(state, outlives=outlives, seed=seed)
    points = [point for point, _ in chosen]
    lasting = [point for point in state.sound_points if point.expires_at > outlives]
    assert len({point.snapshot for point in points}) == len(points)
    assert all(point in lasting for point in points)
    assert bool(points) == bool(lasting)
    if not lasting:
        return
    assert points[0] == lasting[-1]
    for generation in {point.generation for point in lasting} - {points[0].generation}:
        unproved = [
            point
            for point in lasting
            if point.generation == generation and point.verified_at is None
        ]
        assert not unproved or unproved[-1] in points
    drawn = [why for _, why in chosen if f"seed {seed}" in why]
    others = len(lasting) - (len(points) - len(drawn))
    assert len(drawn) == min(others, 1)
    assert choose(state, outlives=outlives, seed=seed) == chosen


@given(state=states())
def test_in_time_every_point_may_be_drawn(state: DatasetState) -> None:
    """No point is out of the reach of chance."""
    expected = {point.snapshot for point in state.sound_points}
    reached: set[str] = set()
    for seed in range(400):
        reached |= {one.point.snapshot for one in choose(state, outlives=NOW, seed=seed)}
        if reached == expected:
            return
    assert reached == expected
