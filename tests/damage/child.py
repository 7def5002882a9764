"""An act in a process of its own, which can be killed, stopped, and told when to go on.

    FOLDER {full|incremental|restore|expire|replicate|rotate}
        [--wait] [--stop-before PART] [--time-to-live SECONDS] [--ahead SECONDS]

It prints a line when it begins, one before it saves the first file whose name holds PART, and one
about its end. After the first, if it is told to wait, and after the second it waits for a line on
its standard input.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.backup.actions.back_up import back_up
from include.backup.actions.choosing import Order
from include.backup.actions.expire import expire
from include.backup.actions.replicate import replicate
from include.backup.actions.restore import restore
from include.backup.actions.rotate_key import rotate_key
from include.backup.errors import BackupError
from include.backup.policy.model import Method
from include.backup.repository import packer
from include.backup.sources.directory import Directory
from include.backup.storage.local import LocalStorage
from include.backup.vault import leases
from include.backup.vault.keyring import LocalKey
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.storage.base import Storage

PACK_BYTES = 64 << 10
_PR_SET_PTRACER, _ANYBODY = 0x59616D61, -1  # linux/prctl.h; some kernels let only a parent trace
NEW_KEY = base64.b64encode(b"n" * 32).decode()


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


class Prepared(Archives):
    """A site whose configuration is read once: a fault below it is no fault of an act."""

    _made: Setting | None = None

    def setting(self, storage: Storage | None = None, second: Storage | None = None) -> Setting:
        """See Site."""
        if self._made is None:
            self._made = super().setting(storage, second)
        return self._made


def rotated(site: Archives) -> Outcome:
    """Let everything open with another master key than before."""
    old = LocalKey.of_text(site.keys["backup_master_key"])
    site.keys["backup_master_key"] = NEW_KEY
    return rotate_key(site.setting(), "crm", old)


def restored(site: Archives) -> Outcome:
    """Restore the newest recovery point into the folder ``target``."""
    target = site.folder / "target"
    order = Order(address=str(target), requested_by="tests")
    return restore(site.setting(), "crm", Directory(target), order)


ACTS: dict[str, Callable[[Archives], Outcome]] = {
    "full": lambda site: back_up(site.setting(), "crm", method=Method.FULL),
    "incremental": lambda site: back_up(site.setting(), "crm", method=Method.INCREMENTAL),
    "restore": restored,
    "expire": lambda site: expire(site.setting(), "crm")[0],
    "replicate": lambda site: replicate(site.setting(), "crm", "second"),
    "rotate": rotated,
}


def main(arguments: Sequence[str]) -> None:
    """Act, and say how it ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("act", choices=ACTS)
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--stop-before", default="")
    parser.add_argument("--time-to-live", type=float, default=600.0)
    parser.add_argument("--ahead", type=float, default=0.0, help="of the machine's clock")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    packer.TARGET_BYTES = PACK_BYTES
    lifetime = timedelta(seconds=options.time_to_live)
    acquire: Any = leases.Lease.acquire
    acquire.__func__.__kwdefaults__.update(time_to_live=lifetime, renew_every=lifetime / 10)
    site = Prepared(options.folder)
    site.wait(seconds=options.ahead)
    if (options.folder / "second").exists():
        site.add_second()
    site.storage = Waiting(site.vault, options.stop_before)
    site.setting()
    if options.wait:
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
    print("begins", flush=True)
    if options.wait:
        sys.stdin.readline()
    try:
        outcome = ACTS[options.act](site)
    except BackupError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    else:
        print(f"{outcome.kind}: {outcome.sentence}", flush=True)
