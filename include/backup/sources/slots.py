"""How many streams are read from one server at a time, by all processes of this machine.

``max_parallel`` in the extra of a connection bounds them: thirty databases on one server, each a
dataset of its own and due at one o'clock, shall not be thirty times as many sessions. A slot is a
locked file; the kernel lets go of it when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from include.backup.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_WAIT_SECONDS: Final = 0.2


@contextmanager
def slot(folder: Path, connection: str, extra: Mapping[str, object]) -> Iterator[None]:
    """Hold one of the slots of a connection; waits for one. Without `max_parallel` there are many.

    Args:
        folder: of the locked files, on this machine.

    Raises:
        ConfigurationInvalid: `max_parallel` is no number.
    """
    count = _count(connection, extra)
    if not count:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    while (taken := _take(folder, connection, count)) is None:
        time.sleep(_WAIT_SECONDS)
    try:
        yield
    finally:
        os.close(taken)


def _take(folder: Path, connection: str, count: int) -> int | None:
    for number in range(count):
        path = folder / f"{connection}.{number}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return descriptor
    return None


def _count(connection: str, extra: Mapping[str, object]) -> int:
    given = str(extra.get("max_parallel", "")).strip()
    if given and (not given.isdigit() or int(given) < 1):
        raise ConfigurationInvalid(
            f"max_parallel of connection {connection} is {given!r}",
            hint="write a number from 1 on, or leave it out",
        )
    return int(given or 0)
