"""Every storage under the laws of the suite."""

from __future__ import annotations

from tests.suites.storage_suite import LockedSuite, StorageSuite, VersionedSuite


class TestStorage(StorageSuite):
    """Memory, a directory, and real buckets."""


class TestVersionedStorage(VersionedSuite):
    """Memory, and real buckets with versions."""


class TestLockedStorage(LockedSuite):
    """Memory, and a real bucket with Object Lock."""
