"""Undoing what somebody did to the files of a vault that keeps versions: `vault undelete` (3.2).

    markers on numbers that the ledger has not reached → begun
      → a thousand names at a time: delete markers and later versions removed
      → undeleted {what lay over files, what could not be removed}

We read the oldest version of a name whatever lies over it; stock restic reads the newest. After
this it sees everything again. The oldest version of nothing is ever removed, and leases and locks,
which come and go, are not touched. Killed at any moment, the next run finds what is left over.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from include.backup.actions.acts import Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_acts import UNDELETE
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.review import record_of_policy
from include.backup.errors import BackupError, LedgerBroken
from include.backup.evidence import tampering_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.ledger_files import FOLDER
from include.backup.evidence.sentences import Subject
from include.backup.evidence.tampering_sentences import Found
from include.backup.evidence.wording import count
from include.backup.vault.layout import OUTSIDE_DATASETS, POLICY, is_write_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.storage.base import Storage
    from include.backup.storage.tampering import Remains, Tampering

log = logging.getLogger(__name__)

_TOGETHER: Final = 1000  # names in one request
_MOST_NAMED: Final = 1000  # in a record


@dataclass(slots=True)
class _Work:
    """What was found and done until now."""

    found: Found = field(default_factory=Found)
    left: list[Remains] = field(default_factory=list)
    not_removed: int = 0
    hidden: int = 0  # of those, files that stock restic does not see

    def to_json(self) -> dict[str, object]:
        return {
            "tampering": self.found.to_json(),
            "not_removed": self.not_removed,
            "hidden": self.hidden,
            "left": [f"{one.name}: {one.why}" for one in self.left],
        }


def tampering_in(folder: Storage, prefix: str = "") -> Found:
    """What lies over write-once files in the folder of a dataset.

    Raises:
        StorageError.
    """
    return Found.of(_tampered(folder, prefix))


def seen_tampering(setting: Setting, name: str, *, vault: str = "") -> Found:
    """What `undelete` would remove. Nothing is touched.

    Raises:
        As `undelete`.
    """
    return tampering_in(DatasetVault.open_to_rescue(setting, name, replica=vault).folder)


def undelete(setting: Setting, name: str, *, vault: str = "") -> Outcome:
    """Remove what lies over the files of a dataset, so that stock restic sees all of them.

    Args:
        vault: the name of one that holds it; empty: its home.

    Raises:
        DatasetInvalid, ConfigurationInvalid: no such dataset or vault.
        StorageError: not all could be done. The failure is recorded (see `attached_outcome`);
            the next run goes on.
        LedgerBroken: all is done, and it could not be recorded where it belongs.
    """
    place = DatasetVault.open_to_rescue(setting, name, replica=vault, expiring=True)
    work = _Work()
    act = Act(place, UNDELETE)

    def failed(error: BaseException) -> str:
        act.about = work.to_json()
        return sentences.not_undeleted(
            place.subject, found=work.found, reason=reason_of(error), hint=hint_of(error)
        )

    with act.ending(failed):
        # Somebody may have put a marker where the next record belongs: then nothing is recorded.
        _remove(
            place.home, (one for one in _tampered(place.home, FOLDER) if not one.versions), work
        )
        trouble: BackupError | None = None
        try:
            act.begin()
        except LedgerBroken as error:  # files come to light all the same
            trouble = error
        _remove(place.folder, _tampered(place.folder), work)
        if trouble is not None:
            raise trouble
        told = sentences.undeleted(
            place.subject,
            where=place.where,
            found=work.found,
            left=work.left,
            not_removed=work.not_removed,
        )
        found = work.found
        return act.end(
            Kind.UNDELETED,
            work.to_json(),
            say=lambda _: told,
            what=f"{count(found.names, 'file')} uncovered" if found.names else "nothing to undo",
            details={
                "files": found.names,
                "markers": found.markers,
                "versions": found.versions,
                "gone": found.gone,
                "not_removed": work.not_removed,
                "hidden": work.hidden,
            },
        )


def undelete_outside(setting: Setting, vault: str, *, dry_run: bool = False) -> str:
    """The same for what a vault holds outside the datasets; return the sentence.

    That of the first vault is recorded in the ledger of the policy, which lies there.

    Raises:
        StorageError, LedgerBroken.
    """
    settings = setting.datasets.vaults[vault]
    expirer = replace(settings, connection=settings.expirer or settings.connection)
    storage = setting.open_storage(settings if dry_run else expirer)
    if dry_run:
        return f"{storage.url}: {tampering_outside(storage)}"
    work = _Work()
    _remove(storage, _tampered_outside(storage), work)
    told = sentences.undeleted(
        Subject(data_class=POLICY, dataset=vault),
        where=storage.url,
        found=work.found,
        left=work.left,
        not_removed=work.not_removed,
    )
    if work.found.names and vault == next(iter(setting.datasets.vaults)):
        record_of_policy(setting, Kind.UNDELETED, work.to_json(), told)
    return told


def tampering_outside(vault: Storage) -> Found:
    """What lies over the files of a vault that belong to no dataset.

    Raises:
        StorageError.
    """
    return Found.of(_tampered_outside(vault))


def _tampered_outside(vault: Storage) -> Iterator[Tampering]:
    return (one for prefix in OUTSIDE_DATASETS for one in vault.tampering(prefix))


def _tampered(folder: Storage, prefix: str = "") -> Iterator[Tampering]:
    return (one for one in folder.tampering(prefix) if is_write_once(one.name))


def _remove(folder: Storage, tampered: Iterable[Tampering], work: _Work) -> None:
    """Uncover files, some at a time, and count what was there."""
    waiting = iter(tampered)
    while batch := list(islice(waiting, _TOGETHER)):
        left = folder.undelete([one.name for one in batch])
        for one in batch:
            work.found.add(one)
        work.not_removed += len(left)
        work.hidden += sum(one.hidden for one in left)
        work.left += left[: _MOST_NAMED - len(work.left)]
        log.info("%s: %s uncovered", folder.url, count(work.found.names, "file"))
