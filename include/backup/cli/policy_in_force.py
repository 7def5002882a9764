"""The policy that counts: policy.yaml, or the last valid one when that cannot be read.

A slip of the hand in policy.yaml must not stop backups. Each run that reads a valid policy keeps a
copy on this machine, which is what DAG files fall back to, and one in the vault, for machines that
have none. Whoever works with a kept policy says so, and its runs end red.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.cli.environment import config_folder, state_folder
from include.backup.errors import BackupError, PolicyInvalid
from include.backup.policy.load import load_policy, parse_policy, policy_text

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.policy.model import Policy

_COPY: Final = "policy.last-valid.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A policy, and why it is not that of policy.yaml."""

    policy: Policy
    warning: str = ""


def policy_in_force() -> InForce:
    """Read policy.yaml, or what was kept of the last valid one.

    Raises:
        PolicyInvalid: policy.yaml cannot be read, and no valid one was ever kept.
    """
    try:
        return InForce(policy=load_policy(config_folder(None) / "policy.yaml"))
    except PolicyInvalid as error:
        kept = _kept_here() or _kept_in_vault()
        if kept is None:
            raise
        first = str(error).splitlines()[0]
        return InForce(
            policy=kept,
            warning=f"AT RISK 8 · policy.yaml is not valid, the last valid policy is in force "
            f"({first})",
        )


def keep(policy: Policy) -> None:
    """Keep a valid policy on this machine; the file is replaced at once or not at all."""
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = policy_text(policy).encode()
    path = folder / _COPY
    if path.exists() and path.read_bytes() == text:
        return
    temporary = folder / f".{_COPY}.{secrets.token_hex(4)}"
    temporary.write_bytes(text)
    os.replace(temporary, path)  # noqa: PTH105  the atomic one, by its plain name


def _kept_here() -> Policy | None:
    return _parse(state_folder() / _COPY)


def _parse(path: Path) -> Policy | None:
    try:
        return parse_policy(path.read_bytes(), file=path.name)
    except (OSError, PolicyInvalid):
        return None


def _kept_in_vault() -> Policy | None:
    from include.backup.actions.review import last_kept_policy  # noqa: PLC0415  rarely needed
    from include.backup.policy.datasets import load_datasets  # noqa: PLC0415  rarely needed
    from include.orchestration.connections import open_storage  # noqa: PLC0415  rarely needed

    try:
        datasets = load_datasets((), config_folder(None) / "datasets.yaml")
        return last_kept_policy(open_storage(next(iter(datasets.vaults.values()))))
    except BackupError:
        return None
