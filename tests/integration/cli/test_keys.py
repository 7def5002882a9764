"""Keys by command: listed, rotated, erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.shell import connection

if TYPE_CHECKING:
    from tests.integration.cli.shell import Shell

pytestmark = pytest.mark.integration
TWO = ("--reason", "the customer left", "--requested-by", "anna", "--approved-by", "bob")


def test_a_key_is_rotated_and_a_generation_erased(shell: Shell) -> None:
    """As the runbook says."""
    shell("back-up", "crm")
    [before] = shell.json("keys", "list")
    assert before["envelopes"] == before["master_key"]
    shell.environment["AIRFLOW_CONN_OLD_MASTER_KEY"] = connection(1)
    shell.environment["AIRFLOW_CONN_BACKUP_MASTER_KEY"] = connection(7)
    told = shell("keys", "rotate", "--old", "old_master_key")
    assert "no other key opens any of it" in told
    [after] = shell.json("keys", "list")
    assert after["master_key"] != before["master_key"]
    assert after["envelopes"] == after["master_key"]
    del shell.environment["AIRFLOW_CONN_OLD_MASTER_KEY"]
    shell("restore", "crm", "--to", "out")
    assert "there is no connection" in shell("keys", "rotate", "--old", "old_master_key", code=2)
    shell("keys", "erase", "crm", *TWO, code=2)  # which?
    told = shell("keys", "erase", "crm", "--generation", after["generation"], *TWO)
    assert "erased before its time" in told
    assert "nothing is stored yet" in shell("keys", "list")
    shell("ledger", "verify", "crm")
