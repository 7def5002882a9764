"""The power fails under a running act: what was not yet on the disk is gone.

Vaults and state are on a file system of their own, ext4 in a file. A cut is `EXT4_IOC_SHUTDOWN`
without a flush of its journal: from that moment on nothing reaches the disk, as when the machine
stops, and the next mount replays what had. It needs root and a loop device.
"""

from __future__ import annotations

import fcntl
import gc
import os
import random
import struct
import subprocess
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import BackupError
from tests.damage.tally import tell
from tests.damage.victims import AHEAD, LongHistory, child, is_ours, require_clean
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.interop.conftest import Restic

CUTS = int(os.environ.get("HOLDFAST_KILLS", "1"))  # `make torture` asks for many more
_IMAGE_BYTES = 256 << 20
_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32) of linux/ext4.h
_NO_FLUSH = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH
pytestmark = [pytest.mark.interop, pytest.mark.timeout(300 + 20 * CUTS)]


class Disk:
    """A file system in a file, whose power can be cut."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image, self.folder = image, folder
        with image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        folder.mkdir()

    def mount(self) -> None:
        """Mount it; its journal is replayed."""
        done = subprocess.run(
            ["mount", "-o", "loop", self._image, self.folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")

    def cut(self) -> None:
        """Let nothing more reach the disk."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """Unmount it, as soon as nobody uses it."""
        gc.collect()  # acts of this process may have directories of their dataset open
        subprocess.run(["umount", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk, mounted."""
    if os.geteuid():
        pytest.skip("only root can mount a file system: power cuts are NOT tested")
    disk = Disk(tmp_path / "image", tmp_path / "disk")
    disk.mount()
    yield disk
    with suppress(subprocess.CalledProcessError):
        disk.unmount()


@pytest.mark.parametrize("act", ["full", "incremental", "expire", "replicate", "rotate"])
def test_a_power_cut_loses_nothing_acknowledged(disk: Disk, restic: Restic, act: str) -> None:
    """At a random moment; what was told to be there is there when power is back."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice, ends = random.Random(seed), Counter[str]()
    site = Archives(disk.folder / "site")
    history = LongHistory(site, act, files=12)
    for cut in range(1, CUTS + 1):
        history.rewind()
        os.sync()
        with child(site, act, ahead=AHEAD) as victim:
            time.sleep(dice.uniform(0, history.seconds))
            disk.cut()
            told = victim.hear_all()
        disk.unmount()
        disk.mount()
        try:
            history.require_kept(told)
        except (AssertionError, BackupError) as error:
            error.add_note(f"seed {seed}, cut {cut}, told: {told}")
            raise
        assert is_ours(told), f"seed {seed}, cut {cut}: {told}"
        ends["success" if history.succeeded(told) else "clean error"] += 1
    tell(f"power cut, {act}", ends)
    require_clean(site, restic)
