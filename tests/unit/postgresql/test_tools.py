"""Where client programs are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.sources.postgresql.tools import _candidates

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_the_path_names_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who puts a program there wants it."""
    _program(tmp_path / "psql")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _candidates("psql")[0] == str(tmp_path / "psql")


def test_a_wrapper_that_chooses_by_itself_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's starts one of the programs that are found beside it, by settings of its own."""
    _program(tmp_path / "pg_wrapper")
    (tmp_path / "psql").symlink_to("pg_wrapper")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(tmp_path / "psql") not in _candidates("psql")


def _program(path: Path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
