"""A backup in a process of its own, which can be killed, stopped, and told when to go on.

    python -m tests.damage.child FOLDER METHOD [--stop-before PART] [--time-to-live SECONDS]

It prints a line when it begins, one before it saves the first file whose name holds PART, where it
waits for a line on its standard input, and one about its end.
"""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from include.backup.actions.back_up import back_up
from include.backup.errors import BackupError
from include.backup.policy.model import Method
from include.backup.repository import packer
from include.backup.storage.local import LocalStorage
from include.backup.vault import leases
from tests.interop.archives import Archives

PACK_BYTES = 64 << 10


class Waiting(LocalStorage):
    """A vault on disk that waits once before it saves what was named."""

    def __init__(self, folder: Path, part: str) -> None:
        super().__init__(folder)
        self._part = part

    def save(self, name: str, data: Any, **options: Any) -> None:
        """See Storage."""
        if self._part and self._part in name:
            self._part = ""
            print(f"before {name}", flush=True)
            sys.stdin.readline()
        super().save(name, data, **options)


def main() -> None:
    """Back up, and say how it ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("method", type=Method)
    parser.add_argument("--stop-before", default="")
    parser.add_argument("--time-to-live", type=float, default=600.0)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    packer.TARGET_BYTES = PACK_BYTES
    lifetime = timedelta(seconds=options.time_to_live)
    acquire: Any = leases.Lease.acquire
    acquire.__func__.__kwdefaults__.update(time_to_live=lifetime, renew_every=lifetime / 10)
    site = Archives(options.folder)
    site.storage = Waiting(site.vault, options.stop_before)
    print("begins", flush=True)
    try:
        outcome = back_up(site.setting(), "crm", method=options.method)
    except BackupError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    else:
        print(f"{outcome.kind}: {outcome.sentence}", flush=True)


if __name__ == "__main__":
    main()
