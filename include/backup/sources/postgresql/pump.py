r"""Reading rows through psql: COPY in a process of its own, ranges told apart by a mark.

    BEGIN …; SET TRANSACTION SNAPSHOT '…'; LOCK …; COPY (range 1) …; mark; COPY (range 2) …; mark; …

psql hands rows on three times as fast as a Python driver, and takes no turn of the interpreter's
lock. The mark is a line ``\.``, which COPY never writes: there a backslash is two.

Where the lock is not to be had at once, somebody waits for the table behind our coordinator, which
has it: then nothing is read here, and the coordinator reads it (`LockRefused`).
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from include.backup.errors import BackupError, SourceError
from include.backup.sources.postgresql.programs import essence, hint_about
from include.backup.sources.postgresql.snapshot import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.backup.sources.postgresql.catalog import Relation
    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot

_PIPE_BYTES: Final = 1 << 20
_MARK: Final = b"\\.\n"
STALL_SECONDS: Final = 600  # without a byte: the server hangs, or the line is dead
_LONGEST_MESSAGE: Final = 500
# The code of an error is the same in every language that a server speaks.
_ARGUMENTS: Final = (
    "-XAtq", "--no-password", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-f", "-",
)  # fmt: skip
_LOCK_NOT_AVAILABLE: Final = "55P03"


class LockRefused(BackupError):
    """Somebody waits for the table; only who has it already may read it now."""


class Pump:
    """One psql that writes the ranges of one table. Use it in one thread.

    Args:
        queries: what is copied, one after the other.
    """

    def __init__(
        self, snapshot: DatabaseSnapshot, psql: str, relation: Relation, queries: Sequence[str]
    ) -> None:
        self._what = f"{snapshot.address.shown} {relation.label}"
        self._script = os.memfd_create("holdfast-copy", os.MFD_CLOEXEC)
        self._errors = os.memfd_create("holdfast-errors", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(self._script), "wb") as script:
            script.writelines(_script(snapshot, relation, queries))
        os.lseek(self._script, 0, os.SEEK_SET)
        environment = snapshot.address.environment() | {"PGCLIENTENCODING": "UTF8"}
        self._process = subprocess.Popen(
            [psql, *_ARGUMENTS],
            stdin=self._script,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
        )
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._buffer = bytearray(_PIPE_BYTES)
        self._start = self._end = 0  # what of the buffer has not been handed out
        self._at_line = True  # whether what comes next begins a line
        self._begun = False  # whether anything was handed out, or a range ended
        self.rows = 0  # of the range that is read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()
        os.close(self._script)
        os.close(self._errors)

    def readinto(self, target: memoryview) -> int:
        """Fill the beginning of `target` with rows of this range; 0 at its end.

        Raises:
            SourceError: the server refused, or the connection broke.
            LockRefused: before anything was read.
        """
        while True:
            end, marked = self._solid_end()
            count = min(end - self._start, len(target))
            if count:
                self._hand_out(target, count)
                return count
            if marked:
                self._begun = True
                self._start += len(_MARK)
                return 0
            if not self._refill():
                raise self._failure()

    def finish(self) -> None:
        """See that nothing follows the last range, and that psql has not complained.

        Raises:
            SourceError.
        """
        if self._start < self._end or self._refill():
            raise SourceError(f"{self._what}: psql wrote more than it was asked for")
        if self._process.wait():
            raise self._failure()

    def _solid_end(self) -> tuple[int, bool]:
        """Where the rows in the buffer end that surely belong to this range; whether it ends."""
        view = self._buffer
        if self._at_line and view.startswith(_MARK, self._start, self._end):
            return self._start, True
        found = view.find(b"\n" + _MARK, self._start, self._end)
        if found >= 0:
            return found + 1, False
        # A mark may have begun at the end of what is here.
        for tail in (b"\n\\.", b"\n\\"):
            if view.endswith(tail, self._start, self._end):
                return self._end - len(tail) + 1, False
        if self._at_line and bytes(view[self._start : self._end]) in {b"\\", b"\\."}:
            return self._start, False
        return self._end, False

    def _hand_out(self, target: memoryview, count: int) -> None:
        self._begun = True
        until = self._start + count
        target[:count] = memoryview(self._buffer)[self._start : until]
        self.rows += self._buffer.count(b"\n", self._start, until)
        self._at_line = self._buffer[until - 1] == ord("\n")
        self._start = until

    def _refill(self) -> bool:
        """Read more from psql behind what is left; False at the end of everything."""
        left = self._end - self._start
        self._buffer[:left] = self._buffer[self._start : self._end]
        self._start, self._end = 0, left
        if not select.select([self._pipe], [], [], STALL_SECONDS)[0]:
            raise SourceError(
                f"{self._what}: nothing came for {STALL_SECONDS} s",
                hint="is the server overloaded, or the connection dead?",
            )
        count = os.readv(self._pipe, [memoryview(self._buffer)[left:]])
        self._end += count
        return count > 0

    def _failure(self) -> SourceError | LockRefused:
        code = self._process.wait()
        told = os.pread(self._errors, 4 * _LONGEST_MESSAGE, 0).decode(errors="replace")
        if _LOCK_NOT_AVAILABLE in told and not self._begun:
            return LockRefused(f"{self._what}: another session waits for it")
        text = essence(told)[:_LONGEST_MESSAGE]
        return SourceError(
            f"{self._what}: psql ended with {code} in the middle: {text}", hint=hint_about(told)
        )


@contextmanager
def pumped(
    snapshot: DatabaseSnapshot, psql: str, relation: Relation, queries: Sequence[str]
) -> Iterator[Pump]:
    """A pump that is ended with the block, however it ends."""
    with Pump(snapshot, psql, relation, queries) as pump:
        yield pump


def _script(
    snapshot: DatabaseSnapshot, relation: Relation, queries: Sequence[str]
) -> Iterator[bytes]:
    yield b"SET statement_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n"
    yield b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"
    yield f"SET TRANSACTION SNAPSHOT '{snapshot.id}';\n".encode()
    for statement in settings_of(snapshot.version):
        yield f"{statement};\n".encode()
    yield f"LOCK TABLE ONLY {relation.sql} IN ACCESS SHARE MODE NOWAIT;\n".encode()
    for query in queries:
        yield f"{snapshot.copy(query)};\n\\echo '\\\\.'\n".encode()
    yield b"COMMIT;\n"
