"""Fixtures of the storage's integration tests."""

from __future__ import annotations

from tests.servers.rgw import rgw  # noqa: F401 a fixture
