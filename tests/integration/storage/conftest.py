"""The servers of the storage's tests: Ceph's, and with HOLDFAST_SERVERS=all moto's as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.moto_s3 import ALL, declare_gaps, shared_moto
from tests.servers.rgw import rgw as ceph

if TYPE_CHECKING:
    from tests.servers.rgw import Rgw

__all__ = ["ceph"]
SERVERS = ("ceph", "moto") if ALL else ("ceph",)


@pytest.fixture(scope="session", params=SERVERS)
def rgw(request: pytest.FixtureRequest) -> Rgw:
    """Each server in turn."""
    if request.param == "moto":
        return shared_moto()
    server: Rgw = request.getfixturevalue("ceph")
    return server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What moto cannot prove is expected to fail on it."""
    declare_gaps(items)
