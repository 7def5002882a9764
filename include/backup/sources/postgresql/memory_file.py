"""Files in memory that programs are handed by descriptor: nothing of them reaches a disk."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def make(pieces: Iterable[bytes]) -> int:
    """A descriptor at the beginning of what was written; whoever asked for it closes it."""
    descriptor = os.memfd_create("holdfast", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.writelines(pieces)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def made(pieces: Iterable[bytes]) -> Iterator[int]:
    """The same, closed behind the block."""
    descriptor = make(pieces)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def path_of(descriptor: int) -> str:
    """Where a program that was handed the descriptor opens the file, at its beginning."""
    return f"/proc/self/fd/{descriptor}"
