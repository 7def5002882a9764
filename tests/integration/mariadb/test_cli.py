"""From the configuration to a recovery point, as somebody at a terminal does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.conftest import shell

if TYPE_CHECKING:
    from tests.integration.cli.shell import Shell
    from tests.servers.mariadb import Mariadb

__all__ = ["shell"]
ENTRY = """
  shop:
    class: critical
    owner: shop-team@example.com
    source: {{type: mariadb, connection: shop_db, databases: %s, jobs: 2}}
"""


@pytest.fixture
def filled(mariadb: Mariadb, database: str, shell: Shell) -> str:
    """A database that is listed as a dataset."""
    mariadb.run("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)",
                database=database)  # fmt: skip
    (shell.site / "vault").mkdir()
    shell.datasets(ENTRY % database)
    shell.environment["AIRFLOW_CONN_SHOP_DB"] = mariadb.variable()
    return database


def test_a_listed_database_is_backed_up(shell: Shell, filled: str) -> None:
    """`doctor` tries it, `back-up` reads it, `status` knows it."""
    told = shell("doctor")
    assert "ok    dataset shop: 10.11" in told
    assert f"{filled}; 1 table" in told
    told = shell("back-up", "shop")
    assert "KEPT 3.1" in told
    assert shell.json("recovery-points", "shop")
    told = shell("back-up", "shop")
    assert "incremental recovery point" in told
    assert shell("check", "shop", "--read-data")


def test_what_is_wrong_is_said_in_two_lines(shell: Shell, mariadb: Mariadb, filled: str) -> None:
    """By doctor, and by a backup, which leaves a record of its failure; no secret is told."""
    mariadb.run("CREATE TABLE old (id INT) ENGINE=MyISAM", database=filled)
    told = shell("doctor", code=1)
    assert "FAIL  dataset shop: tables of engines without transactions" in told
    assert f"{filled}.old (MyISAM)" in told
    told = shell("back-up", "shop", code=1)
    assert "non_transactional: lock" in told
    shell.datasets((ENTRY % filled).replace("jobs: 2", "non_transactional: lock"))
    assert "writers waited" in shell("back-up", "shop")
    shell.environment["AIRFLOW_CONN_SHOP_DB"] = mariadb.variable(password="guessed wrong")
    told = shell("back-up", "shop", code=1) + shell("doctor", code=1)
    assert "refuses admin (1045)" in told
    assert "guessed wrong" not in told
    shell.environment.pop("AIRFLOW_CONN_SHOP_DB")
    assert "there is no connection 'shop_db'" in shell("doctor", code=1)
