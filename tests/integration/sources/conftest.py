"""Fixtures of the sources' integration tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.sources.buckets import BucketSite
from tests.servers.rgw import rgw  # noqa: F401 a fixture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.rgw import Rgw


@pytest.fixture
def site(rgw: Rgw, tmp_path: Path) -> BucketSite:  # noqa: F811
    """A bucket as a dataset, and its vault on disk."""
    return BucketSite(tmp_path, rgw)


@pytest.fixture
def versioned(rgw: Rgw, tmp_path: Path) -> BucketSite:  # noqa: F811
    """The same with a bucket that keeps versions."""
    return BucketSite(tmp_path, rgw, kind="versioned")
