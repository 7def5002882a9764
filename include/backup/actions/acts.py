"""An act and its evidence: `begun` first, one end at last, whatever happens between.

    records of the vault  →  the spool of this machine, when the vault cannot be written
    exception             →  `failed`, with the sentence that the log shows as well

Acts of earlier processes that ended without a word are closed as `interrupted` by the next act.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from include.backup.actions.open_acts import (
    EXPORT,
    PAPERLESS,
    RESCUES,
    RESTORE,
    is_dead,
    told_interrupted,
)
from include.backup.actions.outcome import Outcome, attach_outcome, hint_of, reason_of
from include.backup.errors import (
    AccessRefused,
    BackupError,
    DamageFound,
    KeyUnusable,
    LedgerBroken,
    MarkerLeft,
    RecordRefused,
    RestoreRefused,
    StorageError,
    StorageFull,
)
from include.backup.evidence import sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.records import new_id
from include.backup.policy.objectives import Verdict
from include.backup.vault import bodies
from include.backup.vault.fold import BACK_UP
from include.backup.vault.owners import this_process
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.records import Draft, Record
    from include.backup.policy.model import Method
    from include.backup.vault.generations import Act as OpenAct

log = logging.getLogger(__name__)


class Act:
    """One act on one dataset. Begin it, record what it does, and end it once."""

    def __init__(
        self,
        place: DatasetVault,
        action: str,
        *,
        method: Method | None = None,
        slot: datetime | None = None,
        id: str = "",  # noqa: A002  of a request; empty: a new one
        about: JsonObject | None = None,
    ) -> None:
        self.id = id or new_id()
        self.about = about or {}  # what records of its beginning, and of its failure, hold besides
        self.place = place
        self.action = action
        self.method = method
        self.slot = slot
        self.owner = this_process(place.setting.owner)
        self.begun = False
        self.ended = False
        self._known: DatasetState | None = None  # as last seen, for when it cannot be asked

    @property
    def lock_owner(self) -> str:
        """The synthetic host name for restic's lock files."""
        return lock_owner(self.place, self.id)

    def now(self) -> datetime:
        """The time."""
        return self.place.setting.clock()

    def begin(self, *, held: str | None = None) -> DatasetState:
        """Adopt what waits in the spool, close dead acts, record `begun`; return the state.

        Args:
            held: the kind of lease that this process holds: who had it before is dead.

        Raises:
            StorageError, LedgerBroken.
        """
        if self.place.detached:
            return self._begin_detached()
        try:
            return self._begin(held)
        except (AccessRefused, StorageFull, MarkerLeft) as error:
            # What can be read is brought back, although no record of it is taken there.
            if self.action not in (RESCUES if self.place.replica else PAPERLESS):
                raise
            log.warning("%s: %s", self.place.subject, error)
            self.place = self.place.alone() if self.place.replica else self.place.detach()
            return self._begin_detached()

    def _begin_detached(self) -> DatasetState:
        """Nothing is recorded before the end; and nothing but a rescue goes on without the home.

        Raises:
            RecordRefused: it is none.
        """
        if self.action not in RESCUES:
            raise RecordRefused(
                f"{self.place.where} holds a replica of {self.place.dataset.name}, and was not "
                "promoted",
                hint="when its home is lost for good: holdfast vault promote",
            )
        self.begun = True
        return self.place.state()

    def _begin(self, held: str | None) -> DatasetState:
        if self.action not in {RESTORE, EXPORT}:  # evidence never holds up a rescue
            self.place.require_history()
        self._adopt_spooled()
        state = self._known = self.place.state()
        for act in state.acts:
            if (act.id != self.id or not self.begun) and is_dead(self.place, act, held, self.now()):
                self._close_interrupted(act)
        if self.place.state().act(self.id) is None:
            body = bodies.begun(
                action=self.action,
                data_class=self.place.data_class.name,
                method=self.method,
                slot=self.slot,
                owner=self.owner.to_json(),
            )
            self.record(Kind.BEGUN, body | dict(self.about))
            self.begun = True
        return self.place.state()

    def _adopt_spooled(self) -> None:
        """Record what waits on this machine. What cannot be read there stops nobody."""
        try:
            adoption = self.place.spool.adopt(
                self.place.ledger, at=self.now(), fold=self.place.fold
            )
        except AccessRefused as error:
            log.warning("the spool is left alone: %s", error)
            return
        for refused in adoption.refused:
            log.warning("spool %s: put aside: %s", refused.name, refused.reason)

    def record(
        self, kind: Kind, body: JsonObject, *, say: Callable[[DatasetState], str] | None = None
    ) -> Record:
        """Append a record of this act; `say` makes its sentence from the state after it.

        Raises:
            StorageError, LedgerBroken, LeaseLost, RecordRefused.
        """
        return self._append(self.id, kind, {**body, **self._about_replica()}, say=say)

    def end(
        self,
        kind: Kind,
        body: JsonObject,
        *,
        say: Callable[[DatasetState], str],
        what: str,
        details: dict[str, object] | None = None,
    ) -> Outcome:
        """Record the end of the act and return what came of it.

        Raises:
            as `record`.
        """
        if self.place.detached:
            return self._end_detached(kind, body, say(self.place.state()), what, details)
        record = self.record(kind, body, say=say)
        self.ended = True
        return self.outcome_of(record, what=what, details=details)

    def outcome_of(
        self, record: Record, *, what: str, details: dict[str, object] | None = None
    ) -> Outcome:
        """What came of an act, as its last record says."""
        told = sentences.with_evidence(record.sentence, record)
        state = DatasetState.of_json(record.state)
        return self._outcome(Kind(record.kind), state, told, what, details)

    def _end_detached(
        self,
        kind: Kind,
        body: JsonObject,
        sentence: str,
        what: str,
        details: dict[str, object] | None,
    ) -> Outcome:
        """The same while the home takes no records: this one waits for whoever is the home next."""
        ledger = self.place.ledger
        draft = ledger.draft(
            kind=kind, act=self.id, at=self.now(), body={**body, **self._about_replica()}
        )
        self.ended = True
        told = self._spooled(replace(draft, sentence=sentence))
        return self._outcome(kind, self.place.state(), told, what, details)

    def _spooled(self, draft: Draft) -> str:
        """Keep a draft on this machine; return its sentence, and what became of it."""
        try:
            kept = f"the record waits in the spool as {self.place.spool.save(draft)}"
            if self.place.setting.break_glass:
                kept += (
                    f" in {self.place.spool.url}: where the configuration is, holdfast ledger "
                    f"adopt {draft.subject} --spool DIR"
                )
        except BackupError as worse:
            kept = f"the record could not be kept anywhere: {worse}"
        return f"{draft.sentence} · {kept}"

    def _about_replica(self) -> dict[str, object]:
        """What records say of the vault that was read, if it was not the home."""
        glass = self._about_glass()
        if not self.place.replica:
            return glass
        return {**glass, "vault": self.place.replica, "replica": self.place.vault.url}

    def _about_glass(self) -> dict[str, object]:
        """Why evidence had to wait, if somebody broke the glass (invariant 10)."""
        why = self.place.setting.break_glass
        return {"break_glass": why} if why else {}

    @contextmanager
    def ending(self, tell: Callable[[BaseException], str]) -> Iterator[None]:
        """Record what is raised as the failure of the act; see `attached_outcome`.

        Args:
            tell: makes the sentence.
        """
        try:
            yield
        except BaseException as error:
            attach_outcome(error, self.fail(error, sentence=tell(error)))
            raise

    @contextmanager
    def noting_damage(self, generation: str) -> Iterator[None]:
        """Record a generation in which damage comes to light: nothing builds on it any more."""
        try:
            yield
        except DamageFound as error:
            self.note_damage(generation, error.message)
            raise

    def note_damage(self, generation: str, reason: str) -> None:
        """Record that a generation is damaged. Raises nothing: the damage itself is worse news."""
        body = bodies.damaged([generation]) | {"reason": reason}
        try:
            self._require_attached()
            self.record(Kind.DAMAGED, body)
        except BackupError as trouble:
            log.warning("generation %s: damaged, and not recorded so: %s", generation, trouble)

    def refuse(self, why: str, *, sentence: str) -> Outcome:
        """Record that something is not to be done, in the vault or else in the spool."""
        body = {**self.about, "reason": why}
        try:
            return self.end(Kind.REFUSED, body, say=lambda _: sentence, what=why)
        except BackupError as error:
            log.warning("%s: %s", self.place.subject, error)
            return self.fail(RestoreRefused(why), sentence=sentence)

    def fail(self, error: BaseException, *, sentence: str = "") -> Outcome:
        """Record that the act failed, in the vault or else in the spool. Raises nothing.

        Args:
            sentence: what is told; the one about a failed backup, when it is empty.
        """
        reason = reason_of(error)
        body = bodies.failed(reason) | {
            **self.about,
            **self._about_glass(),
            "hint": hint_of(error),
            "action": self.action,
            "error": type(error).__name__,
        }
        draft = self.place.ledger.draft(kind=Kind.FAILED, act=self.id, at=self.now(), body=body)
        self.ended = True
        try:
            self._require_ledger(error)
            record = self.place.ledger.append(
                draft,
                fold=self.place.fold,
                say=lambda after: sentence or self._failed(_state(after), error),
            )
        except (StorageError, LedgerBroken, MarkerLeft, KeyUnusable, RecordRefused) as trouble:
            state = self._last_known(error)
            sentence = sentence or self._failed(state, error)
            told = self._spooled(replace(draft, sentence=sentence))
            if trouble is not error and not self.place.detached:  # else it is told, or known
                log.warning("%s: %s", self.place.subject, trouble)
            return self._outcome(Kind.FAILED, state, told, f"failed: {reason}")
        sentence = sentences.with_evidence(record.sentence, record)
        return self._outcome(Kind.FAILED, _state(record.state), sentence, f"failed: {reason}")

    def _require_ledger(self, error: BaseException) -> None:
        """Refuse to record in a ledger that cannot be believed, or takes none now."""
        if isinstance(error, LedgerBroken):
            raise error
        self._require_attached()

    def _require_attached(self) -> None:
        if self.place.detached:
            raise RecordRefused("its ledger takes no record now")

    def _last_known(self, error: BaseException) -> DatasetState | None:
        """The state now, if the vault can be read though not be written; else as it was seen.

        None when it never was, and when the ledger itself is what cannot be believed.
        """
        if isinstance(error, LedgerBroken):
            return self._known
        try:
            return self.place.state()
        except BackupError:
            return self._known

    def _failed(self, state: DatasetState | None, error: BaseException) -> str:
        now, reason = self.now(), reason_of(error)
        return sentences.failed(
            self.place.subject,
            verdict=self._verdict(state, now, failure=reason),
            method=str(self.method or self.action),
            reason=reason,
            copies=self.place.copies(state, now),
            hint=hint_of(error),
        )

    def _verdict(
        self, state: DatasetState | None, now: datetime, *, failure: str | None
    ) -> Verdict:
        """How the dataset stands. What cannot be known is not kept, as far as anyone can tell."""
        if state is None:
            return Verdict.BROKEN
        return self.place.judgement(state, now, failure=failure).verdict

    def _outcome(
        self,
        kind: Kind,
        state: DatasetState | None,
        sentence: str,
        what: str,
        details: dict[str, object] | None = None,
    ) -> Outcome:
        now = self.now()
        copies = self.place.copies(state, now)
        # A check or a restore that fails makes no recovery point older.
        failure = what if kind is Kind.FAILED and self.action == BACK_UP else None
        return Outcome(
            dataset=self.place.dataset.name,
            data_class=self.place.data_class.name,
            verdict=self._verdict(state, now, failure=failure),
            sentence="; ".join((*self.place.setting.warnings, sentence)),
            kind=str(kind),
            what=what,
            newest_at=copies.newest_at,
            age=copies.age,
            limit=copies.limit,
            known=copies.known,
            details=details or {},
        )

    def _append(
        self, act: str, kind: Kind, body: JsonObject, *, say: Callable[[DatasetState], str] | None
    ) -> Record:
        ledger = self.place.ledger
        draft = ledger.draft(kind=kind, act=act, at=self.now(), body=body)
        told = None if say is None else (lambda after: say(_state(after)))
        record = ledger.append(draft, fold=self.place.fold, say=told)
        self.place.seen.remember(record)
        return record

    def _close_interrupted(self, act: OpenAct) -> None:
        body = bodies.failed("its process ended without a word")
        try:
            record = self._append(
                act.id,
                Kind.INTERRUPTED,
                body,
                say=lambda state: told_interrupted(self.place, act, state, self.now()),
            )
        except RecordRefused:
            return  # another run has closed it meanwhile
        log.warning("%s", sentences.with_evidence(record.sentence, record))


def lock_owner(place: DatasetVault, act_id: str) -> str:
    """The synthetic host name under which an act holds restic's lock."""
    return f"holdfast/{place.dataset.name}/{act_id}"


def _state(document: JsonObject) -> DatasetState:
    return DatasetState.of_json(document)
