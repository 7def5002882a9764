"""Taking one recovery point.

    lease → records begun (and opened) → envelope, key, config → packs → indexes
          → read-back of a sample → lease again → snapshot → record recovery-point

What a crash between any two of these leaves behind, and who tidies it, is the crash table in
DESIGN.md. This module chooses what to do and holds the lease; `generation` opens the repository,
`take` fills it and commits.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from include.backup.actions import rescuing
from include.backup.actions.acts import Act
from include.backup.actions.clocks import require_clock
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.generation import bytes_found, is_half_made, open_new, resume
from include.backup.actions.outcome import attach_outcome
from include.backup.actions.plan import Plan, plan
from include.backup.actions.take import Taking
from include.backup.errors import AlreadyRunning, BackupError
from include.backup.evidence import sentences
from include.backup.evidence.kinds import Kind
from include.backup.format.chunker import require_compiled_chunker
from include.backup.repository.lock import RepositoryLock
from include.backup.repository.progress import Progress
from include.backup.vault import bodies
from include.backup.vault.fold import BACK_UP
from include.backup.vault.leases import Lease

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.policy.model import Method
    from include.backup.repository.repository import Repository
    from include.backup.vault.generations import Generation
    from include.backup.vault.state import DatasetState

log = logging.getLogger(__name__)

_MOST_PLANS: Final = 4  # what is found may change the plan: a snapshot to adopt, another's full


def back_up(
    setting: Setting,
    name: str,
    *,
    method: Method,
    slot: datetime | None = None,
    deadline: datetime | None = None,
    progress: Progress | None = None,
    new_key: bool = False,
) -> Outcome:
    """Take one recovery point of a dataset, unless another run is doing so.

    Args:
        method: what is asked for; an incremental without a generation to add to becomes a full.
        slot: what the schedule wants completed; None when a person asks.
        deadline: no work is done after it.
        progress: counts what is read and stored.
        new_key: whether a new generation may have another master key than the newest.

    Raises:
        BackupError: no recovery point was made. The failure is recorded; see
            `attached_outcome`.
    """
    require_compiled_chunker()
    place = DatasetVault.open(setting, name)
    backup = _Backup(place, method, slot, deadline, progress or Progress(), new_key=new_key)
    try:
        try:
            return backup.run()
        except AlreadyRunning as running:
            return backup.refused(running)
    except BaseException as error:
        attach_outcome(error, backup.failed(error))
        raise


class _Backup:
    """One attempt to take a recovery point."""

    def __init__(
        self,
        place: DatasetVault,
        method: Method,
        slot: datetime | None,
        deadline: datetime | None,
        progress: Progress,
        *,
        new_key: bool,
    ) -> None:
        self.new_key = new_key
        self.place = place
        self.method = method
        self.slot = slot
        self.deadline = deadline
        self.progress = progress
        self.act = Act(place, BACK_UP, method=method, slot=slot)
        self._failure: Outcome | None = None

    def run(self) -> Outcome:
        """Plan, hold the lease that the plan needs, follow the plan; until one works out."""
        self.place.require_history()
        for _ in range(_MOST_PLANS):
            wanted = self._plan(self.place.state()).method
            with Lease.acquire(
                self.place.folder, str(wanted), owner=self.act.owner, now=self.act.now()
            ) as lease:
                try:
                    if (outcome := self._run_under(lease, wanted)) is not None:
                        return outcome
                except AlreadyRunning:
                    raise
                except BaseException as error:
                    self.failed(error)  # while the lease is held: nobody calls us dead meanwhile
                    raise
        raise AlreadyRunning(
            "the generations of this dataset keep changing",
            hint="other runs are ending just now; try again",
        )

    def refused(self, running: AlreadyRunning) -> Outcome:
        """Record that another run holds the lease."""

        def say(state: DatasetState) -> str:
            now = self.act.now()
            return sentences.already_running(
                self.place.subject,
                verdict=self.place.judgement(state, now).verdict,
                method=str(self.method),
                holder=running.message,
                copies=self.place.copies(state, now),
            )

        body = {"reason": running.message}
        return self.act.end(Kind.REFUSED, body, say=say, what=running.message)

    def failed(self, error: BaseException) -> Outcome:
        """Record the failure, once."""
        if self._failure is None:
            if not isinstance(error, BackupError | KeyboardInterrupt):
                log.error("%s: unexpected failure", self.place.subject, exc_info=error)
            self._failure = self.act.fail(error)
        return self._failure

    def _plan(self, state: DatasetState) -> Plan:
        return plan(
            state,
            method=self.method,
            slot=self.slot,
            now=self.act.now(),
            complete_within=self.place.data_class.complete_within,
        )

    def _run_under(self, lease: Lease, held: Method) -> Outcome | None:
        """Work under a lease; None when the state calls for the other one."""
        self.act.method = held
        state = self.act.begin(held=held)
        if self.place.vault.object_lock:
            require_clock(self.place, str(held), self.act.now())
        for _ in range(_MOST_PLANS):
            chosen = self._plan(state)
            if chosen.done_slot is not None:
                return self._nothing_due(chosen.done_slot)
            if chosen.method is not held:
                return None
            if (outcome := self._follow(chosen, lease)) is not None:
                return outcome
            state = self.place.state()
        return None

    def _follow(self, chosen: Plan, lease: Lease) -> Outcome | None:
        """Follow a plan; None when what was found calls for another."""
        remarks = [chosen.remark] if chosen.remark else []
        if chosen.abandon is not None:
            self._abandon(chosen.abandon)
        generation = chosen.generation
        if generation is None:
            return self._take(chosen, lease, remarks, *open_new(self.act, new_key=self.new_key))
        if not generation.points and is_half_made(self.place, generation):
            self._abandon(generation)
            return None
        with self.act.noting_damage(generation.id):
            repository = self.place.repository(generation)
        return self._take(chosen, lease, remarks, generation, repository)

    def _take(
        self,
        chosen: Plan,
        lease: Lease,
        remarks: list[str],
        generation: Generation,
        repository: Repository,
    ) -> Outcome | None:
        """Take a recovery point under restic's lock; None when one was found to be adopted."""
        lock = RepositoryLock(repository, owner=self.act.lock_owner, clock=self.place.setting.clock)
        with lock, self.act.noting_damage(generation.id):
            existed = chosen.generation is not None
            if existed and resume(self.act, generation, repository, lock=lock):
                return None
            kept, troubled = rescuing.keep(self.act, self.place)
            taking = Taking(
                act=self.act,
                generation=generation,
                repository=repository,
                method=chosen.method,
                lease=lease,
                lock=lock,
                deadline=self.deadline,
                progress=self.progress,
                remarks=[*remarks, *([troubled] if troubled else [])],
                rescue=rescuing.evidence(self.place.vault, kept),
                unwrap=rescuing.script_in(kept),
                bytes_found=bytes_found(self.act, generation, repository) if existed else 0,
            )
            return taking.run()

    def _abandon(self, generation: Generation) -> None:
        self.act.record(Kind.ABANDONED, bodies.of_generation(generation.id))
        log.warning("generation %s: abandoned unfinished", generation.id)

    def _nothing_due(self, done: datetime) -> Outcome:
        reason = f"the slot of {done:%Y-%m-%d %H:%M} UTC is completed already"

        def say(state: DatasetState) -> str:
            now = self.act.now()
            return sentences.nothing_due(
                self.place.subject,
                verdict=self.place.judgement(state, now).verdict,
                method=str(self.method),
                reason=reason,
                copies=self.place.copies(state, now),
            )

        return self.act.end(Kind.NOTHING_DUE, {"reason": reason}, say=say, what=reason)
