"""Stock restic judges here, too; nobody waits, and a key is derived once, however often needed."""

from __future__ import annotations

import os
from functools import lru_cache

import pytest

from include.backup.format import keys
from include.backup.repository import lock
from tests.interop.conftest import restic

__all__ = ["restic"]
# Each round takes many seconds, or more rights than a test should need: for `make torture` alone.
collect_ignore = [
    name
    for name, asked in {
        "test_network_outages.py": "HOLDFAST_ROUNDS",
        "test_power_cuts.py": "HOLDFAST_KILLS",
    }.items()
    if not os.environ.get(asked)
]
_derived = lru_cache(maxsize=512)(keys._derive)  # a third of the time of these tests


@pytest.fixture(autouse=True)
def _derive_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_derive", _derived)


@pytest.fixture(autouse=True)
def _wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait for the locks of others."""
    monkeypatch.setattr(lock, "_SETTLE_SECONDS", 0.0)
