"""Proving one recovery point: restored into a scratch, compared, timed, and the scratch removed.

    open → restore → compare, and judge beside it → remove   where a place for restores is there
    open → read every block                                  where none is: the level is `bytes`

What could not be done says nothing about the data: it is told apart from what is wrong with it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from include.backup.actions.put_back import open_point, put_back, restored
from include.backup.errors import BackupError, DamageFound, RestoreRefused, StorageFull
from include.backup.evidence.wording import Several
from include.backup.quality.data import Files
from include.backup.quality.expectations import judge
from include.backup.quality.file_facts import facts_of
from include.backup.quality.judged import Judged
from include.backup.quality.nowhere import Nowhere
from include.backup.quality.row_counts import is_of_count, judge_counts
from include.backup.vault.verification import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.actions.acts import Act
    from include.backup.actions.put_back import Done, OpenPoint
    from include.backup.policy.expectations import Expectation
    from include.backup.quality.comparing import Restored
    from include.backup.quality.file_facts import FileFacts
    from include.backup.quality.scratch import Scratch, ScratchPlace
    from include.backup.repository.progress import Progress
    from include.backup.vault.verification import Chosen

_NONE = Several((), 0)


@dataclass(slots=True, kw_only=True)
class Proof:
    """What is known of one recovery point after it was looked at."""

    chosen: Chosen
    level: Level = Level.BYTES
    faults: Several = _NONE
    notes: Several = _NONE  # what is not quite as it was, and need not be
    contents: str = ""  # what was looked at, for people
    size_bytes: int = 0
    restoring: timedelta = field(default_factory=timedelta)
    comparing: timedelta = field(default_factory=timedelta)
    judged: list[Judged] = field(default_factory=list)
    judging: timedelta = field(default_factory=timedelta)
    tables: list[FileFacts] = field(default_factory=list)  # files that hold some
    obstacle: BackupError | None = None  # why it could not be looked at

    @property
    def unjudged(self) -> Several:
        """What users or facts expect, and nobody could look at."""
        return Several.of([one.told for one in self.judged if one.verdict.met is None])

    @property
    def is_whole(self) -> bool:
        """Whether all of it is as it was, as far as its level tells."""
        return not self.faults.total and self.obstacle is None

    @property
    def is_proved(self) -> bool:
        """Whether it was restored as well: what was only read is no proof of a restore."""
        return self.is_whole and self.level is not Level.BYTES


def prove(
    act: Act,
    chosen: Chosen,
    place: ScratchPlace | None,
    wanted: Sequence[Expectation],
    progress: Progress,
) -> Proof:
    """Look at one recovery point. What is damaged is recorded as well.

    Args:
        wanted: what users expect of the data.

    Raises:
        KeyUnusable, StorageError: the vault cannot be read.
    """
    proof = Proof(chosen=chosen, level=Level.BYTES if place is None else Level.FACTS)
    try:
        with act.noting_damage(chosen.point.generation):
            opened = open_point(act, chosen.point)
            if place is None:
                _read(act, proof, opened, progress)
            else:
                _restore(act, proof, opened, place, wanted, progress)
    except DamageFound as error:
        proof.faults = Several.of([error.message])
    except (RestoreRefused, StorageFull) as error:
        if place is not None and place.blames_data(error):
            proof.faults = Several.of([error.message])
        else:
            proof.obstacle = error
    return proof


def _read(act: Act, proof: Proof, point: OpenPoint, progress: Progress) -> None:
    """Read every block, which is compared with its id."""
    began = act.now()
    _note(proof, put_back(point, Nowhere(), "", progress))
    proof.restoring = act.now() - began


def _restore(
    act: Act,
    proof: Proof,
    point: OpenPoint,
    place: ScratchPlace,
    wanted: Sequence[Expectation],
    progress: Progress,
) -> None:
    name = f"{act.id.replace('-', '')[:12]}{proof.chosen.point.snapshot[:8]}"
    with place.make(name, act.owner, point.size_bytes) as scratch:
        began = act.now()
        scratch.destination.prepare()
        _note(proof, put_back(point, scratch.destination, "", progress))
        restored_at = act.now()
        with (
            restored(point, proof.notes, progress, now=restored_at) as what,
            ThreadPoolExecutor(1, thread_name_prefix="judge") as beside,
        ):
            of_counts = [one for one in wanted if is_of_count(one)]
            others = [one for one in wanted if not is_of_count(one)]
            judging = beside.submit(_judge, act, what, scratch, proof, others)
            compared = scratch.compare(what)
            proof.comparing = act.now() - restored_at
            counted, uncounted = judge_counts(of_counts, compared.counted)
            proof.judged = [*map(Judged.of_count, compared.counted), *judging.result(), *counted]
            proof.judged += _judge(act, what, scratch, proof, uncounted) if uncounted else []
    proof.restoring = restored_at - began
    unmet = Several.of([one.told for one in proof.judged if one.verdict.met is False])
    proof.faults = compared.faults.told(lost=True).and_more(unmet)
    proof.notes = proof.notes.and_more(compared.faults.told(lost=False))
    proof.contents = compared.contents or proof.contents
    if any(one.by_user and one.verdict.met is not None for one in proof.judged):
        proof.level = Level.EXPECTATIONS


def _judge(
    act: Act, what: Restored, scratch: Scratch, proof: Proof, wanted: Sequence[Expectation]
) -> list[Judged]:
    """Judge what is expected of the data; of files nothing is, unless somebody has said so."""
    began = act.now()
    data = scratch.data(what)
    if isinstance(data, Files):
        proof.tables = facts_of(data, what.files)
    judged: list[Judged] = []
    if wanted or not isinstance(data, Files):
        judged = judge(wanted, data, taken_at=proof.chosen.point.taken_at)
    proof.judging += act.now() - began
    return judged


def _note(proof: Proof, done: Done) -> None:
    proof.contents, proof.size_bytes, proof.notes = done.contents, done.bytes_written, done.notes
