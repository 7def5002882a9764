"""`doctor`: try out everything a backup will need, and say ok or what to do about it."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from include.backup.actions.escrow import escrow_findings
from include.backup.actions.open_source import open_source
from include.backup.actions.providers import provider_of
from include.backup.cli.airflow_pools import can_be_asked, require_pools
from include.backup.cli.doctor_sources import try_bucket
from include.backup.cli.doctor_vaults import (
    try_keys,
    try_reader,
    try_rescue,
    try_roles,
    try_tampering,
    try_vault,
)
from include.backup.cli.environment import (
    config_folder,
    connection,
    load_setting,
    now,
    state_folder,
    user,
)
from include.backup.cli.kit_folder import release
from include.backup.errors import BackupError, ConfigurationInvalid, KeyUnusable, StorageUnreachable
from include.backup.evidence.signing import Signer
from include.backup.evidence.wording import count
from include.backup.format.chunker import require_compiled_chunker
from include.backup.policy.people import FILE
from include.backup.policy.proof import prove
from include.backup.policy.source_model import S3Settings
from include.backup.vault.keyring import SECRET_SIZE, KeyContext

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TextIO

    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import Dataset, VaultSettings

_FOUR_EYES: Final = 2
_PACKAGES: Final = ("cryptography", "zstandard", "pyfastcdc", "numpy", "boto3", "apache-airflow")


def doctor(options: argparse.Namespace) -> int:
    """Print one line for each thing tried; exit 1 if one of them would stop a backup.

    For who only reads: if one would stop a restore, or if this connection can do more than read.
    """
    patient = _Patient()
    setting: Setting | None = None

    def configuration() -> str:
        nonlocal setting
        setting = load_setting(config_folder(options.config))
        return f"{config_folder(options.config)}: {count(len(setting.datasets.good), 'dataset')}"

    patient.examine("configuration", configuration)
    patient.examine("chunker", _chunker)
    if setting is not None and options.reader:
        _examine_reader(patient, setting)
    elif setting is not None:
        _examine_setting(patient, setting)
    patient.examine("state folder", _try_state_folder)
    _tell_versions(patient)
    print("all is well" if not patient.failures else f"{patient.failures} to mend")
    return 1 if patient.failures else 0


class _Patient:
    """Collects what was found; says on a terminal what is being tried, for some takes a while."""

    def __init__(self, terminal: TextIO | None = None) -> None:
        self.failures = 0
        self._terminal = terminal or sys.stderr
        self._shown = self._terminal.isatty()

    def examine(self, what: str, look: Callable[[], str]) -> BackupError | None:
        """Try one thing; return what went wrong."""
        self._show(f"trying {what} …")
        try:
            told, failure = look(), None
        except BackupError as error:
            told, failure = str(error), error
            self.failures += 1
        finally:
            self._show("")
        print(f"{'FAIL' if failure else 'ok'}".ljust(6) + f"{what}: {told}")
        return failure

    def _show(self, text: str) -> None:
        if self._shown:
            self._terminal.write(f"\r\x1b[K{text}")
            self._terminal.flush()

    def tell(self, what: str, text: str) -> None:
        """Say something that stops nothing."""
        print(f"note  {what}: {text}")


def _tell_people(patient: _Patient, setting: Setting) -> None:
    """Who may approve restores (4.3): a file that cannot be read stops them all."""
    if patient.examine("people", lambda: count(len(setting.people()), "person", "people")):
        return
    for one in setting.people().values():
        if one.trouble:

            def refuse(trouble: str = one.trouble) -> str:
                raise ConfigurationInvalid(trouble)

            patient.examine(f"person {one.user}", refuse)
    today = now().date()
    trained = [one for one in setting.people().values() if not one.why_untrained(today)]
    if len(trained) < _FOUR_EYES:
        patient.tell(
            "people",
            f"{len(trained)} may approve restores today, and who asks may not approve: "
            f"{FILE} needs {_FOUR_EYES} with a valid training (4.3)",
        )


def _examine_setting(patient: _Patient, setting: Setting) -> None:
    datasets = setting.datasets
    for name, bad in datasets.bad.items():

        def refuse(bad: BackupError = bad) -> str:
            raise bad

        patient.examine(f"dataset {name}", refuse)
    for data_class in setting.policy.classes:
        proof = prove(data_class, start=now().date())
        patient.examine(
            f"class {data_class.name}",
            lambda p=proof: str(p.require()),  # type: ignore[misc]
        )
    _tell_people(patient, setting)
    if can_be_asked():
        names = [data_class.name for data_class in setting.policy.classes]
        patient.examine("pools of Airflow", lambda: require_pools(names))
    else:
        patient.tell("pools of Airflow", "not looked at: no AIRFLOW_HOME here, or no airflow")
    no_master = patient.examine("master key", lambda: _master_key(setting))
    no_signing = patient.examine("signing key", lambda: _signing_key(setting))
    troubled = [
        _examine_vault(patient, setting, vault, with_keys=not (no_master or no_signing))
        for vault in datasets.vaults.values()
    ]
    if not datasets.good and not datasets.bad:
        patient.tell("datasets", "none is listed, so nothing is backed up; list one")
    # The first vault has the ledger of the policy. What cannot be read is not waited for again.
    for finding in () if troubled[0] else escrow_findings(setting, version=release()):
        patient.tell(finding.key, f"{finding.reality}; hint: {finding.reading}")
    for name, dataset in datasets.good.items():
        patient.examine(
            f"dataset {name}",
            lambda one=dataset: _try_source(setting, one),  # type: ignore[misc]
        )


def _examine_vault(
    patient: _Patient, setting: Setting, vault: VaultSettings, *, with_keys: bool
) -> BackupError | None:
    failure = patient.examine(f"vault {vault.name}", lambda: try_vault(vault))
    if vault.expirer and failure is None:
        patient.examine(f"rights in vault {vault.name}", lambda: try_roles(vault))
    _look_for_tampering(patient, vault, failure)
    if failure is None:
        patient.examine(f"rescue from vault {vault.name}", lambda: try_rescue(setting, vault))
    # A vault that cannot be reached says the same again, and takes as long for it.
    if with_keys and not isinstance(failure, StorageUnreachable | ConfigurationInvalid):
        patient.examine(f"keys and vault {vault.name}", lambda: try_keys(setting, vault))
    return failure


def _look_for_tampering(
    patient: _Patient, vault: VaultSettings, failure: BackupError | None
) -> None:
    # A directory keeps no versions to look at; who is not reached says the same again.
    unreachable = isinstance(failure, StorageUnreachable | ConfigurationInvalid)
    if not unreachable and not vault.local_path:
        patient.examine(f"tampering in vault {vault.name}", lambda: try_tampering(vault))


def _examine_reader(patient: _Patient, setting: Setting) -> None:
    """What an auditor needs, or a restore on a strange machine: the keys, and vaults to read."""
    no_master = patient.examine("master key", lambda: _master_key(setting))
    no_signing = patient.examine("signing key", lambda: _signing_key(setting))
    for vault in setting.datasets.vaults.values():
        failure = patient.examine(
            f"vault {vault.name}",
            lambda one=vault: try_reader(one),  # type: ignore[misc]
        )
        _look_for_tampering(patient, vault, failure)
        if failure is None and not (no_master or no_signing):
            patient.examine(
                f"keys and vault {vault.name}",
                lambda one=vault: try_keys(setting, one),  # type: ignore[misc]
            )


def _chunker() -> str:
    require_compiled_chunker()
    return "compiled"


def _master_key(setting: Setting) -> str:
    """Try it: what it wraps, it opens again."""
    provider, context = provider_of(setting), KeyContext(dataset="doctor", generation="doctor")
    secret = secrets.token_bytes(SECRET_SIZE)
    if provider.unwrap(provider.wrap(secret, context), context) != secret:
        raise KeyUnusable("the master key does not open what it has wrapped")
    return provider.master_key_id


def _signing_key(setting: Setting) -> str:
    return Signer.of_text(connection(setting.datasets.signing_key).password).key_id


def _try_source(setting: Setting, dataset: Dataset) -> str:
    assert dataset.source is not None
    if isinstance(dataset.source, S3Settings):
        return try_bucket(dataset, dataset.source)  # with less patience than at night
    return open_source(setting, dataset, dataset.source).preflight()


def _try_state_folder() -> str:
    folder = state_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".doctor-{secrets.token_hex(4)}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BackupError(
            f"{folder}: {error.strerror}",
            hint=f"set HOLDFAST_STATE to a folder that {user()} may write",
        ) from error
    return str(folder)


def _tell_versions(patient: _Patient) -> None:
    patient.tell("python", sys.version.split()[0])
    for package in _PACKAGES:
        try:
            patient.tell(package, version(package))
        except PackageNotFoundError:
            patient.tell(package, "not installed")
    if restic := shutil.which("restic"):
        told = subprocess.run(  # noqa: S603  the binary found on PATH, without arguments of users
            [restic, "version"], capture_output=True, text=True, check=False
        )
        patient.tell("restic", told.stdout.strip() or told.stderr.strip())
    else:
        patient.tell("restic", "not installed; backups do not need it, a rescue without us does")
