"""One dataset with all that acts on it need: its class, its part of the vault, ledger, keys."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from include.backup.actions.open_source import open_source
from include.backup.actions.seen import Seen
from include.backup.actions.unlisted import find_unlisted
from include.backup.errors import (
    DamageFound,
    DatasetInvalid,
    FileAbsent,
    LedgerBroken,
    PolicyInvalid,
)
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.sentences import Copies, Subject
from include.backup.evidence.signing import Signer
from include.backup.evidence.spool import Spool
from include.backup.policy.objectives import (
    Judgement,
    Standing,
    judge,
    judge_retired,
    judge_without_schedule,
)
from include.backup.policy.schedule import schedule_of
from include.backup.repository.repository import Repository
from include.backup.repository.salvage import open_for_reading
from include.backup.storage.local import LocalStorage
from include.backup.vault.keyring import KeyContext, KeyProvider, LocalKey, load_secret
from include.backup.vault.layout import GENERATIONS, dataset_folder, generation_folder
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import Dataset, VaultSettings
    from include.backup.policy.model import DataClass
    from include.backup.sources.base import Source
    from include.backup.storage.base import Storage
    from include.backup.vault.generations import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVault:
    """A dataset, and where its recovery points and its evidence lie."""

    setting: Setting
    dataset: Dataset
    data_class: DataClass
    vault: VaultSettings
    folder: Storage
    ledger: Ledger
    spool: Spool
    seen: Seen

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
        signing_key = setting.connection(setting.datasets.signing_key)
        signer = Signer.of_text(signing_key.password)
        trusted = setting.datasets.trusted_keys
        if dataset.insecure_reason and not vault.insecure_reason:
            vault = replace(vault, insecure_reason=dataset.insecure_reason)
        opened = replace(vault, connection=vault.expirer) if expiring and vault.expirer else vault
        folder = dataset_folder(setting.open_storage(opened), name)
        # By its address: what waits for a vault does not belong into a copy of it.
        address = sha256(vault.url.encode()).hexdigest()[:16]
        spool = LocalStorage(setting.state_folder / "spool" / f"{vault.name}-{address}")
        return cls(
            setting=setting,
            dataset=dataset,
            data_class=data_class,
            vault=vault,
            folder=folder,
            ledger=Ledger(
                folder,
                subject=name,
                signer=signer,
                trusted=trusted,
                keep_for=setting.policy.evidence_retention if vault.object_lock else None,
            ),
            spool=Spool(spool, signer=signer, trusted=trusted),
            seen=Seen.of(setting.state_folder, vault=vault.url, dataset=name),
        )

    @property
    def subject(self) -> Subject:
        """What sentences are about."""
        return Subject(data_class=self.data_class.name, dataset=self.dataset.name)

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
        key = self.setting.connection(self.setting.datasets.key.connection)
        return LocalKey.of_text(key.password)

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

    def state(self) -> DatasetState:
        """The dataset as the newest record says.

        Raises:
            LedgerBroken, StorageError.
        """
        head = self.ledger.head()
        return DatasetState.of_json(head.state if head else {})

    def require_history(self) -> None:
        """Refuse a vault that has less of the dataset than it had.

        Raises:
            LedgerBroken: it is empty, or not the one that it was.
            StorageError.
        """
        head = self.ledger.head()
        self.seen.require(head)
        if head is None and (left := self.folder.folders(GENERATIONS)):
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
        newest, own = state.newest_point, self.data_class
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
        return self.setting.policy.full_backups.interval
