"""A server for all tests of this folder, and installations whose dataset is a database of it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from tests.integration.mariadb.site import MariadbSite
from tests.interop.conftest import restic
from tests.servers.mariadb import mariadb

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.mariadb import Mariadb

__all__ = ["mariadb", "restic"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them talk to a server."""
    for item in items:
        if "integration/mariadb" in str(item.path):
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def database(mariadb: Mariadb, request: pytest.FixtureRequest) -> str:
    """An empty database of the test's own."""
    return mariadb.make_database(f"t{zlib.crc32(request.node.nodeid.encode())}")


@pytest.fixture
def site(mariadb: Mariadb, database: str, tmp_path: Path) -> MariadbSite:
    """An installation whose dataset is that database."""
    return MariadbSite(tmp_path, mariadb, database)
