"""Reading through `mariadb-dump`: which options, what is counted, and exact FLOATs.

A file is what the program writes, byte for byte, so stock tools load it. As values are escaped, a
line break is always one of the program's own:

    INSERT INTO `t` VALUES          or, with a list of columns, the first row on this line
    (1,'a'),
    (2,'b');                        rows = line breaks after "),", or ");"

The server prints a FLOAT with six digits, and so `mariadb-dump` loses the others. The statement
it sends is therefore changed on its way (relay.py): each such column is asked for as a DOUBLE,
which is printed in full, and which a FLOAT column takes back without a loss. Texts in character
sets of which Unicode cannot tell every code (cp932) are asked for as bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from include.backup.errors import EntryUnreadable
from include.backup.sources.mariadb.names import quoted
from include.backup.sources.mariadb.programs import DUMP, Program, ProgramFailed
from include.backup.sources.pipes import line_breaks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.mariadb.catalog import Table
    from include.backup.sources.mariadb.session import Session

STALL_SECONDS: Final = 2 * 3600  # for a sort of a large table without a key: then no row comes
_LOOK_SECONDS: Final = 1.0
_COMMON: Final = (
    "--skip-lock-tables",  # the snapshot holds the rows still
    "--quick",
    "--skip-comments",
    "--skip-dump-date",
    "--skip-disable-keys",
    "--no-tablespaces",
    "--default-character-set=utf8mb4",
    "--tz-utc",
    "--hex-blob",
    "--max-allowed-packet=1G",
    "--net-buffer-length=1046528",  # of a statement: the default, but the same everywhere
)
_ROWS: Final = ("--no-create-info", "--skip-triggers", "--order-by-primary")
_TABLES: Final = ("--no-data", "--skip-triggers")
_TRIGGERS: Final = ("--no-data", "--no-create-info", "--triggers")
_ROUTINES: Final = (
    "--no-data", "--no-create-info", "--skip-triggers", "--routines", "--events",
)  # fmt: skip
_MOST_NAMES: Final = 1000  # in one command
_COLUMN: Final = rb"(?:`(?:[^`]|``)*`|\w+)"  # the periods of versioned tables have no ticks
_COLUMNS: Final = re.compile(
    rb"(?P<before>SELECT (?:/\*.*?\*/ )?)"
    rb"(?P<columns>" + _COLUMN + rb"(?:, ?" + _COLUMN + rb")*)"
    rb"(?P<after> FROM .*)",
    re.DOTALL,
)
_NAME: Final = re.compile(rb"`(?:[^`]|``)*`")
_ROW_ENDS: Final = (b"),\n", b");\n")
_TOLD_BY: Final = 2  # bytes before a line break tell whether a row ends
_LOCK: Final = b"\nLOCK TABLES "
_UNLOCK: Final = b"\nUNLOCK TABLES;\n"


class Rewriter:
    """Asks for some columns as another type.

    Args:
        casts: the type for each of them.
    """

    def __init__(self, casts: Mapping[str, str]) -> None:
        self._types = {quoted(name).encode(): type_.encode() for name, type_ in casts.items()}
        self.applied = False

    def __call__(self, statement: bytes) -> bytes:
        """Change one statement, if it is the one that reads rows."""
        match = _COLUMNS.fullmatch(statement)
        if match is None:
            return statement
        self.applied = True
        columns = _NAME.sub(self._column, match["columns"])
        return match["before"] + columns + match["after"]

    def _column(self, found: re.Match[bytes]) -> bytes:
        name = found[0]
        if (type_ := self._types.get(name)) is None:
            return name
        return b"CAST(" + name + b" AS " + type_ + b") AS " + name


class Figures:
    """What is known of a stream of rows when it has gone by."""

    def __init__(self) -> None:
        self.bytes = 0
        self.rows = 0
        self._sha256 = hashlib.sha256()
        self._tail = b""

    @property
    def sha256(self) -> str:
        """Of all of it."""
        return self._sha256.hexdigest()

    def add(self, data: bytes | memoryview) -> None:
        """Count a piece."""
        self.bytes += len(data)
        self._sha256.update(data)
        self.rows += _rows(data)
        for mark in _ROW_ENDS:  # what lies across two pieces
            self.rows += (self._tail + bytes(data[:_TOLD_BY])).count(mark)
        self._tail = (self._tail + bytes(data[-_TOLD_BY:]))[-_TOLD_BY:]


def _rows(data: bytes | memoryview) -> int:
    """How many rows end within a piece that has the whole of what ends them."""
    ends = line_breaks(data)
    ends = ends[ends >= _TOLD_BY]
    text = np.frombuffer(data, np.uint8)
    after = text[ends - 1]
    return int(
        np.count_nonzero((text[ends - 2] == ord(")")) & ((after == ord(",")) | (after == ord(";"))))
    )


def rows_program(lane: Session, tables: Sequence[Table]) -> tuple[Program, Rewriter | None]:
    """Begin to dump the rows of tables of one database, one after the other."""
    casts = dict(cast for table in tables for cast in table.casts)
    rewriter = Rewriter(casts) if casts else None
    history = ["--dump-history"] if any(table.kind == "versioned table" for table in tables) else []
    locks = ["--skip-add-locks"] if len(tables) == 1 else []  # else they tell tables apart
    program = Program(
        DUMP,
        lane,
        [
            *_COMMON,
            *_ROWS,
            *locks,
            *history,
            "--",
            tables[0].database,
            *(table.name for table in tables),
        ],
        rewrite=rewriter,
    )
    return program, rewriter


def definitions(database: str, names: Sequence[str]) -> list[list[str]]:
    """The arguments that dump the definitions of tables, or of views."""
    return [
        [*_COMMON, *_TABLES, "--", database, *names[start : start + _MOST_NAMES]]
        for start in range(0, len(names), _MOST_NAMES)
    ]


def triggers(database: str) -> list[list[str]]:
    """The arguments that dump all triggers of a database."""
    return [[*_COMMON, *_TRIGGERS, "--", database]]


def routines(database: str) -> list[list[str]]:
    """The arguments that dump procedures, functions, packages and events."""
    return [[*_COMMON, *_ROUTINES, "--", database]]


class Reader:
    """Reads what a program writes, and gives up when nothing comes for hours.

    Args:
        stopped: why the whole reading has been given up, if it has.
    """

    def __init__(self, program: Program, stopped: Callable[[], EntryUnreadable | None]) -> None:
        self._program = program
        self._stopped = stopped
        self._poll = select.poll()
        self._poll.register(program.fd, select.POLLIN)

    def readinto(self, buffer: memoryview) -> int:
        """Fill the beginning of `buffer`; 0 at the end, when the program has done all of it.

        Raises:
            ProgramFailed.
            EntryUnreadable: it hangs, or the reading was given up.
        """
        deadline = time.monotonic() + STALL_SECONDS
        while not self._poll.poll(_LOOK_SECONDS * 1000):
            if (why := self._stopped()) is not None:
                raise why
            if time.monotonic() > deadline:
                raise EntryUnreadable(f"{self._program.name} has written nothing for hours")
        count = os.readv(self._program.fd, [buffer])
        if not count:
            self._program.finish()
        return count

    def all(self) -> Iterator[bytes]:
        """All of it, in pieces."""
        buffer = memoryview(bytearray(1 << 20))
        while count := self.readinto(buffer):
            yield bytes(buffer[:count])


def split(output: bytes, tables: Sequence[Table]) -> dict[str, bytes]:
    """The files that dumping each table alone would have given, from a dump of them together.

    Without LOCK TABLES: under it, a default that asks a sequence cannot be evaluated.

    Raises:
        EntryUnreadable: one is missing.
    """
    if len(tables) == 1:
        return {tables[0].name: output}  # see rows_program
    spans = {}
    for table in tables:
        lock = b"\nLOCK TABLES " + quoted(table.name).encode() + b" WRITE;\n"
        start = output.find(lock)
        end = output.find(_UNLOCK, start + len(lock) - 1)
        if start < 0 or end < 0:
            raise EntryUnreadable(f"{table}: its rows are missing in what {DUMP} wrote")
        spans[table.name] = (start + len(lock), end + 1)
    before = output[: output.find(_LOCK) + 1]
    after = output[output.rfind(_UNLOCK) + len(_UNLOCK) :]
    return {name: before + output[start:end] + after for name, (start, end) in spans.items()}


class DumpContent:
    """What one or several programs write, as the content of an entry.

    Args:
        begin: starts the next program; None when all have run.
        done: told of the figures at the end; gives the node.
    """

    def __init__(
        self,
        begin: Callable[[], Program | None],
        done: Callable[[Figures, tuple[bytes, ...]], Node],
        stopped: Callable[[], EntryUnreadable | None],
        fail: Callable[[ProgramFailed], EntryUnreadable],
    ) -> None:
        self._begin = begin
        self._done = done
        self._stopped = stopped
        self._fail = fail
        self._figures = Figures()
        self._program: Program | None = None
        self._reader: Reader | None = None
        self._ended = False
        self._blobs: tuple[bytes, ...] = ()

    def parts(self) -> Iterator[DumpContent]:
        """See Content.parts."""
        yield self

    def stored(self, blobs: Sequence[bytes], size_bytes: int) -> None:
        """See Content.stored."""
        del size_bytes
        self._blobs = tuple(blobs)

    def readinto(self, buffer: memoryview) -> int:
        """See Part.readinto."""
        while not self._ended:
            if self._reader is None and not self._next():
                break
            assert self._reader is not None
            try:
                count = self._reader.readinto(buffer)
            except ProgramFailed as error:
                raise self._fail(error) from None
            if count:
                self._figures.add(buffer[:count])
                return count
            self.close()
        return 0

    def _next(self) -> bool:
        self._program = self._begin()
        if self._program is None:
            self._ended = True
            return False
        self._reader = Reader(self._program, self._stopped)
        return True

    def settle(self, *, last: bool) -> Node:
        """See Content.settle."""
        del last
        assert self._ended, "settled before it was read to its end"
        return self._done(self._figures, self._blobs)

    def close(self) -> None:
        """End the program that runs, if one does."""
        program, self._program, self._reader = self._program, None, None
        if program is not None:
            program.close()
