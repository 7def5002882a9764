"""Leases on a storage whose clock and order of events the tests hold."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import AlreadyRunning, LeaseLost, SourceGone, StorageUnreachable
from include.backup.storage.base import Folder
from include.backup.storage.local import LocalStorage
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.leases import TIME_TO_LIVE, Lease, holder
from include.backup.vault.owners import Owner, this_process
from tests.unit.vault.samples import HOUR, NOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.backup.storage.base import Storage

ELSEWHERE = Owner(name="another machine", boot="b", namespace="n", pid=1, started=1)
SECOND = timedelta(seconds=1)


class Clock:
    """The server's time."""

    now: datetime

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """What the server's clock shows."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands until a test moves it."""
    return Clock()


@pytest.fixture
def storage(clock: Clock) -> MemoryStorage:
    """The folder of a dataset."""
    return MemoryStorage(clock)


class Interrupted(Folder):
    """A storage on which something happens just before the next numbered file is saved."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage, "")
        self.before: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []

    def save(self, name: str, data: bytes, **more: object) -> None:
        """Let the others act; then save."""
        numbered = name.endswith(".json")
        if numbered and self.before:
            self.before.pop(0)()
        super().save(name, data, **more)
        if numbered and self.after:
            self.after.pop(0)()


def acquire(storage: Storage, kind: str = "full", *, owner: Owner = ELSEWHERE) -> Lease:
    """Take the lease as another machine would, so that only time shows whether it lives."""
    return Lease.acquire(storage, kind, owner=owner, now=NOW)


def numbers(storage: Storage, kind: str = "full") -> list[int]:
    """The numbers that are there; nothing else may be."""
    prefix = f"leases/{kind}/"
    names = [info.name.removeprefix(prefix) for info in storage.list(prefix)]
    return [int(name.removesuffix(".json")) for name in names]


def unreachable() -> None:
    """The connection breaks."""
    raise StorageUnreachable("nobody knows")


def test_one_holder_at_a_time(storage: MemoryStorage) -> None:
    """The second is told since when and by whom; a full and an incremental do not meet."""
    lease = acquire(storage)
    with pytest.raises(AlreadyRunning) as caught:
        acquire(storage)
    assert caught.value.message == (
        "already running since 2026-11-01 01:00:00 UTC (owner another machine)"
    )
    acquire(storage, "incremental").check()
    lease.check()


def test_released_lease_is_free_and_numbers_go_on(storage: MemoryStorage) -> None:
    """A number is never used again: that is what makes it a proof."""
    for _ in range(3):
        lease = acquire(storage)
        lease.check()
        assert holder(storage, "full") is not None
        lease.release()
        assert holder(storage, "full") is None
    assert numbers(storage) == [8, 9]
    with pytest.raises(LeaseLost, match="the full lease was released"):
        lease.check()
    lease.release()
    assert numbers(storage) == [8, 9]


def test_lease_is_taken_over_when_it_is_too_old(storage: MemoryStorage, clock: Clock) -> None:
    """By the server's time, and not a moment earlier; the old holder notices."""
    old = acquire(storage)
    clock.now += TIME_TO_LIVE
    with pytest.raises(AlreadyRunning):
        acquire(storage)
    clock.now += SECOND
    new = acquire(storage)
    for _ in range(2):
        with pytest.raises(LeaseLost, match="another run has taken over the full lease"):
            old.check()
    old.release()
    new.check()


def test_renewed_lease_does_not_grow_old(storage: MemoryStorage, clock: Clock) -> None:
    """Each check gives another time to live."""
    lease = acquire(storage)
    for _ in range(5):
        clock.now += TIME_TO_LIVE
        lease.check()
    with pytest.raises(AlreadyRunning):
        acquire(storage)


def test_holder_that_slept_and_was_not_missed_goes_on(storage: MemoryStorage, clock: Clock) -> None:
    """A lease is lost when it is taken over, not when it could have been."""
    lease = acquire(storage)
    clock.now += 5 * TIME_TO_LIVE
    lease.check()
    with pytest.raises(AlreadyRunning):
        acquire(storage)


def test_clock_set_back_frees_no_lease(storage: MemoryStorage, clock: Clock) -> None:
    """A file from the future counts as alive; after the holder's next renewal all is well."""
    lease = acquire(storage)
    clock.now -= 24 * HOUR
    with pytest.raises(AlreadyRunning):
        acquire(storage)
    lease.check()
    clock.now += TIME_TO_LIVE + SECOND
    acquire(storage)


def test_clock_set_forward_is_noticed_by_the_holder(storage: MemoryStorage, clock: Clock) -> None:
    """The lease may be taken from one who lives, but never held by two."""
    lease = acquire(storage)
    clock.now += 24 * HOUR
    acquire(storage)
    with pytest.raises(LeaseLost):
        lease.check()


def test_number_that_was_used_and_removed_wins_nothing(
    storage: MemoryStorage, clock: Clock
) -> None:
    """A process that slept between looking and creating finds its number free, and has lost."""
    acquire(storage).release()
    slow = Interrupted(storage)
    others: list[Lease] = []

    def while_it_sleeps() -> None:
        for _ in range(2):
            acquire(storage).release()
        others.append(acquire(storage))
        assert 3 not in numbers(storage)

    slow.before.append(while_it_sleeps)
    with pytest.raises(AlreadyRunning):
        acquire(slow)
    assert 3 not in numbers(storage)
    others[0].check()


def test_renewal_after_a_long_sleep_wins_nothing(storage: MemoryStorage, clock: Clock) -> None:
    """The same for a holder that slept in the middle of a renewal."""
    slow = Interrupted(storage)
    sleeper = acquire(slow)
    others: list[Lease] = []

    def while_it_sleeps() -> None:
        clock.now += TIME_TO_LIVE + SECOND
        for _ in range(2):
            acquire(storage).release()
        others.append(acquire(storage))
        assert 2 not in numbers(storage)

    slow.before.append(while_it_sleeps)
    with pytest.raises(LeaseLost):
        sleeper.check()
    assert 2 not in numbers(storage)
    others[0].check()


def test_renewal_is_refused_while_another_takes_over(storage: MemoryStorage, clock: Clock) -> None:
    """Both want the same number; whoever comes second has lost."""
    slow = Interrupted(storage)
    sleeper = acquire(slow)
    clock.now += TIME_TO_LIVE + SECOND
    slow.before.append(lambda: acquire(storage))
    with pytest.raises(LeaseLost):
        sleeper.check()
    # And the other way round: the holder wakes while somebody is about to take over.
    clock.now += TIME_TO_LIVE + SECOND
    taker = Interrupted(storage)
    holding = acquire(storage)
    clock.now += TIME_TO_LIVE + SECOND
    taker.before.append(holding.check)
    with pytest.raises(AlreadyRunning):
        acquire(taker)
    holding.check()


def test_lost_answer_to_a_renewal_is_no_loss(storage: MemoryStorage) -> None:
    """The number is found to be ours; and because it may be old by then, renewed once more."""
    faulty = Interrupted(storage)
    lease = acquire(faulty)
    faulty.after.append(unreachable)
    lease.check()
    assert numbers(storage) == [2, 3]
    lease.check()


def test_renewal_that_did_not_happen_is_said_and_can_be_repeated(storage: MemoryStorage) -> None:
    """Nobody can say whose the lease is until the vault answers again."""
    faulty = Interrupted(storage)
    lease = acquire(faulty)
    faulty.before.append(unreachable)
    with pytest.raises(StorageUnreachable):
        lease.check()
    lease.check()
    assert numbers(storage) == [1, 2]


def test_lost_answer_to_an_acquisition_is_no_loss(storage: MemoryStorage) -> None:
    """Else the lease would have to be waited for by the one who has it."""
    faulty = Interrupted(storage)
    faulty.after.append(unreachable)
    acquire(faulty).check()


def test_unreadable_lease_is_waited_for(storage: MemoryStorage, clock: Clock) -> None:
    """Nonsense in the file frees nothing; its age does."""
    acquire(storage)
    storage.damage("leases/full/0000000001.json", b"nonsense")
    with pytest.raises(AlreadyRunning, match="or earlier \\(owner unknown\\)"):
        acquire(storage)
    clock.now += TIME_TO_LIVE + SECOND
    acquire(storage).check()


def test_files_do_not_pile_up(storage: MemoryStorage, clock: Clock) -> None:
    """Two numbers stay, and probes of processes that died go."""
    storage.save("leases/full/probe-dead", b"")
    clock.now += 2 * HOUR
    lease = acquire(storage)
    for _ in range(10):
        lease.check()
    assert numbers(storage) == [10, 11]


def test_writer_that_may_not_delete_can_still_hold(storage: MemoryStorage) -> None:
    """Files too many do no harm."""
    with storage.refusing("leases/", ["delete"]):
        lease = acquire(storage)
        lease.check()
        lease.check()
        with pytest.raises(AlreadyRunning):
            acquire(storage)
    lease.check()


def test_dead_process_of_this_machine_need_not_be_waited_for(storage: MemoryStorage) -> None:
    """A pid that is gone, or was given to another since, frees the lease at once."""
    here = this_process("here")
    acquire(storage, owner=here)
    with pytest.raises(AlreadyRunning):
        acquire(storage)
    for dead in (
        Owner(name="x", boot=here.boot, namespace=here.namespace, pid=2**22 + 1, started=5),
        Owner(name="x", boot=here.boot, namespace=here.namespace, pid=here.pid, started=5),
    ):
        assert dead.is_dead()
        kind = "incremental"
        acquire(storage, kind, owner=dead)
        acquire(storage, kind, owner=here).release()


@pytest.mark.parametrize("unknown", ["boot", "namespace", "pid", "started"])
def test_process_of_which_nobody_can_tell_counts_as_alive(unknown: str) -> None:
    """Another boot, another container, or no /proc: only time shows."""
    here = this_process("here")
    dead = {"boot": here.boot, "namespace": here.namespace, "pid": 2**22 + 1, "started": 5}
    assert Owner(name="x", **dead).is_dead()
    empty = type(dead[unknown])()
    assert not Owner(name="x", **(dead | {unknown: empty})).is_dead()
    assert not Owner(name="x", **(dead | {"boot": "another"})).is_dead()
    assert not Owner(name="x", **(dead | {"namespace": "another"})).is_dead()
    assert not here.is_dead()


def test_of_many_that_race_one_wins(tmp_path: Path) -> None:
    """Eight at the same moment, on a new lease and on a released one."""
    barrier = threading.Barrier(8)

    def race(_: int) -> Lease | None:
        barrier.wait()
        try:
            return acquire(LocalStorage(tmp_path))
        except AlreadyRunning:
            return None

    with ThreadPoolExecutor(8) as pool:
        for _ in range(15):
            [winner] = [lease for lease in pool.map(race, range(8)) if lease is not None]
            winner.check()
            winner.release()


def test_lease_keeps_itself_alive_and_is_released_at_the_end() -> None:
    """Also through an outage of the vault that is shorter than its time to live."""
    storage = Interrupted(MemoryStorage(lambda: datetime.fromtimestamp(time.time(), UTC)))
    short = timedelta(seconds=0.5)

    def another() -> Lease:
        return Lease.acquire(storage, "full", owner=ELSEWHERE, now=NOW, time_to_live=short)

    lease = Lease.acquire(
        storage,
        "full",
        owner=ELSEWHERE,
        now=NOW,
        time_to_live=short,
        renew_every=timedelta(seconds=0.05),
    )
    with lease:
        storage.before += [unreachable, unreachable]
        for _ in range(6):
            time.sleep(0.2)
            with pytest.raises(AlreadyRunning):
                another()
        lease.check()
    another().release()


def test_end_of_a_lease_hides_no_error(storage: MemoryStorage) -> None:
    """If the vault is gone when the lease is released, what went wrong before is what is said."""
    faulty = Interrupted(storage)
    lease = acquire(faulty)
    faulty.before += [unreachable] * 9
    trouble = SourceGone("the real trouble")
    with pytest.raises(SourceGone, match="the real trouble"), lease:
        raise trouble
    faulty.before.clear()
    lease.check()


def test_keeping_alive_ends_when_the_lease_is_lost(storage: MemoryStorage, clock: Clock) -> None:
    """The thread stops, the other holder is not disturbed, and the work learns it by asking."""
    lease = Lease.acquire(
        storage, "full", owner=ELSEWHERE, now=NOW, renew_every=timedelta(seconds=0.05)
    )
    clock.now += TIME_TO_LIVE + SECOND
    other = acquire(storage)
    with lease:
        time.sleep(0.2)
        assert not any(thread.name == "lease full" for thread in threading.enumerate())
        with pytest.raises(LeaseLost):
            lease.check()
    other.check()
