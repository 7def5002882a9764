"""Everything this package raises.

BackupError
├── ConfigurationInvalid     wrong use: a file, a name or an option; exit code 2
│   ├── PolicyInvalid        policy.yaml is no policy, or cannot be kept; carries .path
│   └── DatasetInvalid       one entry of datasets.yaml; the others are not touched; carries .path
├── StorageError
│   ├── FileAbsent           the store answered, and the file is not there
│   ├── NameTaken            write-once held: someone was here first
│   ├── AccessRefused        the store answered no; never treat as absent, never retry
│   │   └── FileLocked       because of a lock date that has not come; FileHeld: a legal hold
│   ├── StorageFull          no room left; nothing half-written remains visible
│   └── StorageUnreachable   no answer, throttled or cut short: worth a retry
├── DamageFound              stored bytes are not what was written; never retried, always recorded
│   ├── SealBroken           tag does not match: wrong key, or bytes changed
│   ├── BlobMismatch         content does not hash to its name
│   ├── MarkerLeft           only a delete marker is there: destroyed, or never saved
│   └── LedgerBroken         a record does not follow from the one before it
├── MemoryFault              bytes changed in this machine's memory; nothing of them was stored
├── KeyUnusable              the master key does not open this envelope
├── SourceError              the dataset could not be read, or put back, completely
│   ├── SourceGone           the root itself is absent, or empty where it was not
│   └── EntryUnreadable      one entry refused, failed, or kept changing while it was read
├── AlreadyRunning           a run of the same kind holds the lease; not a failure of the backup
├── LeaseLost                another run has taken over; nothing more may be written
├── RecordRefused            a record would contradict those before it; it was not written
│   └── StillNeeded          what is to leave is on hold, in doubt, read, or the last way back
├── RepositoryLocked         stock restic holds an exclusive lock
├── DeadlinePassed           the time a class has to complete is over
├── ClockWrong               this machine's clock is not that of the store: nothing expires by it
├── RestoreRefused           the destination did not take what it was given
│   └── DestinationRefused   it must not be written to; nothing of it was touched
│   └── InTheWay             one entry cannot be put back; others can
└── ToolMissing              something the machine lacks; the hint says what to install
"""

from __future__ import annotations


class BackupError(Exception):
    """What went wrong, where, and what to do about it.

    Message form: what, where, then a hint — lower case, no full stop:
    ``snapshot 1f3c names a missing tree; hint: run check on this dataset``
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}; hint: {hint}" if hint else message)
        self.message = message
        self.hint = hint


class ConfigurationInvalid(BackupError):
    """Wrong use or configuration. Retrying cannot help.

    `path` is the place in the file, as in ``classes.critical.rpo``.
    """

    exit_code = 2

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message, hint=hint)
        self.path = path


class PolicyInvalid(ConfigurationInvalid):
    """The policy file cannot be read as a policy, or its promises cannot be kept."""


class DatasetInvalid(ConfigurationInvalid):
    """One dataset entry is wrong. It fails alone."""

    data_class = ""  # the class that the entry names, where that much could be read


class StorageError(BackupError):
    """The vault's storage did not do what was asked."""


class FileAbsent(StorageError):
    """The store answered, and the file is not there."""


class NameTaken(StorageError):
    """A file of that name exists already; it was not touched."""


class AccessRefused(StorageError):
    """The store refused. Absence must never be concluded from it."""


class FileLocked(AccessRefused):
    """A lock date that has not come, or a legal hold, keeps a file: no missing right."""


class FileHeld(FileLocked):
    """A legal hold keeps a file."""


class StorageFull(StorageError):
    """No room is left in the store."""


class StorageUnreachable(StorageError):
    """No usable answer, after all retries.

    The outcome of a save is unknown; saving again is safe.
    """


class DamageFound(BackupError):
    """Stored bytes differ from what was written. Never retried, always recorded."""


class ReplicaDamaged(DamageFound):
    """What a replica holds differs from what was copied; the home is whole."""


class SealBroken(DamageFound):
    """The authentication tag does not match: wrong key, or bytes changed."""


class BlobMismatch(DamageFound):
    """Content does not hash to its name."""


class MarkerLeft(DamageFound):
    """Only a delete marker is left under a name: a file was destroyed, or there never was one."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="somebody has deleted it, or blocks the name; `holdfast vault undelete` frees it",
        )


class LedgerBroken(DamageFound):
    """A record of evidence does not follow from the one before it."""

    def __init__(
        self, message: str, *, hint: str = 'see RUNBOOK.md, "The evidence does not fit"'
    ) -> None:
        super().__init__(message, hint=hint)


class NotAReplica(BackupError):
    """What lies in another vault is no copy of this dataset; nothing of it was touched."""


class MemoryFault(BackupError):
    """What was sealed does not open to what was read: this machine's memory is faulty."""


class KeyUnusable(BackupError):
    """The master key does not open this envelope."""


class SourceError(BackupError):
    """The dataset could not be read, or put back, completely."""


class SourceGone(SourceError):
    """The root of the dataset is absent, or empty where it was not before."""


class EntryUnreadable(SourceError):
    """One entry refused to be read, failed, or kept changing while it was read."""


class AlreadyRunning(BackupError):
    """A run of the same kind holds the lease. The dataset is being backed up: not a failure."""


class LeaseLost(BackupError):
    """Another run has taken over this one's lease; nothing more may be written."""


class RecordRefused(BackupError):
    """A record would contradict those before it in the ledger; it was not written."""


class StillNeeded(RecordRefused):
    """What is to leave is needed: on hold, in doubt, read now, or the last way back."""


class RepositoryLocked(BackupError):
    """Stock restic holds an exclusive lock on the repository."""


class DeadlinePassed(BackupError):
    """The time that the class has to complete is over; what was uploaded is kept and reused."""


class ClockWrong(BackupError):
    """This machine's clock is not that of the store: nothing may expire by it."""


class RestoreRefused(BackupError):
    """The destination did not take what it was given."""


class DestinationRefused(RestoreRefused):
    """The destination must not be written to as it is; nothing of it was touched."""


class NotApproved(BackupError):
    """It takes a second person, and nobody else agreed; nothing was done."""


class InTheWay(RestoreRefused):
    """One entry cannot be put back: what stands there is not replaced, or no such entry can be.

    The others can be restored.
    """


class ToolMissing(BackupError):
    """The machine lacks something that Holdfast needs."""
