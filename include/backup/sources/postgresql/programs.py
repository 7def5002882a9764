"""Programs whose output is part of a dataset: streamed, watched, and ended with the reader."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from include.backup.errors import BackupError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STALL_SECONDS: Final = 600  # without a byte: the server hangs, or the line is dead
_LONGEST_MESSAGE: Final = 500  # characters
_MOST_COMPLAINTS: Final = 8000  # bytes
_TELLING: Final = re.compile(r"\b(error|fatal|panic|hint): ", re.IGNORECASE)
_OF_OWNERS: Final = re.compile(
    r'must be (a )?member of role|must be able to SET ROLE|role "[^"]*" does not exist'
)
_VALUE: Final = re.compile(r'(: |\bvalue )"(?:[^"]|"")*(?:"|\Z)')
_QUOTING: Final = re.compile(
    r"\s*(\S+: )?(detail|context|query|statement|location|line \d+|command was)\b", re.IGNORECASE
)


class Child:
    """A program that lives no longer than the block around it, and what it complains of.

    Args:
        what: names it in errors.
        stdin: a descriptor, or one of the constants of `subprocess`.
        open_files: descriptors that it reads from, by the same numbers.
        error: of what class its failing is.
    """

    _is_silent = False  # whether it may say nothing for as long as it works

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        what: str,
        environment: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        open_files: Sequence[int] = (),
        error: type[BackupError] = SourceError,
    ) -> None:
        self._what = what
        self._error = error
        self._errors = os.memfd_create("holdfast-errors", os.MFD_CLOEXEC)
        try:
            self._process = subprocess.Popen(
                list(arguments),
                stdin=stdin,
                stdout=stdout,
                stderr=self._errors,
                env=dict(environment),
                pass_fds=tuple(open_files),
                start_new_session=True,  # with its own workers; Ctrl-C is for us
            )
        except BaseException:
            os.close(self._errors)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()
        os.close(self._errors)

    def _read_pipe(self, target: memoryview) -> int:
        """Wait for output and fill the beginning of `target`; 0 when there will be no more.

        Raises:
            BackupError: it hangs.
        """
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        waiting = select.poll()  # `select` knows no descriptor above 1023
        waiting.register(pipe, select.POLLIN)
        if not waiting.poll(None if self._is_silent else STALL_SECONDS * 1000):
            raise self._error(
                f"{self._what}: nothing came for {STALL_SECONDS} s",
                hint="is the server overloaded, or the connection dead?",
            )
        return os.readv(pipe, [target])

    def _complaint(self) -> str:
        """What it wrote to its standard error, but for what would be too much."""
        return os.pread(self._errors, _MOST_COMPLAINTS, 0).decode(errors="replace")

    def _failure(self) -> BackupError:
        """Why it failed, from what it said; it has ended or is about to."""
        code, said = self._process.wait(), self._complaint()
        return self._error(
            f"{self._what}: {essence(said) or f'it ended with {code}'}", hint=hint_about(said)
        )


class Program(Child):
    """A program while it writes; its output is complete only if `readinto` has returned 0.

    Args:
        is_silent: it lets the server work, and an index of a large table takes hours.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        what: str,
        environment: Mapping[str, str],
        open_files: Sequence[int] = (),
        is_silent: bool = False,
        error: type[BackupError] = SourceError,
    ) -> None:
        self._is_silent = is_silent
        super().__init__(
            arguments,
            what=what,
            environment=environment,
            stdout=subprocess.PIPE,
            open_files=open_files,
            error=error,
        )

    def readinto(self, target: memoryview) -> int:
        """Fill the beginning of `target`; 0 when the program has ended well.

        Raises:
            BackupError: it has not, or it hangs.
        """
        count = self._read_pipe(target)
        if not count and self._process.wait():
            raise self._failure()
        return count

    def read(self) -> bytes:
        """All of its output.

        Raises:
            as `readinto`.
        """
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The same, as it comes.

        Raises:
            as `readinto`.
        """
        buffer = memoryview(bytearray(1 << 16))
        while count := self.readinto(buffer):
            yield bytes(buffer[:count])


class Feeding(Child):
    """A program that reads what it is given; it has done its work only if `finish` returns."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        what: str,
        environment: Mapping[str, str],
        error: type[BackupError],
    ) -> None:
        super().__init__(
            arguments, what=what, environment=environment, stdin=subprocess.PIPE, error=error
        )

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
            raise self._failure()


def hint_about(told: str) -> str:
    """What to do about an error of the server, if more is known than it says."""
    if "40001" in told or "conflict with recovery" in told:
        return (
            "the standby replayed what the backup still needed: run it again; set "
            "hot_standby_feedback = on there, or a longer max_standby_streaming_delay"
        )
    if 'for encoding "UTF8"' in told:  # a server with SQL_ASCII keeps any bytes
        return (
            "a name is no UTF-8: rename it; or dump this database with pg_dump into a directory, "
            "and back that up"
        )
    if _OF_OWNERS.search(told):
        return "--owner ROLE or --no-owner gives everything to one role that may have it"
    return ""


def essence(told: str) -> str:
    """The errors and hints among what a program or a server said, on one line that is not long.

    Not the details: they may quote rows (``DETAIL: Key (email)=(…) is duplicated``). Nor what is
    quoted behind a colon, which is a value and no name (``invalid input syntax for type integer:
    "…"``).
    """
    lines = [line for line in told.split("\n") if line.strip() and not _QUOTING.match(line)]
    telling = [line for line in lines if _TELLING.search(line)]
    text = " ".join(" ".join(telling or lines[:1]).split())
    return _VALUE.sub(r'\1"…"', text)[:_LONGEST_MESSAGE]
