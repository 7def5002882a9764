"""The policy that counts: policy.yaml, or the last valid one when that cannot be used.

A slip of the hand in policy.yaml must not stop backups, and still less a restore. Each run that
reads a valid policy keeps a copy on this machine, which is what DAG files fall back to, and one in
the vault, for machines that have none. Whoever works with a kept policy says so, and its runs of
Airflow end red.

    valid       it can be read, and its schedules are proved to keep its promises
    <state folder>/policy.last-valid.json     the copy
    <state folder>/proved/<sha256>            the proof was made: it takes a moment for ten years
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from include.backup.cli.environment import (
    config_folder,
    load_setting,
    now,
    open_storage,
    state_folder,
)
from include.backup.errors import BackupError, ConfigurationInvalid, PolicyInvalid
from include.backup.policy.load import load_policy, parse_policy, policy_digest, policy_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import VaultSettings
    from include.backup.policy.model import Policy
    from include.backup.storage.base import Storage

    OpenStorage = Callable[[VaultSettings], Storage]

log = logging.getLogger(__name__)

_COPY: Final = "policy.last-valid.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A policy, and what is wrong with policy.yaml."""

    policy: Policy
    warning: str = ""


def policy_in_force(
    open_vault: OpenStorage, *, config: Path | None = None, today: date | None = None
) -> InForce:
    """Read policy.yaml, or what was kept of the last valid one.

    Args:
        open_vault: opens its storage, if it has to be asked.
        config: the configuration folder; by default that of the environment.
        today: ask for the proof as well, beginning then; None: what can be read will do.

    Raises:
        PolicyInvalid: policy.yaml cannot be read, and no valid one was ever kept.
    """
    config = config or config_folder(None)
    policy: Policy | None = None
    try:
        policy = load_policy(config / "policy.yaml")
        if today is not None:
            _require_proved(policy, today)
        return InForce(policy=policy)
    except PolicyInvalid as error:
        trouble = str(error).splitlines()[0]
        kept = _kept_here() or _kept_in_vault(config, open_vault)
        if kept is None and policy is None:
            raise
    if kept is None:
        assert policy is not None
        return InForce(policy=policy, warning=f"AT RISK 8 · policy.yaml cannot be kept ({trouble})")
    wrong = "is not valid" if policy is None else "cannot be kept"
    return InForce(
        policy=kept,
        warning=f"AT RISK 8 · policy.yaml {wrong}, the last valid policy is in force ({trouble})",
    )


def setting_in_force(config: Path, *, proved: bool = False) -> Setting:
    """The setting of a command that works with the last valid policy rather than not at all.

    Args:
        proved: see that the schedules keep their promises, as for what the schedule does.

    Raises:
        ConfigurationInvalid: there is no valid policy; or datasets.yaml cannot be used at all.
    """
    today = now().date() if proved else None
    in_force = policy_in_force(open_storage, config=config, today=today)
    warnings = (in_force.warning,) if in_force.warning else ()
    return load_setting(config, policy=in_force.policy, warnings=warnings)


def setting_of(options: argparse.Namespace) -> Setting:
    """The setting of a command, by what it was called with: a configuration, or a vault alone.

    Raises:
        ConfigurationInvalid: neither can be used.
        StorageError: the vault cannot be read.
    """
    if options.vault_url:
        from include.backup.cli.vault_alone import setting_of_vault  # noqa: PLC0415  rarely needed

        return setting_of_vault(options.vault_url, reason=getattr(options, "reason", ""))
    setting = setting_in_force(config_folder(options.config))
    if not getattr(options, "break_glass", False):
        return setting
    if not options.reason.strip():
        raise ConfigurationInvalid("who breaks the glass says why", hint="--reason TEXT")
    return replace(setting, break_glass=options.reason)


def warn(setting: Setting) -> None:
    """Say on the error stream what the sentences of acts say themselves."""
    for warning in setting.warnings:
        print(warning, file=sys.stderr)


def keep(setting: Setting) -> None:
    """Keep a valid policy on this machine and in the first vault, for days on which it is none.

    Raises nothing: it is kept for later, and must not stop what is done now.
    """
    from include.backup.actions.configuration import keep_policy  # noqa: PLC0415  heavy

    _keep_here(policy_text(setting.policy).encode())
    first = next(iter(setting.datasets.vaults.values()))
    try:
        keep_policy(setting, first)
    except BackupError as error:  # the datasets may lie in other vaults
        log.warning("the policy was not kept in the vault: %s", error)


def _require_proved(policy: Policy, today: date) -> None:
    """Prove the schedules, once for each policy on each machine.

    Raises:
        PolicyInvalid: those of the first class that cannot keep its promises.
    """
    from include.backup.policy.proof import prove  # noqa: PLC0415  not while parsing

    proved = state_folder() / "proved" / policy_digest(policy)
    if proved.exists():
        return
    for data_class in policy.classes:
        prove(data_class, start=today).require()
    with suppress(OSError):  # it is proved again, then
        proved.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        proved.touch()


def _keep_here(text: bytes) -> None:
    """The file is replaced at once or not at all."""
    folder = state_folder()
    path = folder / _COPY
    temporary = folder / f".{_COPY}.{secrets.token_hex(4)}"
    try:
        if path.exists() and path.read_bytes() == text:
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_bytes(text)
        os.replace(temporary, path)  # noqa: PTH105  the atomic one, by its plain name
    except OSError as error:
        log.warning("the policy was not kept in %s: %s", folder, error.strerror)


def _kept_here() -> Policy | None:
    path = state_folder() / _COPY
    try:
        return parse_policy(path.read_bytes(), file=path.name)
    except (OSError, PolicyInvalid):
        return None


def _kept_in_vault(config: Path, open_vault: OpenStorage) -> Policy | None:
    from include.backup.actions.configuration import kept_policies  # noqa: PLC0415  rarely needed
    from include.backup.policy.datasets import load_datasets  # noqa: PLC0415  rarely needed

    try:
        datasets = load_datasets((), config / "datasets.yaml")
        return next(kept_policies(open_vault(next(iter(datasets.vaults.values())))), None)
    except BackupError:
        return None
