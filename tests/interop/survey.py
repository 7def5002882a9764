"""Everything about a directory on disk that a restore must bring back, to be compared."""

# Paths are bytes, which pathlib does not take: names need not be text.
# ruff: noqa: PTH115, PTH123, PTH208

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """All that a restore brings back of one entry. Times in nanoseconds since 1970."""

    kind: int  # S_IFMT of the mode
    mode: int  # with setuid, setgid, sticky
    owner: tuple[int, int]
    mtime_ns: int
    size_bytes: int = 0
    sha256: str = ""
    target: bytes = b""
    device: int = 0
    attributes: tuple[tuple[str, bytes], ...] = ()
    twins: tuple[bytes, ...] = ()  # all names of a file that has several


def survey(root: Path) -> dict[bytes, Sight]:
    """Everything at and below a directory, by its path relative to it; sockets are left out."""
    top = os.fsencode(root)
    found: dict[bytes, Sight] = {}
    names: dict[tuple[int, int], list[bytes]] = {}
    waiting = [b"."]
    while waiting:
        path = waiting.pop()
        full = top + b"/" + path
        status = os.lstat(full)
        if stat.S_ISSOCK(status.st_mode):
            continue
        found[path] = _sight(full, status)
        if stat.S_ISDIR(status.st_mode):
            waiting += [path + b"/" + name for name in os.listdir(full)]
        else:
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    for twins in names.values():
        for path in twins if len(twins) > 1 else ():
            found[path] = replace(found[path], twins=tuple(sorted(twins)))
    return found


def _sight(full: bytes, status: os.stat_result) -> Sight:
    kind = stat.S_IFMT(status.st_mode)
    content = b""
    if kind == stat.S_IFREG:
        with open(full, "rb") as file:
            content = file.read()
    return Sight(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        mtime_ns=status.st_mtime_ns,
        size_bytes=status.st_size if kind == stat.S_IFREG else 0,
        sha256=hashlib.sha256(content).hexdigest() if kind == stat.S_IFREG else "",
        target=os.readlink(full) if kind == stat.S_IFLNK else b"",
        device=status.st_rdev if kind in {stat.S_IFBLK, stat.S_IFCHR} else 0,
        attributes=tuple(
            (name, os.getxattr(full, name, follow_symlinks=False))
            for name in sorted(os.listxattr(full, follow_symlinks=False))
        ),
    )


def differences(wanted: Mapping[bytes, Sight], found: Mapping[bytes, Sight]) -> list[str]:
    """What is missing, too much or not the same; empty when two surveys agree."""
    told = [f"missing: {path!r}" for path in sorted(wanted.keys() - found.keys())]
    told += [f"not wanted: {path!r}" for path in sorted(found.keys() - wanted.keys())]
    for path in sorted(wanted.keys() & found.keys()):
        for name in Sight.__slots__:
            one, other = getattr(wanted[path], name), getattr(found[path], name)
            if one != other:
                told.append(f"{path!r}: {name} {str(other)[:200]} instead of {str(one)[:200]}")
    return told
