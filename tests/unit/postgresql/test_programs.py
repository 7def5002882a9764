"""Client programs end with whoever runs them, workers too, and tell no values."""

from __future__ import annotations

import os
import time

import pytest

from include.backup.sources.postgresql.programs import Program, essence


def test_workers_end_with_their_program() -> None:
    """As those of `pg_restore --jobs`, which would go on making an index."""
    shell = ["sh", "-c", "sleep 60 & echo $!; wait"]
    with Program(shell, what="a test", environment={"PATH": os.environ["PATH"]}) as program:
        buffer = memoryview(bytearray(100))
        worker = int(bytes(buffer[: program.readinto(buffer)]))
        assert _runs(worker)
    deadline = time.monotonic() + 10
    while _runs(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(pid: int) -> bool:
    """Whether a process is there and does not only wait to be asked for its code."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'ERROR:  invalid input syntax for type integer: "a value"',
            'ERROR: invalid input syntax for type integer: "…"',
        ),
        (
            'ERROR:  value "a value" is out of range for type integer',
            'ERROR: value "…" is out of range for type integer',
        ),
        (
            'error: ERROR:  date/time field value out of range: "a val\nue"\nCONTEXT:  x',
            'error: ERROR: date/time field value out of range: "…"',
        ),
        (
            'ERROR:  duplicate key value violates unique constraint "orders_pkey"\nDETAIL:  Key=x',
            'ERROR: duplicate key value violates unique constraint "orders_pkey"',
        ),
    ],
)
def test_no_value_is_told(said: str, told: str) -> None:
    """Names are."""
    assert essence(said) == told
