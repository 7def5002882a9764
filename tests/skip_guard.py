"""In continuous integration (``CI=true``) a skipped test is a failed test.

A missing tool makes a test skip on a laptop, loudly. Where merging is decided, a test that did
not run has proved nothing, and a green run must not say otherwise.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

# What a container may be unable to give, by the rules it was started with. Nothing to install.
ALLOWED: Final = frozenset({
    "tests/unit/storage/test_local.py::test_a_full_disk_keeps_what_was_saved",  # user namespaces
})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skips into failures, with the reason that the test gave."""
    report = yield
    expected = hasattr(report, "wasxfail") or item.nodeid.partition("[")[0] in ALLOWED
    if report.skipped and not expected and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"not run, and CI=true: {reason}"
    return report
