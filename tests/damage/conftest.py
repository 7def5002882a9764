"""Stock restic judges here, too; and one key is derived once, however often it is needed."""

from __future__ import annotations

import os
from functools import lru_cache

import pytest

from include.backup.format import keys
from tests.interop.conftest import restic

__all__ = ["restic"]
# Each round takes many seconds: only `make torture` has the time.
collect_ignore = [] if os.environ.get("HOLDFAST_ROUNDS") else ["test_network_outages.py"]
_derived = lru_cache(maxsize=512)(keys._derive)  # a third of the time of these tests


@pytest.fixture(autouse=True)
def _derive_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_derive", _derived)
