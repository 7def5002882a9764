"""Findings about the master key: what stands between the vault and whoever has to open it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.policy.findings import Finding
from include.backup.vault.kms import KmsKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.setting import Setting


def key_findings(setting: Setting) -> Iterator[Finding]:
    """Everything that could keep the right people from opening what is stored."""
    key = setting.datasets.key
    if key.provider == KmsKey.name and not key.offline_recipient:
        yield Finding(
            key="kms-alone",
            clauses=("4.2",),
            subject="",
            words="what was lost is restored within its RTO",
            reality=(
                "the master key lies in AWS KMS alone: a key that is deleted, or an account that "
                "is closed, takes every backup with it"
            ),
            reading=(
                "`holdfast keys offline` makes a key for paper; `offline_recipient` of the key in "
                "datasets.yaml lets each new generation open with it as well"
            ),
        )


def as_line(finding: Finding) -> str:
    """A finding as `status` prints it."""
    of = f"{finding.subject}: " if finding.subject else ""
    return f"finding {' '.join(finding.clauses)} · {of}{finding.reality}; hint: {finding.reading}"
