"""Programs whose output is part of a dataset: streamed, watched, and ended with the reader."""

from __future__ import annotations

import os
import re
import select
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from include.backup.errors import BackupError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STALL_SECONDS: Final = 600  # without a byte: the server hangs, or the line is dead
_LONGEST_MESSAGE: Final = 500
_TELLING: Final = re.compile(r"\b(error|fatal|panic|hint): ", re.IGNORECASE)
_OF_OWNERS: Final = re.compile(
    r'must be (a )?member of role|must be able to SET ROLE|role "[^"]*" does not exist'
)
_QUOTING: Final = re.compile(
    r"\s*(\S+: )?(detail|context|query|statement|location|line \d+|command was)\b", re.IGNORECASE
)


class Program:
    """A program while it writes; its output is complete only if `readinto` has returned 0.

    Args:
        what: names it in errors.
        open_files: descriptors that it reads from, by the same numbers.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        what: str,
        environment: Mapping[str, str],
        open_files: Sequence[int] = (),
        error: type[BackupError] = SourceError,
    ) -> None:
        self._what = what
        self._error = error
        self._errors = os.memfd_create("holdfast-errors", os.MFD_CLOEXEC)
        self._process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(environment),
            pass_fds=tuple(open_files),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()
        os.close(self._errors)

    def readinto(self, target: memoryview) -> int:
        """Fill the beginning of `target`; 0 when the program has ended well.

        Raises:
            SourceError: it has not, or it hangs.
        """
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        if not select.select([pipe], [], [], STALL_SECONDS)[0]:
            raise self._error(
                f"{self._what}: nothing came for {STALL_SECONDS} s",
                hint="is the server overloaded, or the connection dead?",
            )
        count = os.readv(pipe, [target])
        if not count and self._process.wait():
            told = complaint(self._errors, self._process)
            raise self._error(f"{self._what}: {told}", hint=hint_about(told))
        return count

    def read(self) -> bytes:
        """All of its output.

        Raises:
            SourceError.
        """
        output, buffer = bytearray(), memoryview(bytearray(1 << 16))
        while count := self.readinto(buffer):
            output += buffer[:count]
        return bytes(output)


class Feeding:
    """A program that reads what it is given; it has done its work only if `finish` returns."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        what: str,
        environment: Mapping[str, str],
        error: type[BackupError],
    ) -> None:
        self._what = what
        self._error = error
        self._errors = os.memfd_create("holdfast-errors", os.MFD_CLOEXEC)
        self._process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env=dict(environment),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        os.close(self._errors)

    def write(self, data: bytes) -> None:
        """Give it more.

        Raises:
            BackupError: it has ended already.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self.finish()
            raise self._error(f"{self._what}: it ended before it had read all") from None

    def finish(self) -> None:
        """Tell it that this was all, and wait for its end.

        Raises:
            BackupError: it complained.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.wait():
            told = complaint(self._errors, self._process)
            raise self._error(f"{self._what}: {told}", hint=hint_about(told))


def complaint(errors: int, process: subprocess.Popen[bytes]) -> str:
    """What a program wrote to its standard error, on one line."""
    told = os.pread(errors, 16 * _LONGEST_MESSAGE, 0).decode(errors="replace")
    return essence(told)[:_LONGEST_MESSAGE] or f"it ended with {process.returncode}"


def hint_about(told: str) -> str:
    """What to do about an error of the server, if more is known than it says."""
    if "40001" in told or "conflict with recovery" in told:
        return (
            "the standby replayed what the backup still needed: run it again; set "
            "hot_standby_feedback = on there, or a longer max_standby_streaming_delay"
        )
    if _OF_OWNERS.search(told):
        return "--owner ROLE or --no-owner gives everything to one role that may have it"
    return ""


def essence(told: str) -> str:
    """The errors and hints among what a program or a server said, on one line.

    Not the details: they may quote rows (``DETAIL: Key (email)=(…) is duplicated``).
    """
    lines = [line for line in told.split("\n") if line.strip() and not _QUOTING.match(line)]
    telling = [line for line in lines if _TELLING.search(line)]
    return " ".join(" ".join(telling or lines[:1]).split())
