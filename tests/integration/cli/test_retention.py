"""Retention by command: verdicts, holds, and what nobody lists any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.cli.shell import Shell

pytestmark = pytest.mark.integration
TWO = ("--reason", "a lawsuit", "--requested-by", "legal", "--approved-by", "cto")


def test_verdicts_and_holds(shell: Shell) -> None:
    """A plan touches nothing; a run records its verdicts; a hold is listed until it is lifted."""
    shell("back-up", "crm")
    planned = shell("expire", "crm", "--dry-run")
    assert "kept for 30 days" in planned
    assert "nothing was touched" in planned
    assert "KEPT 3.2 · critical/crm · 1 recovery point kept, each for 30 days" in shell("expire")
    assert "nothing is on hold" in shell("holds")
    shell("holds", "add", "crm", *TWO)
    [hold] = shell.json("holds")
    assert "a lawsuit" in shell("holds", "--dataset", "crm")
    assert "on hold: a lawsuit" in shell("expire", "crm", "--dry-run")
    assert "it needs the approval of somebody else" in shell(
        *("holds", "lift", "crm", hold["id"], "--reason", "x"),
        *("--requested-by", "cto", "--approved-by", "cto"),
        code=2,
    )
    assert "is lifted" in shell("holds", "lift", "crm", hold["id"], *TWO)
    assert shell.json("holds") == []
    assert "nothing is in doubt" in shell("suspicions")
    assert "nothing of crm is in doubt" in shell(
        "suspicions", "resolve", "crm", "--by", "anna", "--reason", "x", code=2
    )
    shell("ledger", "verify", "crm")


def test_what_nobody_lists_is_a_finding(shell: Shell) -> None:
    """Nothing of it expires until somebody says that it is retired."""
    shell("back-up", "crm")
    shell.datasets("""
  other:
    class: critical
    owner: other@example.com
    source: {{type: filesystem, path: {site}/other}}
""")
    told = shell("status", code=None)
    assert "finding 3.2 · a vault holds crm" in told
    assert "kept" in told
