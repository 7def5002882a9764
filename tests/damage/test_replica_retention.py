"""Locks, holds, rotations and erasures reach a copy, by record and never by absence."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions import replicate as replicate_module
from include.backup.actions.back_up import back_up
from include.backup.actions.erase import erase
from include.backup.actions.expire import expire
from include.backup.actions.hold import add_hold, lift_hold
from include.backup.actions.leaving import remove_departed
from include.backup.actions.replica import News, Pair
from include.backup.actions.replicate import replicate
from include.backup.actions.rotate_key import rotate_key
from include.backup.errors import ClockWrong, DamageFound, FileHeld
from include.backup.policy.model import Method
from include.backup.vault.keyring import LocalKey
from tests.damage.expiring import TWO, back_up_daily
from tests.damage.replicas import files, site
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["site"]


def test_expiry_follows_verdicts_and_never_absence(site: Site) -> None:
    """A home that loses its snapshots takes none of the copy's; a verdict does."""
    back_up_daily(site, 5)
    replicate(site.setting(), "crm", "second")
    before = files(site.second)
    for name in [info.name for info in site.memory.list() if "/snapshots/" in info.name]:
        site.memory.delete([name])
    outcome = replicate(site.setting(), "crm", "second")
    assert {name for name in before if name not in files(site.second)} == set()
    assert outcome.ok
    site.wait(days=26)
    with pytest.raises(DamageFound):
        back_up(site.setting(), "crm", method=Method.INCREMENTAL)
    assert site.restored(replica="second") == site.content()


def test_a_replica_that_locks(site: Site) -> None:
    """What has expired, and its own lock keeps, is told, tried again, and goes at last."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 5)
    replicate(site.setting(), "crm", "second")
    hold = add_hold(site.setting(), "crm", TWO).details["hold"]
    replicate(site.setting(), "crm", "second")
    snapshot = next(info.name for info in site.second.list() if "/snapshots/" in info.name)
    with pytest.raises(FileHeld):
        site.second.delete([snapshot])
    site.wait(days=27)
    replicate(site.setting(), "crm", "second")  # what is on hold is locked for longer
    lift_hold(site.setting(), "crm", hold, TWO)
    expire(site.setting(), "crm")
    outcome = replicate(site.setting(), "crm", "second")
    assert "not yet gone: recovery points of" in outcome.sentence
    assert "is locked until" in outcome.sentence
    before = len(list(site.second.list("datasets/crm/")))
    site.wait(days=15)
    expire(site.setting(), "crm")
    outcome = replicate(site.setting(), "crm", "second")
    assert "not yet gone" not in outcome.sentence
    assert len(list(site.second.list("datasets/crm/"))) < before + 10
    assert files(site.second) == files(site.memory)


def test_a_rotation_reaches_the_replica(site: Site) -> None:
    """It opens with the new key, and with no former one."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    old = LocalKey.of_text(site.keys["backup_master_key"])
    site.keys["backup_master_key"] = base64.b64encode(b"n" * 32).decode()
    rotate_key(site.setting(), "crm", old)
    replicate(site.setting(), "crm", "second")
    assert files(site.second) == files(site.memory)
    assert site.restored(replica="second") == site.content()


def test_what_is_erased_is_erased_in_every_copy(site: Site) -> None:
    """Its key first; the record of the replication says so."""
    back_up_daily(site, 2)
    replicate(site.setting(), "crm", "second")
    erase(site.setting(), "crm", TWO)
    outcome = replicate(site.setting(), "crm", "second")
    assert len(outcome.details["generations"]) == 1
    assert [name for name in files(site.second) if "/keys/" in name or "/data/" in name] == []


def held_files(site: Site) -> int:
    """Files of the copy under a legal hold."""
    names = [info.name for info in site.second.list("datasets/crm/generations/")]
    return sum(site.second._file(name).on_hold for name in names)


def test_a_hold_reaches_the_copy_whenever_it_comes(site: Site) -> None:
    """While it is copied; and what is copied anew gets it as well."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 2)
    lock_of = replicate_module.lock_replica

    def meanwhile(*arguments: Any) -> Any:
        add_hold(site.setting(), "crm", TWO)
        return lock_of(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicate_module, "lock_replica", meanwhile)
        replicate(site.setting(), "crm", "second")
    assert held_files(site) == 0
    replicate(site.setting(), "crm", "second")
    assert held_files(site) > 5
    before = held_files(site)
    site.second._names.clear()
    replicate(site.setting(), "crm", "second")
    assert held_files(site) == before


def test_the_end_of_one_hold_leaves_the_others_on_the_packs(site: Site) -> None:
    """Two points of a generation on hold; one is freed, and leaves alone."""
    site.second_options = ", object_lock: 'governance'"
    back_up_daily(site, 5)
    first, second = (point.snapshot for point in site.place().state().points[:2])
    add_hold(site.setting(), "crm", TWO, points=[second])
    hold = add_hold(site.setting(), "crm", TWO, points=[first]).details["hold"]
    replicate(site.setting(), "crm", "second")
    packs = [info.name for info in site.second.list() if "/data/" in info.name]
    lift_hold(site.setting(), "crm", hold, TWO)
    for _ in range(3):
        site.wait(days=16)
        expire(site.setting(), "crm")
        replicate(site.setting(), "crm", "second")
    names = {info.name.rpartition("/")[2] for info in site.second.list()}
    assert first not in names
    assert second in names
    assert all(site.second._file(name).on_hold for name in packs)


def test_whatever_is_copied_is_locked_as_long_as_it_must(site: Site) -> None:
    """Snapshots until they expire, records as evidence; a longer retention reaches both."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 2)
    dying = Crashing(site.memory, at=20)
    there = Crashing(site.second, at=20, beside=dying)
    with pytest.raises(Crash):
        replicate(site.setting(dying, there), "crm", "second")
    site.wait(minutes=31)
    site.policy_change = ("retention: 30 days", "retention: 45 days")
    replicate(site.setting(), "crm", "second")
    expire(site.setting(), "crm")
    replicate(site.setting(), "crm", "second")
    state = site.place().state()
    kept = {point.snapshot: point.expires_at for point in state.points}
    assert {date - point.taken_at for point, date in zip(state.points, kept.values(), strict=True)
            } == {timedelta(days=45)}  # fmt: skip
    last = state.generations[0].closes_at + timedelta(days=45)
    for info in site.second.list("datasets/crm/"):
        until = site.second.locked_until(info.name)
        if any(part in info.name for part in ("/leases/", "/locks/", "/replica.json")):
            assert until is None
            continue
        assert until is not None, info.name
        if "/snapshots/" in info.name:
            assert until == kept[info.name[-64:]], info.name
        elif "/ledger/" in info.name:
            assert until > site.now + timedelta(days=1000)
        else:
            assert until >= last, info.name


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_a_longer_retention_reaches_the_locks_after_any_run(site: Site, runs: int) -> None:
    """The dates that a replica's locks have are known from run to run."""
    site.second_options = ", object_lock: 'compliance'"
    for _ in range(runs):
        back_up_daily(site, 1)
        replicate(site.setting(), "crm", "second")
    [known] = site.place().state().replicas
    assert len(known.locked_until) == 1
    site.policy_change = ("retention: 30 days", "retention: 45 days")
    site.wait(days=29)
    expire(site.setting(), "crm")
    replicate(site.setting(), "crm", "second")
    kept = max(point.expires_at for point in site.place().state().points)
    for info in site.second.list("datasets/crm/"):
        if "/keys/" in info.name or "/data/" in info.name or "/index/" in info.name:
            until = site.second.locked_until(info.name)
            assert until is not None
            assert until >= kept
    for point in site.place().state().points:
        [name] = [one.name for one in site.second.list() if one.name.endswith(point.snapshot)]
        assert site.second.locked_until(name) == point.expires_at


def test_what_was_on_hold_and_dies_whole_goes_from_the_copy(site: Site) -> None:
    """The hold was lifted: what it left on snapshots of the copy keeps no dead generation."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 3)
    replicate(site.setting(), "crm", "second")
    old = site.place().state().generations[0].id
    hold = add_hold(site.setting(), "crm", TWO).details["hold"]
    replicate(site.setting(), "crm", "second")
    lift_hold(site.setting(), "crm", hold, TWO)
    site.wait(days=100)
    back_up_daily(site, 3, method=Method.FULL)
    for _ in range(2):
        expire(site.setting(), "crm")
        outcome = replicate(site.setting(), "crm", "second")
        site.wait(days=15)
    assert "not yet gone" not in outcome.sentence
    assert not [info for info in site.second.list() if old in info.name]


def test_a_snapshot_is_locked_by_its_first_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a later one: between the two somebody could delete it."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 1)
    point = site.place().state().points[0]
    saved: dict[str, datetime | None] = {}
    save = site.second.save

    def noted(name: str, data: bytes, **more: Any) -> None:
        saved[name] = more.get("locked_until")
        save(name, data, **more)

    monkeypatch.setattr(site.second, "save", noted)
    replicate(site.setting(), "crm", "second")
    [until] = [date for name, date in saved.items() if f"/snapshots/{point.snapshot}" in name]
    assert until == point.expires_at


def test_a_record_that_is_older_than_its_lock_is_copied(site: Site) -> None:
    """A store refuses lock dates of the past: a copy begun after years would never be made."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 1)
    old = len(list(site.place().ledger.read()))
    site.wait(days=1)
    setting = site.setting()
    brief = replace(setting, policy=replace(setting.policy, evidence_retention=timedelta(hours=1)))
    replicate(brief, "crm", "second")
    dates = [
        site.second.locked_until(info.name) for info in site.second.list("datasets/crm/ledger/")
    ]
    assert dates[:old] == [None] * old
    assert all(date is not None and date > site.now for date in dates[old:])
    assert dates[old:]


def test_a_wrong_clock_locks_nothing_in_a_copy(site: Site) -> None:
    """In compliance nobody could take it back."""
    site.second_options = ", object_lock: 'compliance'"
    back_up_daily(site, 1)
    setting = site.setting()
    object.__setattr__(setting, "clock", lambda: site.clock() + timedelta(days=3650))
    with pytest.raises(ClockWrong):
        replicate(setting, "crm", "second")
    assert not [info.name for info in site.second.list() if "/generations/" in info.name]


def test_a_former_envelope_goes_only_when_the_new_one_is_there(site: Site) -> None:
    """A run between the two would leave a copy that nobody opens."""
    back_up_daily(site, 1)
    replicate(site.setting(), "crm", "second")
    pair = Pair.of(site.place(), "second")
    state = site.place().state()
    generation = replace(state.generations[0], key="ab" * 8)  # the ledger names another one
    other = replace(state, generations=(generation,))
    site.memory.delete([next(i.name for i in site.memory.list("datasets/crm/keys/"))])
    before = files(site.second)
    remove_departed(pair, other, News(), go_on=lambda: None)
    assert files(site.second) == before
