"""What all tests share: how Hypothesis draws, and that nothing is skipped in CI."""

from __future__ import annotations

import gc
import os
import signal
from functools import cache
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from include.backup.format import keys
from tests.skip_guard import pytest_runtest_makereport

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer

__all__ = ["pytest_runtest_makereport"]

# No deadlines: the machines are shared, and a slow example is not a wrong one.
settings.register_profile("here", deadline=None)
# The same examples in every run: a merge is not stopped by what was wrong before it.
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
# New examples in every run, and patience with slow ones: `make torture`.
settings.register_profile(
    "torture", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# A shell that runs a command with `&` has it ignore Ctrl-C, and so do the programs it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")


# The keys of repositories are derived from the same passwords again and again, slowly on purpose;
# here at a low cost, which stock restic accepts as well. The commands that tests run as programs of
# their own, and the demo, pay the real one.
keys._derive = cache(keys._derive)
keys.SCRYPT_N = 1 << 10


class OneAirflow(LoadFileScheduling):
    """A file of tests stays with one worker; those that share an Airflow are one file to it."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneAirflow:
    """See xdist's hook of that name."""
    return OneAirflow(config, log)


def pytest_collection_finish() -> None:
    """Let the collector look at what tests make alone, and so more often.

    What failed on purpose lies in circles with its tracebacks, and holds vaults that are in memory.
    """
    gc.collect()
    gc.freeze()
