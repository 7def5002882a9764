"""The page about a verification, out of the vault: opened, and compared with its record."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from include.backup.actions.dataset_vault import DatasetVault
from include.backup.errors import ConfigurationInvalid, DamageFound
from include.backup.evidence.kinds import Kind
from include.backup.vault.reports import load_report

if TYPE_CHECKING:
    from include.backup.actions.setting import Setting
    from include.backup.evidence.records import Record


def report(setting: Setting, name: str, *, act: str = "") -> tuple[Record, bytes]:
    """The page about the newest verification of a dataset, or about another one.

    Args:
        act: the beginning of its id.

    Returns:
        The record of the verification, and the page.

    Raises:
        ConfigurationInvalid: there is no such verification.
        DamageFound: the page is gone, or not the one that was recorded.
        KeyUnusable, StorageError, LedgerBroken.
    """
    place = DatasetVault.open_for_reading(setting, name)
    found = [
        record
        for record in place.ledger.read()
        if record.kind == Kind.VERIFIED and record.act.startswith(act)
    ]
    if not found:
        raise ConfigurationInvalid(
            f"{name} has no verification{f' {act}' if act else ''}",
            hint=f"holdfast verify {name}",
        )
    record = found[-1]
    page = load_report(place.home, place.provider(), dataset=name, act=record.act)
    if sha256(page).hexdigest() != record.body.get("report_sha256"):
        raise DamageFound(f"the report of act {record.act} is not the one that was recorded")
    return record, page
