"""An installation to try the commands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.shell import ENTRY, ROOT, Shell

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An installation with one small dataset."""
    (tmp_path / "config").mkdir()
    policy = (ROOT / "include" / "config" / "policy.yaml").read_text(encoding="utf-8")
    (tmp_path / "config" / "policy.yaml").write_text(policy)
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "customers.csv").write_text("id,name\n1,Ada\n")
    made = Shell(tmp_path)
    made.datasets(ENTRY)
    return made
