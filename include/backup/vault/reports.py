"""Reports of verifications, beside the ledger and sealed: they name tables, files and faults.

    reports/<act>.json    see sealed.py

A report lives as long as its record, longer than any generation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from include.backup.errors import DamageFound, FileAbsent
from include.backup.vault.sealed import seal, unseal

if TYPE_CHECKING:
    from include.backup.storage.base import Storage
    from include.backup.vault.keyring import KeyProvider

REPORTS: Final = "reports/"  # in the folder of a dataset
_KIND: Final = "report"
_ACT: Final = re.compile(r"[0-9a-f-]{8,64}", re.ASCII)


def report_name(act: str) -> str:
    """The name of a report in the folder of its dataset."""
    if not _ACT.fullmatch(act):
        raise DamageFound(f"{act[:80]!r} is no id of an act")
    return f"{REPORTS}{act}.json"


def seal_report(page: bytes, provider: KeyProvider, *, dataset: str, act: str) -> bytes:
    """The file of a report.

    Raises:
        KeyUnusable: the provider refused.
    """
    return seal(page, provider, kind=_KIND, dataset=dataset, act=act)


def open_report(data: bytes, provider: KeyProvider, *, dataset: str, act: str) -> bytes:
    """The page of a report.

    Raises:
        DamageFound: it is none, or another's.
        KeyUnusable: it was sealed with another master key.
    """
    return unseal(data, provider, kind=_KIND, dataset=dataset, act=act)


def load_report(folder: Storage, provider: KeyProvider, *, dataset: str, act: str) -> bytes:
    """Load and open a report from the folder of its dataset.

    Raises:
        DamageFound: it is gone, or not what was written.
        KeyUnusable, StorageError.
    """
    try:
        data = folder.load(report_name(act))
    except FileAbsent as error:
        raise DamageFound(f"the report of act {act} is gone") from error
    return open_report(data, provider, dataset=dataset, act=act)
