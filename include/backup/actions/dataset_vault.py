"""One dataset with all that acts on it need: its class, its part of the vault, ledger, keys."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from include.backup.actions.offsite import counted
from include.backup.actions.open_source import open_source
from include.backup.actions.opening import keys_of, opened, require_home, spool_of
from include.backup.actions.providers import provider_of
from include.backup.actions.salvaged import salvaged_state
from include.backup.actions.seen import Seen
from include.backup.actions.unlisted import find_unlisted
from include.backup.errors import (
    ConfigurationInvalid,
    DamageFound,
    DatasetInvalid,
    FileAbsent,
    LedgerBroken,
    NotAReplica,
    PolicyInvalid,
    RecordRefused,
    StorageError,
)
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.ledger_copy import require_beginning
from include.backup.evidence.sentences import Copies, Subject
from include.backup.policy.objectives import (
    Judgement,
    Standing,
    judge,
    judge_retired,
    judge_without_schedule,
)
from include.backup.policy.schedule import full_interval, schedule_of
from include.backup.repository.repository import Repository
from include.backup.repository.salvage import open_for_reading
from include.backup.vault.fold import fold_json
from include.backup.vault.keyring import KeyContext, KeyProvider, load_secret
from include.backup.vault.layout import (
    GENERATIONS,
    generation_folder,
)
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from include.backup.actions.setting import Setting
    from include.backup.evidence.fields import JsonObject
    from include.backup.evidence.records import Draft
    from include.backup.evidence.spool import Spool
    from include.backup.policy.dataset_model import Dataset, VaultSettings
    from include.backup.policy.model import DataClass
    from include.backup.sources.base import Source
    from include.backup.storage.base import Storage
    from include.backup.vault.generations import Generation

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVault:
    """A dataset, and where its recovery points and its evidence lie."""

    setting: Setting
    dataset: Dataset
    data_class: DataClass
    vault: VaultSettings
    folder: Storage  # its recovery points and keys
    home: Storage  # its ledger and leases: the same folder, but for a replica
    ledger: Ledger
    spool: Spool
    seen: Seen
    home_url: str  # the address of the vault that the ledger lies in
    replica: str = ""  # the name of the vault, if its folder is a copy
    detached: bool = False  # the ledger takes no records: what happens waits in the spool
    salvaged: DatasetState | None = None  # what the repositories tell, for want of a ledger

    @classmethod
    def open(cls, setting: Setting, name: str, *, expiring: bool = False) -> DatasetVault:
        """Find a dataset and its vault. Nothing is read from the vault yet.

        Args:
            expiring: with the credentials that may delete.

        Raises:
            DatasetInvalid, ConfigurationInvalid: the dataset, or what it needs, is not configured.
        """
        dataset = setting.datasets.dataset(name)
        data_class = setting.policy.data_class(dataset.data_class)
        return cls._of(setting, dataset, data_class, expiring=expiring)

    @classmethod
    def open_for_reading(
        cls, setting: Setting, name: str, *, expiring: bool = False
    ) -> DatasetVault:
        """The same for what writes no backups: a vault that holds the dataset is enough.

        Raises:
            DatasetInvalid: no valid entry names it, and no vault holds it.
            ConfigurationInvalid: what is needed is not configured.
        """
        try:
            return cls.open(setting, name, expiring=expiring)
        except DatasetInvalid as error:
            if (found := find_unlisted(setting, name)) is None:
                raise
            warning = f"AT RISK 3.1 · {name} is backed up no more: {error.message}"
        warned = replace(setting, warnings=(*setting.warnings, warning))
        return cls._of(warned, *found, expiring=expiring)

    @classmethod
    def _of(
        cls, setting: Setting, dataset: Dataset, data_class: DataClass, *, expiring: bool
    ) -> DatasetVault:
        name = dataset.name
        vault = setting.datasets.vaults[dataset.vault]
        vault, folder = opened(setting, dataset, vault, expiring=expiring)
        signer, trusted = keys_of(setting)
        return cls(
            setting=setting,
            dataset=dataset,
            data_class=data_class,
            vault=vault,
            folder=folder,
            home=folder,
            home_url=vault.url,
            ledger=Ledger(
                folder,
                subject=name,
                signer=signer,
                trusted=trusted,
                keep_for=setting.policy.evidence_retention if vault.object_lock else None,
                guard=partial(require_home, folder, vault.url),
            ),
            spool=spool_of(setting, vault),
            seen=Seen.of(setting.state_folder, vault=vault.url, dataset=name),
        )

    @classmethod
    def open_to_rescue(
        cls, setting: Setting, name: str, *, replica: str = "", expiring: bool = False
    ) -> DatasetVault:
        """The same for what brings data back, or looks whether it could: evidence stops nobody.

        Where the home cannot be read, or is no longer what the copy was made of, the copy is read
        with its own ledger, to which nothing is added: what happens waits in the spool.

        Args:
            replica: the name of the vault whose copy is read; empty: what datasets.yaml names.
            expiring: with the credentials that may delete.

        Raises:
            DatasetInvalid, ConfigurationInvalid: as `open_for_reading`; or no vault has that name.
            StorageError: the vault cannot be read.
        """
        place = cls.open_for_reading(setting, name, expiring=expiring)
        place = place.to_read(replica, expiring=expiring)
        return place.detach().without_ledger() if setting.break_glass else place

    def to_read(self, replica: str, *, expiring: bool) -> DatasetVault:
        """The home, or a copy: with the ledger of the home, or its own if that is lost."""
        if replica in {"", self.vault.name}:
            return self.alone() if self.is_copy() else self
        copy = self.as_replica(replica, expiring=expiring)
        if not (why := why_not_home(self, copy)):
            return copy
        log.warning("%s is read without the home of %s: %s", replica, self.dataset.name, why)
        return copy.alone()

    def as_replica(self, name: str, *, expiring: bool = False) -> DatasetVault:
        """The same dataset as another vault holds a copy of it; its ledger is that of the home.

        Raises:
            ConfigurationInvalid: no vault has that name, or it is its home.
        """
        vaults = self.setting.datasets.vaults
        if name not in vaults or name == self.vault.name:
            raise ConfigurationInvalid(
                f"{name[:80]!r} is no vault that may hold a replica of {self.dataset.name}",
                hint=f"its home is {self.vault.name}; replicas: "
                + (", ".join(self.dataset.replicas) or "none"),
            )
        vault, folder = opened(self.setting, self.dataset, vaults[name], expiring=expiring)
        return replace(self, vault=vault, folder=folder, replica=name)

    def alone(self) -> DatasetVault:
        """The same with the ledger that lies in this very folder, to which nothing is added."""
        signer, trusted = keys_of(self.setting)
        name = self.dataset.name
        own = () if signer is None else (signer.public_key,)
        return replace(
            self,
            home=self.folder,
            home_url=self.vault.url,
            ledger=Ledger(self.folder, subject=name, trusted=(*trusted, *own)),
            spool=spool_of(self.setting, self.vault),
            seen=Seen.of(self.setting.state_folder, vault=self.vault.url, dataset=name),
            replica=self.vault.name,
            detached=True,
        )

    def detach(self) -> DatasetVault:
        """The same while its ledger takes no records: what happens waits in the spool."""
        return replace(self, detached=True)

    def without_ledger(self) -> DatasetVault:
        """The same by what its repositories tell, if the ledger is lost or cannot be believed.

        Raises:
            ConfigurationInvalid: there is no master key.
            StorageError.
        """
        why = "it is gone"
        try:
            if self.ledger.head() is not None or not self.folder.folders(GENERATIONS):
                return self
        except LedgerBroken as error:
            why = error.message
        name, retention = self.dataset.name, self.data_class.retention
        found = salvaged_state(self.folder, name, self.provider(), retention=retention)
        warning = (
            f"AT RISK 6 · the ledger of {name} cannot be believed ({why}): its recovery points are "
            "those that its repositories tell, and what was erased at its source comes back with "
            "them"
        )
        warned = replace(self.setting, warnings=(*self.setting.warnings, warning))
        return replace(self, setting=warned, salvaged=found)

    def is_copy(self) -> bool:
        """Whether this folder holds a replica, as far as it can be read."""
        try:
            require_home(self.folder, self.vault.url, self.ledger.head())
        except RecordRefused:
            return True
        except (StorageError, LedgerBroken):
            return False  # whoever works with it says why
        return False

    @property
    def subject(self) -> Subject:
        """What sentences are about."""
        return Subject(
            data_class=self.data_class.name, dataset=self.dataset.name, replica=self.replica
        )

    @property
    def where(self) -> str:
        """The vault, for people."""
        region = f" ({self.vault.region})" if self.vault.region else ""
        return f"{self.vault.url}{region}"

    @property
    def sent(self) -> str:
        """How data travels to the vault (3.3)."""
        return self.folder.transport

    def provider(self) -> KeyProvider:
        """What opens envelopes.

        Raises:
            ConfigurationInvalid: the connection holds no key.
        """
        return provider_of(self.setting)

    def source(self) -> Source:
        """What reads the dataset.

        Raises:
            DatasetInvalid: it holds its own vault, or lies in it, by way of a link.
        """
        source = self.dataset.source
        if source is None:
            raise DatasetInvalid(f"no valid entry says what {self.dataset.name} is")
        self._require_apart()
        return open_source(self.setting, self.dataset, source)

    def _require_apart(self) -> None:
        """As `overlap` does for the paths as they are written; here links are followed."""
        if not self.vault.local_path or not self.dataset.path:
            return
        here, there = map(os.path.realpath, (self.dataset.path, self.vault.local_path))
        if os.path.commonpath([here, there]) in {here, there}:
            raise DatasetInvalid(
                f"it and the vault {self.vault.url} lie inside one another: {here} and {there}",
                path=f"datasets.{self.dataset.name}.source.path",
                hint="each backup would hold the backups before it",
            )

    def fold(self, state: JsonObject, draft: Draft, sequence: int) -> JsonObject:
        """The state after a record of this dataset; see fold.py."""
        return fold_json(state, draft, sequence, home=self.home_url)

    def state(self) -> DatasetState:
        """The dataset as the newest record says.

        Raises:
            LedgerBroken, StorageError.
        """
        if self.salvaged is not None:
            return self.salvaged
        head = self.ledger.head()
        state = DatasetState.of_json(head.state if head else {})
        if not self.replica:
            return state
        if head is None:
            raise ConfigurationInvalid(f"{self.replica} holds no replica of {self.dataset.name}")
        if self.detached:  # a copied ledger names what was copied before it
            found = state.replica(self.vault.url)
            return state.without(found.missing) if found else state
        if (found := state.replica(self.vault.url)) is None:
            raise ConfigurationInvalid(
                f"nothing of {self.dataset.name} was copied to {self.replica} yet",
                hint=f"holdfast replicate {self.dataset.name}",
            )
        return state.as_in(found)

    def require_history(self) -> None:
        """Refuse a vault that has less of the dataset than it had.

        Raises:
            LedgerBroken: it is empty, or not the one that it was.
            StorageError.
        """
        head = self.ledger.head()
        self.seen.require(head)
        if head is None and (left := self.home.folders(GENERATIONS)):
            raise LedgerBroken(
                f"the ledger of {self.dataset.name} is gone, and its generations are there "
                f"({', '.join(left[:3])})"
            )

    def repository(self, generation: Generation) -> Repository:
        """Open the repository of a generation; its index is not loaded yet.

        Raises:
            KeyUnusable: wrong master key.
            DamageFound: envelope, key file or config are not what was written, or gone.
            StorageError.
        """
        password = self._password(generation)
        try:
            return Repository.open(generation_folder(self.folder, generation.id), password)
        except FileAbsent as error:
            raise DamageFound(
                f"generation {generation.id} of {self.dataset.name} has lost its config",
                hint="run check on this dataset",
            ) from error

    def repository_to_restore(self, generation: Generation) -> tuple[Repository, list[str]]:
        """Open what can still be read of a generation, its index loaded; what is damaged is told.

        Raises:
            KeyUnusable: wrong master key.
            DamageFound: envelope or key file are not what was written, or gone.
            StorageError.
        """
        return open_for_reading(
            generation_folder(self.folder, generation.id), self._password(generation)
        )

    def _password(self, generation: Generation) -> str:
        context = KeyContext(dataset=self.dataset.name, generation=generation.id)
        provider = self.provider()
        # A rotation that was interrupted has left envelopes that the ledger does not name yet.
        known = generation.key == provider.master_key_id
        digest = generation.envelope_sha256 if known else ""
        return load_secret(self.folder, provider, context, envelope_sha256=digest).password

    def judgement(
        self, state: DatasetState, now: datetime, *, failure: str | None = None
    ) -> Judgement:
        """The dataset against its objectives (4.1), `failure` being that of the run just ended."""
        counts = counted(self.setting, self.dataset, state, now)
        newest, own = counts.newest_point, self.data_class
        standing = Standing(
            protected_since=state.since or self.seen.since(now),
            newest_point_at=newest.taken_at if newest else None,
            last_completed_slot=state.last_slot(own.method, now=now),
            last_run_failed=bool(state.failures) or failure is not None,
            failure=failure or state.failure,
        )
        if (retired := self.dataset.retired) is not None:
            why = f"retired since {retired.date} by {retired.by}: {retired.reason}"
            return judge_retired(standing, data_class=own, why=why, now=now)
        try:
            schedule = schedule_of(own, dataset=self.dataset.name)
        except PolicyInvalid as error:  # no reason not to restore, or to end what was begun
            return judge_without_schedule(standing, data_class=own, why=str(error), now=now)
        return judge(standing, data_class=own, schedule=schedule, now=now)

    def copies(self, state: DatasetState | None, now: datetime) -> Copies:
        """How old the newest copy is; `state` is None when the ledger could not be read."""
        if state is None:
            return Copies(newest_at=None, age=None, limit=self.data_class.rpo, known=False)
        state = counted(self.setting, self.dataset, state, now)
        newest = state.newest_point
        return Copies(
            newest_at=newest.taken_at if newest else None,
            age=state.age(now),
            limit=self.data_class.rpo,
            damaged=newest is None and bool(state.points),
        )

    @property
    def full_interval(self) -> timedelta:
        """How often a full is taken."""
        return full_interval(self.setting.policy, self.data_class)


def why_not_home(home: DatasetVault, copy: DatasetVault) -> str:
    """Why a copy is not to be read by the ledger of its home; empty: it is."""
    try:
        home.require_history()
        if home.ledger.head() is None:
            return f"{home.where} is empty"
        require_beginning(home.home, copy.folder, home.dataset.name)
    except (StorageError, LedgerBroken, NotAReplica) as error:
        return error.message
    return ""
