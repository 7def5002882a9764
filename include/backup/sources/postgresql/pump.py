r"""Reading rows through psql: COPY in a process of its own, what is copied told apart by a mark.

    BEGIN …; SET TRANSACTION SNAPSHOT '…'; LOCK …; COPY (range 1) …; mark; COPY (range 2) …; mark; …

psql hands rows on three times as fast as a Python driver, and takes no turn of the interpreter's
lock. The mark is a line that begins with ``\.``, which COPY never writes: there a backslash is two.
It is long, because a long one is found fast.

Where the lock is not to be had at once, somebody waits for the table behind our coordinator, which
has it: then nothing is read here, and the coordinator reads it (`LockRefused`).
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from include.backup.errors import BackupError, SourceError
from include.backup.sources.pipes import PIPE_BYTES, count_lines, widen, writing_much
from include.backup.sources.postgresql import memory_file
from include.backup.sources.postgresql.programs import Child, essence, hint_about
from include.backup.sources.postgresql.snapshot import BEGIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from include.backup.sources.postgresql.address import Address
    from include.backup.sources.postgresql.catalog import Relation
    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot

_MARK: Final = b"\\. here ends a range of pages, and the next one begins\n"
_ECHO: Final = b"\\echo '\\" + _MARK.rstrip(b"\n") + b"'\n"
# The code of an error is the same in every language that a server speaks.
_ARGUMENTS: Final = (
    "-XAtq", "--no-password", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-f", "-",
)  # fmt: skip
_LOCK_NOT_AVAILABLE: Final = "55P03"


class LockRefused(BackupError):
    """Somebody waits for the table; only who has it already may read it now."""


class Pump(Child):
    """One psql that writes ranges of rows. Use it in one thread.

    Args:
        before: statements; each ends with a semicolon.
        copies: what is copied, one after the other: the ranges.
    """

    def __init__(
        self,
        address: Address,
        psql: str,
        before: Iterable[str],
        copies: Iterable[str],
        *,
        label: str,
        error: type[BackupError] = SourceError,
    ) -> None:
        with memory_file.made(_script(before, copies)) as script:
            super().__init__(
                writing_much([psql, *_ARGUMENTS]),
                what=f"{address.shown} {label}",
                environment=address.environment() | {"PGCLIENTENCODING": "UTF8"},
                stdin=script,
                stdout=subprocess.PIPE,
                error=error,
            )
        assert self._process.stdout is not None
        widen(self._process.stdout.fileno())
        self._buffer = bytearray(PIPE_BYTES)
        self._start = self._end = 0  # what of the buffer has not been handed out
        self._at_line = True  # whether what comes next begins a line
        self._begun = False  # whether anything was handed out, or a range ended
        self.rows = 0  # of the range that is read

    def readinto(self, target: memoryview) -> int:
        """Fill the beginning of `target` with rows of this range; 0 at its end.

        Raises:
            BackupError: the server refused, or the connection broke.
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
            BackupError.
        """
        if self._start < self._end or self._refill():
            raise self._error(f"{self._what}: psql wrote more than it was asked for")
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
        earliest = max(self._start, self._end - len(_MARK))
        newline = view.rfind(b"\n", earliest, self._end)
        if newline >= 0:
            line = newline + 1
        elif self._at_line and earliest == self._start:
            line = self._start
        else:
            return self._end, False
        return (line if _MARK.startswith(view[line : self._end]) else self._end), False

    def _hand_out(self, target: memoryview, count: int) -> None:
        self._begun = True
        until = self._start + count
        target[:count] = memoryview(self._buffer)[self._start : until]
        self.rows += count_lines(target[:count])
        self._at_line = self._buffer[until - 1] == ord("\n")
        self._start = until

    def _refill(self) -> bool:
        """Read more from psql behind what is left; False at the end of everything."""
        left = self._end - self._start
        self._buffer[:left] = self._buffer[self._start : self._end]
        self._start, self._end = 0, left
        count = self._read_pipe(memoryview(self._buffer)[left:])
        self._end += count
        return count > 0

    def _failure(self) -> BackupError:
        code, said = self._process.wait(), self._complaint()
        if _LOCK_NOT_AVAILABLE in said and not self._begun:
            return LockRefused(f"{self._what}: another session waits for it")
        return self._error(
            f"{self._what}: psql ended with {code} in the middle: {essence(said)}",
            hint=hint_about(said),
        )


def of_snapshot(
    snapshot: DatabaseSnapshot, psql: str, relation: Relation, queries: Sequence[str]
) -> Pump:
    """Reads ranges of one table, as a snapshot shows them."""
    before = [f"{statement};" for statement in snapshot.joining(relation)]
    copies = map(snapshot.copy, queries)
    return Pump(snapshot.address, psql, before, copies, label=relation.label)


def _script(before: Iterable[str], copies: Iterable[str]) -> Iterator[bytes]:
    yield b"SET statement_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n"
    yield f"{BEGIN};\n".encode()
    for statement in before:
        yield f"{statement}\n".encode()
    for copy in copies:
        yield f"{copy};\n".encode() + _ECHO
    yield b"COMMIT;\n"
