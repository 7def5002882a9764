"""What `doctor` shows while it waits."""

from __future__ import annotations

import io

import pytest

from include.backup.cli.doctor import _Patient
from include.backup.errors import BackupError


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """See TextIO."""
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_a_terminal_shows_what_is_tried_and_a_file_does_not(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it is tried, gone when it is known, and never on standard output."""
    shown = []

    def look() -> str:
        shown.append(stream.getvalue())
        raise BackupError("no answer")

    patient = _Patient(stream)
    assert patient.examine("vault far", look) is not None
    assert ("trying vault far …" in shown[0]) == stream.isatty()
    assert not stream.isatty() or stream.getvalue().endswith("\r\x1b[K")
    assert capsys.readouterr().out == "FAIL  vault far: no answer\n"
    assert patient.failures == 1
