"""What has expired goes, and nothing else ever does, whatever dies on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions import check as check_module
from include.backup.actions import expire as expire_module
from include.backup.actions import generation as generation_module
from include.backup.actions.acts import Act, lock_owner
from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.expire import expire, plan_of
from include.backup.actions.hold import add_hold, lift_hold, resolve
from include.backup.actions.kept import standing
from include.backup.actions.open_acts import EXPIRE, RESTORE
from include.backup.actions.outcome import sentence_of
from include.backup.actions.shorten import shorten
from include.backup.actions.two_people import TwoPeople
from include.backup.errors import AccessRefused, ClockWrong, ConfigurationInvalid
from include.backup.policy.model import Method
from include.backup.policy.objectives import Verdict
from include.backup.repository import lock
from include.backup.vault.fold import BACK_UP
from include.backup.vault.generations import GenerationState
from include.backup.vault.leases import Lease
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = timedelta(days=1)
LOCKED = "s3://memory/vault', connection: 'none', object_lock: 'compliance"
TWO = TwoPeople(reason="a lawsuit", requested_by="legal", approved_by="cto")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait for the locks of others."""
    monkeypatch.setattr(lock, "_SETTLE_SECONDS", 0.0)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One dataset of class critical: 30 days."""
    return Site(tmp_path)


def back_up_daily(site: Site, days: int, *, method: Method = Method.INCREMENTAL) -> None:
    """A recovery point a day, each with a file of its own; the first by a method."""
    for day in range(days):
        site.write(**{f"day{site.now:%Y%m%d}": f"of {site.now}"})
        own = method if day == 0 else Method.INCREMENTAL
        outcome = back_up(site.setting(), "crm", method=own)
        assert outcome.kind == "recovery-point", outcome.sentence
        site.wait(days=1)


def a_point_leaves(site: Site) -> None:
    """The two oldest of five points have expired; their generation stays."""
    back_up_daily(site, 5)
    site.wait(days=26)


def a_generation_dies(site: Site) -> None:
    """An old generation of three points has expired, a new one has three."""
    back_up_daily(site, 3)
    site.wait(days=40)
    back_up_daily(site, 3, method=Method.FULL)


SCENES = (a_point_leaves, a_generation_dies)


def snapshots(site: Site) -> set[str]:
    """The snapshots that lie in the vault."""
    return {
        info.name.rsplit("/", 1)[1] for info in site.memory.list() if "/snapshots/" in info.name
    }


def generations(site: Site) -> set[str]:
    """The generations of which anything lies in the vault, envelopes included."""
    names = [info.name.split("/") for info in site.memory.list("datasets/crm/")]
    return {parts[3] for parts in names if parts[2] in {"generations", "keys"}}


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


def test_a_hold_keeps_everything_until_it_is_lifted(site: Site) -> None:
    """All of a dataset, or one recovery point; two people stand behind it."""
    a_generation_dies(site)
    everything = snapshots(site)
    hold = add_hold(site.setting(), "crm", TWO).details["hold"]
    outcome, _ = expire(site.setting(), "crm")
    assert snapshots(site) == everything
    assert "on hold: a lawsuit" in outcome.sentence
    with pytest.raises(ConfigurationInvalid, match="has no hold"):
        lift_hold(site.setting(), "crm", "other", TWO)
    lift_hold(site.setting(), "crm", hold, TWO)
    oldest = site.place().state().points[0].snapshot
    add_hold(site.setting(), "crm", TWO, points=[oldest[:8]])
    expire(site.setting(), "crm")
    assert oldest in snapshots(site)
    assert len(snapshots(site)) == 4
    assert site.restored(oldest)


def test_a_hold_needs_two_people(site: Site) -> None:
    """Who asks for it does not approve it."""
    back_up_daily(site, 1)
    alone = TwoPeople(reason="x", requested_by="anna", approved_by="Anna")
    with pytest.raises(ConfigurationInvalid, match="four eyes"):
        add_hold(site.setting(), "crm", alone)


def test_a_hold_that_comes_meanwhile_is_stronger(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was planned before is refused by the ledger itself."""
    a_point_leaves(site)
    before = snapshots(site)
    from include.backup.actions import expire as module  # noqa: PLC0415

    planned = module.plan_expiry

    def plan(*args: object) -> object:
        made = planned(*args)  # type: ignore[arg-type]
        add_hold(site.setting(), "crm", TWO)
        return made

    monkeypatch.setattr(module, "plan_expiry", plan)
    outcome, _ = expire(site.setting(), "crm")
    assert "they are on hold: a lawsuit" in outcome.sentence
    assert snapshots(site) == before


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


def test_a_wrong_clock_expires_nothing(site: Site) -> None:
    """Where the store has a clock of its own."""
    a_point_leaves(site)
    everything = snapshots(site)
    setting = site.setting()
    object.__setattr__(setting, "clock", lambda: site.clock() + 300 * DAY)
    with pytest.raises(ClockWrong, match="the clock of this machine and that of"):
        expire(setting, "crm")
    assert snapshots(site) == everything


def test_a_wrong_clock_locks_nothing(site: Site) -> None:
    """In compliance mode nobody could take the dates back."""
    site.vault_url = LOCKED
    back_up_daily(site, 1)
    setting = site.setting()
    object.__setattr__(setting, "clock", lambda: site.clock() + 3650 * DAY)
    with pytest.raises(ClockWrong, match="hint: nothing expires, and nothing is locked"):
        back_up(setting, "crm", method=Method.FULL)
    assert len(generations(site)) == 1


def test_a_hold_is_kept_by_the_store_as_well(site: Site) -> None:
    """Nobody deletes what it covers, whatever lock dates say; what it does not cover goes."""
    site.vault_url = LOCKED
    back_up_daily(site, 4)
    oldest, *_ = site.place().state().points
    hold = add_hold(site.setting(), "crm", TWO, points=[oldest.snapshot]).details["hold"]
    site.wait(days=200)
    held = [info.name for info in site.memory.list() if is_held(site, info.name)]
    assert any(name.endswith(oldest.snapshot) for name in held)
    assert any("/data/" in name for name in held)
    assert any("/keys/" in name for name in held)
    outcome, plan = expire(site.setting(), "crm")
    assert outcome.details["expired"] == 1
    assert oldest.snapshot in {one.snapshot for one in plan.kept}
    lift_hold(site.setting(), "crm", hold, TWO)
    assert not any(is_held(site, info.name) for info in site.memory.list())
    outcome, _ = expire(site.setting(), "crm")
    assert "not yet gone: recovery points of" in outcome.sentence
    assert "is locked until" in outcome.sentence
    assert standing(site.setting(), "crm").verdict is Verdict.KEPT
    site.wait(days=14)
    expire(site.setting(), "crm")
    assert oldest.snapshot not in snapshots(site)


def is_held(site: Site, name: str) -> bool:
    """Whether the store has a file on hold."""
    return site.memory._file(name).on_hold


def test_a_shorter_retention_needs_two_people(site: Site) -> None:
    """By itself it shortens nothing that was promised; on their word it does."""
    back_up_daily(site, 5)
    site.policy_change = ("retention: 30 days", "retention: 10 days")
    site.wait(days=9)
    expire(site.setting(), "crm")
    assert len(snapshots(site)) == 5
    outcome = shorten(site.setting(), "crm", TWO)
    assert "5 recovery points that were promised more are kept for 10 days now" in outcome.sentence
    expire(site.setting(), "crm")
    assert len(snapshots(site)) == 2
    with pytest.raises(ConfigurationInvalid, match="was promised more"):
        shorten(site.setting(), "crm", TWO)
    site.place().ledger.verify()


def test_points_of_the_future_stay(site: Site) -> None:
    """Some clock was wrong; nobody knows how old they are."""
    site.wait(days=400)
    back_up_daily(site, 2)
    site.now -= 400 * DAY
    back_up_daily(site, 3)
    outcome, plan = expire(site.setting(), "crm")
    assert outcome.sentence.startswith("AT RISK 3.2")
    assert "2 recovery points dated in the future" in outcome.sentence
    assert len(plan.kept) == 5


def test_a_clock_that_jumps_is_doubted_once(tmp_path: Path) -> None:
    """In a directory there is no other clock to ask; the next daily run goes on."""
    site = Site(tmp_path)
    site.vault_url = "file:///nowhere/vault"
    back_up_daily(site, 5)
    site.wait(days=300)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.sentence.startswith("AT RISK 3.2")
    assert "a clock has jumped" in outcome.sentence
    assert len(snapshots(site)) == 5
    expire(site.setting(), "crm")  # a retry does not help
    assert len(snapshots(site)) == 5
    site.wait(days=1)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.sentence.startswith("KEPT 3.2")
    assert len(snapshots(site)) == 2


def test_two_runs_at_once(site: Site) -> None:
    """The second says who is at it, and touches nothing."""
    a_point_leaves(site)
    before = snapshots(site)
    place = site.place()
    act = Act(place, EXPIRE)
    with Lease.acquire(place.folder, EXPIRE, owner=act.owner, now=act.now()):
        outcome, _ = expire(site.setting(), "crm")
    assert outcome.kind == "refused"
    assert "is being removed: already running since" in outcome.sentence
    assert snapshots(site) == before
    expire(site.setting(), "crm")
    assert snapshots(site) != before


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


def test_a_check_beside_an_expiry_condemns_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points leave while it reads, for it takes longer than a day: they are not damage."""
    back_up_daily(site, 5)
    site.wait(days=26)
    packs = check_module.check_packs

    def meanwhile(*args: object) -> object:
        site.wait(days=2)
        expire(site.setting(), "crm")
        return packs(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(check_module, "check_packs", meanwhile)
    _, damages = check(site.setting(), "crm", reading=Reading.ALL)
    assert damages == []
    assert len(snapshots(site)) == 2
    assert not any(one.damaged for one in site.place().state().generations)


def test_an_incremental_beside_an_expiry_condemns_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan knows points that have left meanwhile; nor does it adopt them."""
    a_point_leaves(site)
    require = generation_module.require_packs

    def meanwhile(*args: object) -> None:
        expire(site.setting(), "crm")
        require(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(generation_module, "require_packs", meanwhile)
    outcome = back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert outcome.kind == "recovery-point", outcome.sentence
    state = site.place().state()
    assert len(state.points) == 4
    assert {point.snapshot for point in state.points} == snapshots(site)


def test_whoever_reads_finds_it_to_the_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that begins after the plan is stronger than the plan."""
    a_generation_dies(site)
    before = snapshots(site)
    planned = expire_module.plan_expiry

    def plan(*args: object) -> object:
        made = planned(*args)  # type: ignore[arg-type]
        Act(site.place(), RESTORE).begin()
        return made

    monkeypatch.setattr(expire_module, "plan_expiry", plan)
    outcome, _ = expire(site.setting(), "crm")
    assert "somebody is reading since" in outcome.sentence
    assert snapshots(site) == before
    site.wait(hours=6)
    assert set(site.place().state().left) == before - planned_kept(site)
    assert standing(site.setting(), "crm").verdict is Verdict.BROKEN
    monkeypatch.undo()
    site.wait(days=2)
    expire(site.setting(), "crm")
    assert snapshots(site) < before
    assert standing(site.setting(), "crm").verdict is Verdict.KEPT


def planned_kept(site: Site) -> set[str]:
    """The snapshots that a plan keeps now."""
    return {one.snapshot for one in plan_of(site.setting(), "crm")[1].kept}


def test_what_a_crash_leaves_to_be_adopted_is_doubted_as_well(site: Site) -> None:
    """The recovery point of a dataset that has shrunk, saved, and not yet recorded."""
    site.write(**{f"file{number}": "x" * 100 for number in range(30)})
    back_up_daily(site, 2)
    for number in range(2, 30):
        (site.data / f"file{number}").unlink()
    counting = Crashing(site.memory)
    rewind = site.rewinding()
    back_up(site.setting(counting), "crm", method=Method.INCREMENTAL)
    at = next(n for n, change in enumerate(counting.changes, 1) if "/snapshots/" in change)
    rewind()
    with pytest.raises(Crash):
        back_up(
            site.setting(Crashing(site.memory, at=at, after=True)),
            "crm",
            method=Method.INCREMENTAL,
        )
    site.wait(minutes=31)
    back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    [doubt, *_] = site.place().state().suspicions
    assert "entries are left of" in doubt.reason


def test_a_locked_vault_does_not_hide_a_missing_right(site: Site) -> None:
    """Only what a lock keeps is no error."""
    site.vault_url = LOCKED
    a_point_leaves(site)
    crashing = Refusing(site.memory, error=AccessRefused("no right to delete"))
    with pytest.raises(AccessRefused) as caught:
        expire(site.setting(crashing), "crm")
    assert sentence_of(caught.value, "").startswith("AT RISK 3.2")


def test_a_hold_that_a_crash_has_left_on_files_keeps_nothing(site: Site) -> None:
    """The ledger knows of none: what has to go goes."""
    site.vault_url = LOCKED
    a_point_leaves(site)
    counting = Crashing(site.memory)
    rewind = site.rewinding()
    add_hold(site.setting(counting), "crm", TWO)
    last = max(n for n, change in enumerate(counting.changes, 1) if change.startswith("hold"))
    rewind()
    with pytest.raises(Crash):
        add_hold(site.setting(Crashing(site.memory, at=last, after=True)), "crm", TWO)
    assert site.place().state().holds == ()
    assert any(is_held(site, info.name) for info in site.memory.list())
    site.wait(days=1)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.details["expired"] >= 2, outcome.sentence


def test_a_clock_that_is_put_right_again_is_believed(tmp_path: Path) -> None:
    """What it had said meanwhile holds nothing up."""
    site = Site(tmp_path)
    site.vault_url = "file:///nowhere/vault"
    back_up_daily(site, 5)
    site.wait(days=300)
    expire(site.setting(), "crm")  # doubted
    site.now -= 300 * DAY
    site.wait(days=26)
    outcome, _ = expire(site.setting(), "crm")
    assert outcome.details["expired"] == 2, outcome.sentence


def test_what_a_zombie_writes_into_a_dead_generation_goes(site: Site) -> None:
    """The next run finds it."""
    a_generation_dies(site)
    old, new = [one.id for one in site.place().state().generations]
    expire(site.setting(), "crm")
    site.memory.save(f"datasets/crm/generations/{old}/data/ab/{'ab' * 32}", b"late")
    assert generations(site) == {old, new}
    expire(site.setting(), "crm")
    assert generations(site) == {new}


def test_a_lock_that_a_dead_act_has_left_goes(site: Site) -> None:
    """Nobody adds to its generation any more; the locks of others, and of who works, stay."""
    back_up_daily(site, 1)
    back_up_daily(site, 1, method=Method.FULL)
    place = site.place()
    older = place.repository(place.state().generations[0])

    def left_by(owner: str) -> str:
        return lock.RepositoryLock(older, owner=owner, clock=site.clock)._save()

    working = Act(place, BACK_UP, method=Method.INCREMENTAL)
    with Lease.acquire(place.folder, Method.INCREMENTAL, owner=working.owner, now=working.now()):
        working.begin()
        left_by(lock_owner(place, "dead"))
        others = {left_by("laptop"), left_by(working.lock_owner)}
        expire(site.setting(), "crm")
    assert {name for name, _ in lock.locks(older)} == others


def test_an_interrupted_expiry_is_told_as_one(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What it had begun is gone on with."""
    a_generation_dies(site)
    with pytest.raises(Crash):
        expire(site.setting(Crashing(site.memory, at=6)), "crm")
    site.wait(minutes=31)
    expire(site.setting(), "crm")
    assert "the expiry begun" in caplog.text
    assert "goes on with what it had begun, and removes nothing else" in caplog.text


def test_a_class_of_fulls_closes_by_its_own_frequency(site: Site) -> None:
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
