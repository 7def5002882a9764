"""The state of a dataset after any sequence of records, legal or not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from include.backup.errors import LeaseLost, RecordRefused
from include.backup.evidence.fields import canonical
from include.backup.evidence.kinds import CLOSING, Kind
from include.backup.policy.model import Method
from include.backup.policy.objectives import Verdict
from include.backup.vault import bodies
from include.backup.vault.fold import BACK_UP
from include.backup.vault.fold_entry import TRANSITIONS
from include.backup.vault.generations import GenerationState, Point
from include.backup.vault.layout import new_generation
from include.backup.vault.state import DatasetState
from include.backup.vault.verification import Level, Measured
from tests.unit.vault.samples import DAY, NOW, Life, point_body

ACTS = st.sampled_from(["a", "b", "c"])
METHODS = st.sampled_from([Method.FULL, Method.INCREMENTAL])
AGES = st.timedeltas(timedelta(days=-2), timedelta(days=2))


def _undated(point: Point) -> Point:
    """But for when it was proved: nothing else of a point ever changes."""
    return replace(point, verified_at=None)


class Dataset(RuleBasedStateMachine):
    """Records of any kind in any order, with a clock that also goes back."""

    @initialize()
    def be_born(self) -> None:
        """Begin with no record."""
        self.life = Life()
        self.now = NOW
        self.before = self.life.state
        self.points = 0

    def record(self, kind: Kind, act: str, body: dict[str, object]) -> bool:
        """Try one record; say whether it was accepted."""
        self.before = self.life.state
        try:
            self.life.record(kind, act, body, at=self.now)
        except LeaseLost:
            assert self.before.act(act) is None
        except RecordRefused:
            pass
        else:
            return True
        assert self.life.state == self.before
        return False

    def some_generation(self, index: int) -> str:
        """One of those there are, or one that never was."""
        known = self.life.state.generations
        return known[index % len(known)].id if known else "20200101T000000Z"

    @rule(by=AGES)
    def pass_time(self, by: timedelta) -> None:
        """Or set the clock back."""
        self.now += by
        self.before = self.life.state

    @rule(act=ACTS, method=st.none() | METHODS, action=st.sampled_from([BACK_UP, "restore"]))
    def begin(self, act: str, method: Method | None, action: str) -> None:
        """An act begins, unless it has."""
        accepted = self.record(Kind.BEGUN, act, bodies.begun(action=action, method=method))
        assert accepted == (self.before.act(act) is None)

    @rule(act=ACTS)
    def open(self, act: str) -> None:
        """A generation is opened, unless one is unfinished."""
        state = self.life.state
        body = bodies.opened(
            generation=new_generation(self.now, {known.id for known in state.generations}),
            opened_at=self.now,
            closes_at=self.now + 3 * DAY,
            key="ab" * 8,
            envelope_sha256="cd" * 32,
        )
        accepted = self.record(Kind.OPENED, act, body)
        assert accepted == (state.act(act) is not None and state.unfinished_generation is None)

    @rule(
        act=ACTS,
        index=st.integers(0, 9),
        method=METHODS,
        took=AGES,
        slot=st.none() | AGES,
        adopted=st.booleans(),
        again=st.booleans(),
    )
    def commit(
        self,
        act: str,
        index: int,
        method: Method,
        took: timedelta,
        slot: timedelta | None,
        adopted: bool,
        again: bool,
    ) -> None:
        """A recovery point is recorded or adopted."""
        body = point_body(
            self.some_generation(index),
            method,
            self.now,
            took=took,
            slot=None if slot is None else self.now + slot,
            snapshot=str(self.points - again),
        )
        kind = Kind.ADOPTED if adopted else Kind.RECOVERY_POINT
        age = self.life.state.age(self.now + took)
        if self.record(kind, act, body):
            self.points += 1
            state = self.life.state
            newest = state.newest_point
            assert newest is not None
            assert newest.snapshot == body["snapshot"]
            assert newest.sequence == self.life.sequence
            assert state.failures == 0
            if age is not None:
                assert state.greatest_age_seen is not None
                assert state.greatest_age_seen >= age

    @rule(
        act=ACTS,
        index=st.integers(0, 9),
        kind=st.sampled_from([Kind.ABANDONED, Kind.EXPIRING, Kind.EXPIRED]),
    )
    def move(self, act: str, index: int, kind: Kind) -> None:
        """A generation goes on towards its end."""
        name = self.some_generation(index)
        if self.record(kind, act, bodies.of_generation(name)):
            was, now = self.before.generation(name), self.life.state.generation(name)
            assert was is not None
            assert now is not None
            assert now.state in TRANSITIONS[was.state]

    @rule(
        act=ACTS,
        proved=st.sets(st.integers(0, 9), max_size=3),
        level=st.sampled_from(Level),
        passed=st.booleans(),
    )
    def verify(self, act: str, proved: set[int], level: Level, *, passed: bool) -> None:
        """Points that were proved are dated, those that are gone by now do no harm."""
        known = [point.snapshot for point in self.life.state.points]
        names = [known[index] if index < len(known) else f"{index:064x}" for index in proved]
        body = bodies.verified(
            proved=names,
            level=level,
            verdict=Verdict.KEPT if passed else Verdict.BROKEN,
            passed=passed,
            restores=[Measured(len(names), 1)],
            slot=None,
        )
        assert self.record(Kind.VERIFIED, act, body)
        state = self.life.state
        assert state.verification is not None
        at = state.verification.at
        for was, now in zip(self.before.points, state.points, strict=True):
            assert now.verified_at == (at if was.snapshot in names else was.verified_at)
            assert replace(now, verified_at=was.verified_at) == was

    @rule(
        act=ACTS,
        kind=st.sampled_from(sorted(CLOSING - {Kind.RECOVERY_POINT, Kind.CHECKED, Kind.VERIFIED})),
    )
    def end(self, act: str, kind: Kind) -> None:
        """An act ends."""
        if self.record(kind, act, {}):
            assert self.life.state.act(act) is None

    @rule(act=ACTS, indexes=st.sets(st.integers(0, 9), max_size=1))
    def check(self, act: str, indexes: set[int]) -> None:
        """A check finds damage, or none."""
        names = [self.some_generation(index) for index in indexes]
        self.record(Kind.CHECKED, act, bodies.damaged(names))

    @invariant()
    def survives_the_ledger(self) -> None:
        """What is written into a record is read back the same."""
        data = canonical(self.life.state.to_json())
        assert DatasetState.of_json(json.loads(data)) == self.life.state

    @invariant()
    def grows_and_dies_whole(self) -> None:
        """Invariant 2: one generation at most is unfinished, and none loses points but at death."""
        state = self.life.state
        opened = [g for g in state.generations if g.state is GenerationState.OPENED]
        assert len(opened) <= 1
        assert len({g.id for g in state.generations}) == len(state.generations)
        for generation in state.generations:
            if generation.state is not GenerationState.EXPIRING:
                completed = generation.state is GenerationState.COMPLETED
                assert bool(generation.points) == completed
            for point in generation.points:
                assert point.generation == generation.id
            was = self.before.generation(generation.id)
            if was is not None and generation.state is not GenerationState.EXPIRED:
                left = map(_undated, generation.points[: len(was.points)])
                assert list(left) == list(map(_undated, was.points))
            if was is not None:
                fixed = {"state": was.state, "points": was.points, "damaged": was.damaged}
                assert replace(generation, **fixed) == was
                assert generation.damaged or not was.damaged

    @invariant()
    def keeps_the_order_of_the_ledger(self) -> None:
        """Points are in the order of their records; the worst age is never forgotten."""
        state = self.life.state
        sequences = [point.sequence for point in state.points]
        assert sequences == sorted(set(sequences))
        seen, was = state.greatest_age_seen, self.before.greatest_age_seen
        assert was is None or (seen is not None and seen >= was)

    @invariant()
    def offers_only_what_can_grow(self) -> None:
        """An incremental is never sent into a generation that cannot take it."""
        found = self.life.state.newest_completed_generation(closing_after=self.now)
        if found is not None:
            assert found.state is GenerationState.COMPLETED
            assert not found.damaged
            assert found.closes_at > self.now


Dataset.TestCase.settings = settings(max_examples=250, stateful_step_count=50, deadline=None)
TestDataset = Dataset.TestCase
