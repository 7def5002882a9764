"""What `doctor` looks at in a vault: whether it can be written, and whether our keys fit it.

A vault in a directory must be there already. To make it would hide that its volume is not mounted,
and the next backup would go to the disk below the mount point.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from include.backup.actions.providers import provider_of
from include.backup.actions.rescuing import strangers
from include.backup.actions.undelete import tampering_outside
from include.backup.cli.environment import connection, now, open_storage, user
from include.backup.errors import (
    AccessRefused,
    BackupError,
    ConfigurationInvalid,
    KeyUnusable,
    NameTaken,
)
from include.backup.evidence.ledger import Ledger
from include.backup.evidence.signing import Signer, key_id_of
from include.backup.evidence.wording import count
from include.backup.vault.layout import (
    GENERATIONS,
    dataset_folder,
    dataset_names,
)
from include.backup.vault.rescue import UNWRAP, own_texts, rescue_files, unwrap_sha256
from include.backup.vault.state import DatasetState

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import Dataset, VaultSettings
    from include.backup.storage.base import Storage

_CLOCK_LIMIT: Final = timedelta(minutes=5)
_MOST_DATASETS: Final = 20  # whose newest record is read, in each vault
_MOST_NAMED: Final = 3
_SMALL: Final = ("config", "index/", "keys/", "snapshots/")  # of a repository; packs are many
_FILES_READ: Final = 3  # of each dataset, by who only reads


def try_vault(vault: VaultSettings) -> str:
    """Write, read, list, refuse a second writer, compare clocks, delete.

    Raises:
        BackupError: one of these did not work; or the directory is not there.
    """
    _require_directory(vault)
    storage = open_storage(vault, hurried=True)
    if vault.object_lock:
        _require_lockable(storage)
    name = f"leases/doctor-{secrets.token_hex(8)}"
    probe = secrets.token_bytes(64)
    storage.save(name, probe)
    try:
        if storage.load(name) != probe:
            raise BackupError("what was read is not what was written", hint="trust nothing there")
        try:
            storage.save(name, b"a second writer")
        except NameTaken:
            pass
        else:
            raise BackupError(
                "a second file of the same name was accepted",
                hint="the store ignores If-None-Match: two runs could write one record",
            )
        apart = now() - storage.stat(name).modified_at
        if abs(apart) > _CLOCK_LIMIT:
            raise BackupError(
                f"its clock and this machine's are {abs(apart).total_seconds():.0f} s apart",
                hint="set up NTP; ages and lock dates depend on it",
            )
    finally:
        storage.delete([name])
    return f"{vault.url}: written, read, second writer refused, deleted"


def _require_lockable(storage: Storage) -> None:
    from include.backup.storage.s3 import S3Storage  # noqa: PLC0415  boto3 is heavy

    assert isinstance(storage, S3Storage)  # a directory has no such key
    storage.require_lockable()


def try_roles(vault: VaultSettings) -> str:
    """See that who writes cannot delete a recovery point, and that who expires can.

    Raises:
        BackupError: it is otherwise.
    """
    writer = open_storage(vault, hurried=True)
    expirer = open_storage(replace(vault, connection=vault.expirer), hurried=True)
    name = f"datasets/holdfast-doctor/keys/probe-{secrets.token_hex(8)}"
    writer.save(name, b"")
    refused = False
    try:
        writer.delete([name])
    except AccessRefused:
        refused = True
    try:
        expirer.delete([name])
    except AccessRefused as error:
        raise BackupError(
            f"{vault.expirer} cannot delete what has expired: {error.message}",
            hint="VAULTS.md has the policy that the bucket needs",
        ) from None
    if not refused:
        raise BackupError(
            f"{vault.connection} writes backups, and can delete them as well",
            hint="VAULTS.md has the policy that the bucket needs",
        )
    return f"{vault.connection} cannot delete recovery points, {vault.expirer} can"


def try_reader(vault: VaultSettings) -> str:
    """See that who only reads can list and read what is there, and cannot write.

    Raises:
        BackupError: it is otherwise; or the directory is not there.
    """
    _require_directory(vault)
    storage = open_storage(vault, hurried=True)
    names = dataset_names(storage)
    for name in names[:_MOST_DATASETS]:
        folder = dataset_folder(storage, name)
        for info in islice(folder.list(), _FILES_READ):
            folder.load(info.name, length=min(info.size_bytes, 1))
    probe = f"leases/doctor-{secrets.token_hex(8)}"
    try:
        storage.save(probe, b"")
    except AccessRefused:
        return f"{vault.url}: {count(len(names), 'dataset')} listed and read, writing was refused"
    storage.delete([probe])
    raise BackupError(
        f"{vault.connection or user()} can write to {vault.url}, and not only read",
        hint="VAULTS.md has the rights of a reader",
    )


def try_tampering(vault: VaultSettings) -> str:
    """See that nobody has deleted or overwritten the small files: all but the packs.

    Raises:
        BackupError: somebody has.
    """
    storage = open_storage(vault, hurried=True)
    names = dataset_names(storage)
    found = tampering_outside(storage)
    hit = ["what belongs to no dataset"] if found.names else []
    for name in names[:_MOST_DATASETS]:
        folder = dataset_folder(storage, name)
        generations = [f"{GENERATIONS}{one}/" for one in folder.folders(GENERATIONS)]
        looked = [f"{one}{kind}" for one in generations for kind in _SMALL]
        here = [
            told
            for prefix in ("keys/", "ledger/", "replica.json", "reports/", *looked)
            for told in folder.tampering(prefix)
        ]
        if here:
            hit.append(name)
        for one in here:
            found.add(one)
    if found.names:
        raise BackupError(
            f"tampering with {_named(hit)}: {found}, as {found.first[0]}",
            hint="what was saved first is read still; RUNBOOK.md, "
            '"Somebody deleted or overwrote backups"',
        )
    more = len(names) - _MOST_DATASETS
    rest = f"; {count(more, 'more dataset')} not looked at" if more > 0 else ""
    return f"nobody has deleted or overwritten files, packs not looked at{rest}"


def try_rescue(setting: Setting, vault: VaultSettings) -> str:
    """Compare what strangers are to follow in a vault with what we saved there.

    Raises:
        BackupError: somebody else has left such a file, or the vault cannot be read.
    """
    if found := strangers(setting, vault):
        raise BackupError(
            "; ".join(found), hint="remove it, and find out who could write there: RUNBOOK.md"
        )
    storage = open_storage(vault, hurried=True)
    ours = own_texts(storage, rescue_files(storage), url=vault.url)
    if not ours:
        return f"RECOVERY.txt and {UNWRAP} come with the next backup"
    return f"{', '.join(sorted(ours))}; SHA-256 of {UNWRAP}: {unwrap_sha256()}"


def try_keys(setting: Setting, vault: VaultSettings) -> str:
    """Compare our keys with those that the newest records of a vault name.

    Raises:
        KeyUnusable: the vault was written with others.
        BackupError: a key, a ledger or the vault cannot be read.
    """
    settings = setting.datasets
    signer = Signer.of_text(connection(settings.signing_key).password)
    master = provider_of(setting).master_key_id
    believed = {signer.key_id, *map(key_id_of, settings.trusted_keys)}
    storage = open_storage(vault, hurried=True)
    stored = dataset_names(storage)
    own = [name for name in stored if _is_in(vault, settings.good.get(name))]
    signers, masters = keys_of(storage, own[:_MOST_DATASETS])
    for key in signers.keys() - believed:
        raise KeyUnusable(
            f"the newest record of {_named(signers[key])} is signed with key {key}, "
            f"and {signer.key_id} was given",
            hint="give the signing key of that id, or list its public part under "
            "signing_key.trusted (it stands on the recovery sheet)",
        )
    for key in masters.keys() - {master}:
        raise KeyUnusable(
            f"the newest generation of {_named(masters[key])} has master key {key}, "
            f"and {master} was given",
            hint="give the master key of that id; a new one begins with "
            "`back-up DATASET --full --new-key`",
        )
    rest = f"; {len(own) - _MOST_DATASETS} more not looked at" if len(own) > _MOST_DATASETS else ""
    if not signers:
        return f"no records yet{' of the datasets listed here' if stored else ''}{rest}"
    looked = sum(map(len, signers.values()))
    return f"both fit the newest records of {looked} dataset{'s' * (looked > 1)}{rest}"


def _is_in(vault: VaultSettings, dataset: Dataset | None) -> bool:
    return dataset is not None and dataset.vault == vault.name


def keys_of(
    storage: Storage, names: list[str]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The keys that signed newest records, and the master keys of newest generations, whose each.

    Raises:
        LedgerBroken, StorageError.
    """
    signers: dict[str, list[str]] = {}
    masters: dict[str, list[str]] = {}
    for name in names:
        head = Ledger(dataset_folder(storage, name), subject=name).head()
        if head is None:
            continue
        signers.setdefault(head.key, []).append(name)
        if generations := DatasetState.of_json(head.state).generations:
            masters.setdefault(generations[-1].key, []).append(name)
    return signers, masters


def _require_directory(vault: VaultSettings) -> None:
    if not vault.local_path:
        return
    path = Path(vault.local_path)
    try:
        if path.is_dir():
            return
        there = path.exists()
    except PermissionError:
        raise ConfigurationInvalid(
            f"{path} cannot be looked at: permission denied",
            hint=f"let {user()} enter the folders above it",
        ) from None
    if there:
        raise ConfigurationInvalid(
            f"{path} is no directory", hint="correct the url of the vault in datasets.yaml"
        )
    raise ConfigurationInvalid(
        f"{path} is not there",
        hint=f"is the volume mounted? For a new vault: mkdir -p -m 700 {shlex.quote(str(path))}",
    )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"
