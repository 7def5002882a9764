"""A process that holds a lease and does what it is told on its standard input.

    python -m tests.unit.vault.lease_holder DIRECTORY TIME_TO_LIVE_SECONDS RENEW_EVERY_SECONDS

It prints "held" or "refused: …" first, and after "check" or "end" one line each: "ours", "ended"
or "lost: …".
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.backup.errors import AlreadyRunning, LeaseLost
from include.backup.storage.local import LocalStorage
from include.backup.vault.leases import Lease
from include.backup.vault.owners import this_process


def run(directory: str, time_to_live: str, renew_every: str) -> None:
    """Hold the lease `full` of a directory until told to end."""
    try:
        lease = Lease.acquire(
            LocalStorage(Path(directory)),
            "full",
            owner=this_process("another process"),
            now=datetime(2026, 11, 1, 1, tzinfo=UTC),
            time_to_live=timedelta(seconds=float(time_to_live)),
            renew_every=timedelta(seconds=float(renew_every)),
        )
    except AlreadyRunning as error:
        print(f"refused: {error.message}", flush=True)
        return
    with lease:
        print("held", flush=True)
        for line in sys.stdin:
            if line.strip() == "end":
                break
            try:
                lease.check()
                print("ours", flush=True)
            except LeaseLost as error:
                print(f"lost: {error.message}", flush=True)
    print("ended", flush=True)


if __name__ == "__main__":
    run(*sys.argv[1:])
