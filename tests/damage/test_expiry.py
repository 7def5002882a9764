"""What has expired goes, and nothing else ever does, whatever dies on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.expire import expire, plan_of
from include.backup.actions.hold import resolve
from include.backup.actions.kept import standing
from include.backup.actions.outcome import sentence_of
from include.backup.errors import AccessRefused, ConfigurationInvalid
from include.backup.policy.model import Method
from include.backup.policy.objectives import Verdict
from include.backup.vault.generations import GenerationState
from tests.damage.expiring import (
    LOCKED,
    SCENES,
    a_generation_dies,
    a_point_leaves,
    back_up_daily,
    generations,
    site,
    snapshots,
)
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["site"]


def test_a_point_goes_when_it_has_expired(site: Site) -> None:
    """Not before, and on that day; its generation stays, and the others restore."""
    back_up_daily(site, 5)
    first = site.place().state().points[0]
    site.now = first.expires_at - timedelta(minutes=1)
    outcome, plan = expire(site.setting(), "crm")
    assert (len(plan.kept), outcome.details["expired"]) == (5, 0)
    assert outcome.sentence.startswith("KEPT 3.2 · critical/crm · 5 recovery points kept")
    site.wait(minutes=2)
    outcome, plan = expire(site.setting(), "crm")
    assert outcome.details["expired"] == 1
    assert "1 recovery point expired and removed" in outcome.sentence
    assert first.snapshot not in snapshots(site)
    assert len(site.place().state().points) == 4
    assert site.restored() == site.content()
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []


def test_a_generation_dies_whole(site: Site) -> None:
    """Nothing of it is left, its envelope least of all."""
    a_generation_dies(site)
    old, new = [one.id for one in site.place().state().generations]
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.details["generations"] == [old]
    assert generations(site) == {new}
    assert site.place().state().generation(old).state is GenerationState.EXPIRED
    assert site.restored() == site.content()


def test_a_generation_that_may_grow_stays(site: Site) -> None:
    """Its points go one by one; it dies when nobody can add to it any more."""
    back_up_daily(site, 3, method=Method.FULL)
    back_up_daily(site, 2, method=Method.FULL)
    old, new = [one.id for one in site.place().state().generations]
    site.wait(days=29)
    expire(site.setting(), "crm")
    assert generations(site) == {old, new}
    assert "may grow until" in plan_of(site.setting(), "crm")[1].fates[0].why
    site.wait(days=8)
    expire(site.setting(), "crm")
    assert generations(site) == {new}


def test_the_last_way_back_never_expires(site: Site) -> None:
    """A dataset whose backups have stopped keeps the newest two, and the newest verified one."""
    back_up_daily(site, 5)
    site.wait(days=400)
    outcome, plan = expire(site.setting(), "crm")
    assert len(plan.kept) == 2
    assert "2 expired, and kept as one of the newest 2" in outcome.sentence
    assert outcome.sentence.startswith("KEPT 3.2")
    assert site.restored() == site.content()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scene", SCENES)
def test_crash_at_every_change(
    scene: Callable[[Site], None], tmp_path: Path, *, after: bool
) -> None:
    """What must live restores, the next run removes the rest, and the evidence fits."""
    site = Site(tmp_path)
    scene(site)
    rewind = site.rewinding()
    counting = Crashing(site.memory)
    expire(site.setting(counting), "crm")
    assert any(change.startswith("delete") for change in counting.changes)
    for at, change in enumerate(counting.changes, start=1):
        rewind()
        living = plan_of(site.setting(), "crm")[1].kept
        with pytest.raises(Crash):
            expire(site.setting(Crashing(site.memory, at=at, after=after)), "crm")
        site.wait(minutes=31)  # the lease of the dead is over then
        assert site.restored() == site.content(), change
        outcome, _ = expire(site.setting(), "crm")
        assert outcome.ok, f"{change}: {outcome.sentence}"
        assert snapshots(site) == {one.snapshot for one in living}, change
        state = site.place().state()
        assert {point.snapshot for point in state.points} == snapshots(site), change
        assert generations(site) == {one.generation for one in living}, change
        assert [act.action for act in state.acts] == [], change
        assert check(site.setting(), "crm", reading=Reading.ALL)[1] == [], change
        site.place().ledger.verify()
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    assert site.restored() == site.content()


def test_nothing_expires_while_something_is_in_doubt(site: Site) -> None:
    """A dataset that has shrunk to a few files; until somebody has looked."""
    site.write(**{f"file{number}": "x" * 100 for number in range(30)})
    back_up_daily(site, 2)
    site.wait(days=40)
    back_up_daily(site, 2, method=Method.FULL)
    for number in range(2, 30):
        (site.data / f"file{number}").unlink()
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert "in doubt: 6 entries are left of 34" in outcome.sentence
    everything = snapshots(site)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.sentence.startswith("AT RISK 3.2")
    assert "holdfast suspicions resolve crm" in outcome.sentence
    assert snapshots(site) == everything
    assert standing(site.setting(), "crm").verdict is not Verdict.KEPT
    resolve(site.setting(), "crm", by="anna", reason="old logs were removed")
    expire(site.setting(), "crm")
    assert len(snapshots(site)) == len(everything) - 2
    with pytest.raises(ConfigurationInvalid, match="nothing of crm is in doubt"):
        resolve(site.setting(), "crm", by="anna", reason="again")


def test_a_retired_dataset_goes_to_the_last_byte(site: Site) -> None:
    """Even the newest two; its evidence stays."""
    back_up_daily(site, 3)
    site.entry_options = "    retired: {date: 2026-11-27, reason: replaced, by: anna}\n"
    site.wait(days=26)
    expire(site.setting(), "crm")
    assert len(snapshots(site)) == 3
    site.wait(days=14)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.sentence.startswith("KEPT 3.2")
    assert generations(site) == set()
    site.place().ledger.verify()
    outcome, plan = expire(site.setting(), "crm")
    assert plan.is_empty


def test_what_cannot_be_removed_is_told_with_its_owner(site: Site) -> None:
    """At risk at first; a second time it is kept longer than promised."""
    a_generation_dies(site)
    refused = AccessRefused("no right to delete")
    for verdict in ("AT RISK 3.2", "BROKEN 3.2"):
        crashing = Refusing(site.memory, error=refused)
        with pytest.raises(AccessRefused) as caught:
            expire(site.setting(crashing), "crm")
        sentence = sentence_of(caught.value, "")
        assert sentence.startswith(verdict)
        assert "owner crm-team@example.com" in sentence
        site.wait(days=1)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.ok
    assert len(generations(site)) == 1


class Refusing(Crashing):
    """A storage that deletes nothing of a generation."""

    def delete(self, names: object) -> None:
        """See Storage."""
        if any("/generations/" in str(name) for name in names):  # type: ignore[attr-defined]
            raise self._error
        super().delete(names)  # type: ignore[arg-type]


def test_an_unfinished_generation_goes_too(site: Site) -> None:
    """Nobody will complete it: no run resumes what is closed."""
    site.write(a="a" * 1000)
    with pytest.raises(Crash):
        back_up(site.setting(Crashing(site.memory, at=14)), "crm", method=Method.FULL)
    assert generations(site)
    site.wait(days=60)
    site.entry_options = "    retired: {date: 2026-11-25, reason: replaced, by: anna}\n"
    expire(site.setting(), "crm")
    assert generations(site) == set()


def test_what_is_damaged_counts_as_no_copy(site: Site) -> None:
    """The last way back is one that can be gone."""
    back_up_daily(site, 3)
    back_up_daily(site, 2, method=Method.FULL)
    newest = site.place().state().generations[-1].id
    pack = next(info.name for info in site.memory.list(f"datasets/crm/generations/{newest}/data/"))
    site.memory.delete([pack])
    assert check(site.setting(), "crm", reading=Reading.NOTHING)[1]
    site.wait(days=100)
    _, plan = expire(site.setting(), "crm")
    assert {one.generation for one in plan.kept} == {site.place().state().generations[0].id}
    assert len(plan.kept) == 2


def test_a_locked_vault_does_not_hide_a_missing_right(site: Site) -> None:
    """Only what a lock keeps is no error."""
    site.vault_url = LOCKED
    a_point_leaves(site)
    crashing = Refusing(site.memory, error=AccessRefused("no right to delete"))
    with pytest.raises(AccessRefused) as caught:
        expire(site.setting(crashing), "crm")
    assert sentence_of(caught.value, "").startswith("AT RISK 3.2")


def test_a_class_of_fulls_closes_by_its_own_schedule(site: Site) -> None:
    """Nothing is added to its generations: they live, and are locked, no longer than they must."""
    site.policy_change = ("method: incremental", "method: full")
    for _ in range(3):
        back_up_daily(site, 1, method=Method.FULL)
    first = site.place().state().generations[0]
    assert first.closes_at - first.opened_at == timedelta(days=1 + 7)
    site.wait(days=40)
    outcome, _ = expire(site.setting(), "crm")
    assert first.id in outcome.details["generations"]


@pytest.mark.parametrize(("days", "resumed"), [(7, True), (8, False)])
def test_an_unfinished_full_is_gone_on_with_until_it_closes(
    site: Site, days: int, *, resumed: bool
) -> None:
    """A first full may take many runs, also where the next one is due on the next day."""
    site.policy_change = ("method: incremental", "method: full")
    site.write(one="1")
    with pytest.raises(Crash):
        back_up(site.setting(Crashing(site.memory, at=10)), "crm", method=Method.FULL)
    unfinished = site.place().state().unfinished_generation
    assert unfinished is not None
    site.wait(days=days)
    assert back_up(site.setting(), "crm", method=Method.FULL).ok
    [point] = site.place().state().points
    assert (point.generation == unfinished.id) is resumed
