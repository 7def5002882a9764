r"""Rows of several ranges come through one pipe, told apart by a line ``\.``."""

from __future__ import annotations

import array
import fcntl
import os
import stat
import subprocess
import sys
import termios
import threading
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import SourceError
from include.backup.sources.pipes import writing_much
from include.backup.sources.postgresql import pump as pump_module
from include.backup.sources.postgresql.pump import LockRefused, Pump, of_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SNAPSHOT: Any = SimpleNamespace(
    address=SimpleNamespace(shown="postgresql://x/y", environment=dict),
    joining=lambda _: ("SET TRANSACTION SNAPSHOT '1-1'",),
    copy=lambda query: f"COPY ({query}) TO STDOUT",
)
RELATION: Any = SimpleNamespace(label="s.t", sql='"s"."t"')
MARK = pump_module._MARK
WRITTEN = MARK.decode().replace("\\", "\\\\").replace("\n", "\\n")  # as `fake` wants it


writing_much(["psql"])  # asks `stdbuf` what it is, while there are real processes


class FakeProcess:
    """Writes each piece when the one before was taken."""

    stdin = None

    def __init__(self, pieces: Sequence[bytes]) -> None:
        reading, self._writing = os.pipe()
        self.stdout = os.fdopen(reading, "rb", 0)
        self._pieces = pieces
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        waiting = array.array("i", [0])
        for piece in filter(None, self._pieces):
            try:
                os.write(self._writing, piece)
                while True:
                    fcntl.ioctl(self._writing, termios.FIONREAD, waiting)
                    if not waiting[0] or self.stdout.closed:
                        break
                    time.sleep(0)
            except OSError:
                break
        os.close(self._writing)

    def poll(self) -> int | None:
        """As of a process."""
        return None if self._thread.is_alive() else 0

    def kill(self) -> None:
        """As of a process: it writes no more when the pipe is closed."""

    def wait(self) -> int:
        """As of a process."""
        self._thread.join()
        return 0


def fields() -> st.SearchStrategy[bytes]:
    r"""A field as COPY writes it: whatever bytes, but a backslash is two, or begins ``\N``."""
    escaped = st.sampled_from([b"\\\\", b"\\N", b"\\n", b"\\t", b".", b"\\\\.", b"a", b"\xff", b""])
    return st.lists(escaped, max_size=4).map(b"".join)


def rows() -> st.SearchStrategy[bytes]:
    return st.lists(fields(), max_size=3).map(b"\t".join).map(lambda row: row + b"\n")


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in pieces."""
    places = draw(st.lists(st.integers(0, len(data)), max_size=12))
    return [data[a:b] for a, b in pairwise([0, *sorted(places), len(data)])]


@given(data=st.data(), ranges=st.lists(st.lists(rows(), max_size=5), min_size=1, max_size=5))
def test_every_range_gets_its_rows(data: st.DataObject, ranges: list[list[bytes]]) -> None:
    """Whatever the rows, however many ranges are empty, and wherever the pipe cuts."""
    stream = b"".join(b"".join(one) + MARK for one in ranges)
    pieces = data.draw(cut(stream))
    size = data.draw(st.integers(1, 20))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(subprocess, "Popen", lambda *_, **__: FakeProcess(pieces))
        with of_snapshot(SNAPSHOT, "psql", RELATION, ["SELECT"] * len(ranges)) as pump:
            for wanted in ranges:
                assert b"".join(read(pump, size)) == b"".join(wanted)
                assert pump.rows == len(wanted)
                pump.rows = 0
            pump.finish()


def read(pump: Pump, size: int) -> Iterator[bytes]:
    """The rows of one range."""
    buffer = memoryview(bytearray(size))
    while count := pump.readinto(buffer):
        yield bytes(buffer[:count])


@given(data=st.data(), ranges=st.lists(st.lists(rows(), max_size=4), min_size=1, max_size=3))
def test_what_ends_too_early_is_no_range(data: st.DataObject, ranges: list[list[bytes]]) -> None:
    """A stream that is cut anywhere before its last byte is an error, never a short table."""
    stream = b"".join(b"".join(one) + MARK for one in ranges)
    end = data.draw(st.integers(0, len(stream) - 1))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(subprocess, "Popen", lambda *_, **__: FakeProcess([stream[:end]]))
        with (
            of_snapshot(SNAPSHOT, "psql", RELATION, ["SELECT"] * len(ranges)) as pump,
            pytest.raises(SourceError, match="in the middle"),
        ):
            _ = [list(read(pump, 100)) for _ in ranges]


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A psql that does what $HOW says."""
    path = tmp_path / "psql"
    path.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, sys\n"
        "os.write(1, os.fsencode(os.environ['OUT']).decode('unicode_escape').encode('latin1'))\n"
        "os.write(2, os.fsencode(os.environ.get('ERR', '')))\n"
        "sys.exit(int(os.environ.get('CODE', 0)))\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def snapshot(**environment: str) -> Any:
    """One whose programs get this environment."""
    address = SimpleNamespace(shown="postgresql://x/y", environment=lambda: environment)
    return SimpleNamespace(**{**vars(SNAPSHOT), "address": address})


def test_more_than_was_asked_for_is_an_error(fake: Path) -> None:
    """A range too many would be rows that nobody counts."""
    with of_snapshot(snapshot(OUT=f"1\\n{WRITTEN}2\\n"), str(fake), RELATION, ["SELECT"]) as pump:
        assert b"".join(read(pump, 10)) == b"1\n"
        with pytest.raises(SourceError, match="more than it was asked for"):
            pump.finish()


def test_all_rows_and_a_failure_are_a_failure(fake: Path) -> None:
    """What counts is how psql ends."""
    with of_snapshot(
        snapshot(OUT=f"1\\n{WRITTEN}", CODE="3"), str(fake), RELATION, ["SELECT"]
    ) as pump:
        assert b"".join(read(pump, 10)) == b"1\n"
        with pytest.raises(SourceError, match="ended with 3"):
            pump.finish()


def test_a_refused_lock_is_known_by_its_code(fake: Path) -> None:
    """Not by words, which a server says in its own language; and only before the first row."""
    told = "psql:<stdin>:17: FEHLER:  55P03: konnte Sperre nicht setzen"
    with (
        of_snapshot(snapshot(OUT="", ERR=told, CODE="3"), str(fake), RELATION, ["SELECT"]) as pump,
        pytest.raises(LockRefused),
    ):
        list(read(pump, 10))
    with (
        of_snapshot(
            snapshot(OUT="1\\n", ERR=told, CODE="3"), str(fake), RELATION, ["SELECT"]
        ) as pump,
        pytest.raises(SourceError, match="55P03"),
    ):
        list(read(pump, 10))
