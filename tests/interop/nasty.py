"""A directory with one of everything that a file system can hold."""

# Paths are bytes, which pathlib does not take: names need not be text.
# ruff: noqa: PTH101, PTH102, PTH123

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.interop.trees import AS_ROOT, EDGES, NASTY_NAMES, File, Folder, grow, write_sparse

if TYPE_CHECKING:
    from pathlib import Path

DEEP = 240  # directories in one another
HOLE_BYTES = 12 << 20
SECOND = 1_000_000_000
MOMENTS_NS = {
    "nanoseconds": 1_700_000_000_123_456_789,
    "one-digit": 1_700_000_000_100_000_000,
    "last-digit": 1_700_000_000_000_000_001,
    "epoch": 0,
    "just-before-1970": -1,
    "before-1970": -1_234_567_890 * SECOND + 987_654_321,
    "after-2038": 2_200_000_000 * SECOND + 5,
    "far-future": 9_223_372_035 * SECOND + 999_999_999,  # Go's nanoseconds end in 2262
}


def make_everything(root: Path) -> None:
    """A directory with one of each."""
    named = {name: File(head=b"content of " + name) for name in NASTY_NAMES}
    folders = {b"d-" + name[:253]: Folder(entries={name: named[name]}) for name in NASTY_NAMES}
    grow(root, Folder(entries=named | folders, mode=0o750))
    make_sizes(root / "sizes")
    make_links(root / "links")
    make_metadata(root / "metadata")
    make_special(root / "special")
    make_deep(root / "deep", DEEP)
    os.utime(root, ns=(5 * SECOND, 1_600_000_000 * SECOND + 7))


def make_sizes(folder: Path) -> None:
    folder.mkdir()
    for size in (0, 1, *EDGES):
        (folder / f"noise-{size}").write_bytes(File(seed=size, noise_bytes=size).content())
    for size in (1 << 20, HOLE_BYTES):
        write_sparse(folder / f"hole-{size}", bytes(size))
    with (folder / "holes").open("wb") as file:
        for place in (0, 3 << 20, 9 << 20):
            file.seek(place)
            file.write(b"solid" * 1000)
        file.truncate(HOLE_BYTES)
    (folder / "zeros-not-sparse").write_bytes(bytes(2 << 20))


def make_links(folder: Path) -> None:
    folder.mkdir()
    (folder / "there").mkdir()
    (folder / "there" / "file").write_bytes(b"linked")
    (folder / "dangling").symlink_to('no where/<&>\n"\\')
    (folder / "to-folder").symlink_to("there")
    (folder / "to-itself").symlink_to("to-itself")
    (folder / "up-and-out").symlink_to("../../../../../../etc")
    (folder / "absolute").symlink_to("/etc/passwd")
    (folder / "unicode").symlink_to("ü\u2028\N{GRINNING FACE}")
    (folder / "long").symlink_to("l" * 4095)
    os.utime(folder / "dangling", ns=(1, 1_500_000_000_000_000_007), follow_symlinks=False)
    for number in range(3):
        (folder / f"name-{number}").hardlink_to(folder / "there" / "file")
    (folder / "empty").touch()
    (folder / "empty-again").hardlink_to(folder / "empty")
    write_sparse(folder / "large", File(seed=1, noise_bytes=3 << 20).content())
    (folder / "there" / "large-again").hardlink_to(folder / "large")


def make_metadata(folder: Path) -> None:
    folder.mkdir()
    modes = [0o644, 0o777, 0o4755, 0o2755, 0o1644, 0o7777, 0o6000, 0o444, 0o100]
    for mode in [*modes, 0] if AS_ROOT else modes[:-2]:
        (folder / f"file-{mode:o}").write_bytes(b"m")
        (folder / f"file-{mode:o}").chmod(mode)
        (folder / f"folder-{mode:o}").mkdir()
        if AS_ROOT or mode & 0o500 == 0o500:
            (folder / f"folder-{mode:o}").chmod(mode)
    for name, moment in MOMENTS_NS.items():
        for made in (folder / f"at-{name}", folder / f"folder-at-{name}"):
            made.mkdir() if "folder-at" in made.name else made.touch()
            os.utime(made, ns=(moment, moment))
    for made in (folder / "tagged", folder / "tagged-folder"):
        made.mkdir() if "folder" in made.name else made.write_bytes(b"t")
        os.setxattr(made, "user.empty", b"")
        os.setxattr(made, "user.binary", bytes(range(256)))
        os.setxattr(made, 'user.name <&> "ü" \n', b"value")
        os.setxattr(made, "user.large", b"v" * 2000)
    if AS_ROOT:
        for made in (folder / "strange-owner", folder / "strange-owners-folder"):
            made.mkdir() if "folder" in made.name else made.touch()
            os.chown(made, 3_000_000_000, 123_456)
        (folder / "owned-setuid").write_bytes(b"s")
        os.chown(folder / "owned-setuid", 54321, 54321)
        (folder / "owned-setuid").chmod(0o6755)
        (folder / "owned-link").symlink_to("owned-setuid")
        os.lchown(folder / "owned-link", 54321, 12345)
        with suppress(OSError):  # not every container may
            os.setxattr(folder / "strange-owner", "trusted.note", b"for root only")


def make_special(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "fifo", 0o640)
    os.utime(folder / "fifo", ns=(3, 1_400_000_000_000_000_003))
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(folder, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    if AS_ROOT:
        with suppress(PermissionError):
            os.mknod(folder / "character", 0o640 | stat.S_IFCHR, os.makedev(1, 300))
            os.mknod(folder / "block", 0o660 | stat.S_IFBLK, os.makedev(4000, 70_000))
            os.chmod(folder / "block", 0o660)
            os.utime(folder / "block", ns=(3, 1_300_000_000_000_000_003))


def make_deep(folder: Path, count: int) -> None:
    folder.mkdir()
    path = os.fsencode(folder)
    for _ in range(count):
        path += b"/d"
        os.mkdir(path)
    with open(path + b"/at the bottom", "wb") as file:
        file.write(b"deep")
