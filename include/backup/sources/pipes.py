"""Pipes that carry much: what a client program writes comes in few, large pieces.

A C program writes 4 KiB at a time into a pipe, and its reader is woken as often. `stdbuf` of the
GNU core utilities gives it a larger buffer; where there is none, as on Alpine, it is only slower.
What comes is counted by numpy: a third of the time of `bytes.count`, and without the interpreter's
lock, so that the other streams go on meanwhile.
"""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PIPE_BYTES: Final = 1 << 20
_BUFFER: Final = "-o256K"
_LINE_BREAK: Final = ord("\n")


def writing_much(arguments: Sequence[str]) -> list[str]:
    """The command of a program, so that it writes in large pieces; it keeps its process id."""
    stdbuf = shutil.which("stdbuf")
    return [*([stdbuf, _BUFFER] if stdbuf and _becomes_the_program(stdbuf) else []), *arguments]


@functools.cache
def _becomes_the_program(stdbuf: str) -> bool:
    """Whether it is that of GNU, which does; others may start a process of another number."""
    command = [stdbuf, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return "GNU coreutils" in done.stdout


def count_lines(text: memoryview) -> int:
    """How many line breaks there are."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == _LINE_BREAK))


def line_breaks(text: bytes | memoryview) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Where they are, ascending."""
    return np.flatnonzero(np.frombuffer(text, np.uint8) == _LINE_BREAK)


def widen(pipe: int) -> None:
    """Let a pipe hold PIPE_BYTES; a user who has many pipes already goes on with a narrow one."""
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
