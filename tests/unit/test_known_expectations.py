"""Expectations are looked up once; what is none is refused each time."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.expectations import NEWEST, Expectation
from include.backup.quality import gx, known

if TYPE_CHECKING:
    from pathlib import Path

UNIQUE = Expectation(
    table="t", kind="expect_column_values_to_be_unique", arguments={"column": "id"}
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Great Expectations was asked about."""
    seen: list[str] = []
    make = gx.make

    def made(one: Expectation, number: int = 0) -> Any:
        seen.append(one.kind)
        return make(one, number)

    monkeypatch.setattr(gx, "make", made)
    return seen


def test_what_was_known_is_not_looked_up_again(tmp_path: Path, asked: list[str]) -> None:
    """Unless its arguments are others, or nobody remembers."""
    known.require_known([UNIQUE, Expectation(table="t", kind=NEWEST)], tmp_path)
    known.require_known([UNIQUE], tmp_path)
    assert asked == [UNIQUE.kind]
    other = Expectation(table="t", kind=UNIQUE.kind, arguments={"column": "name"})
    known.require_known([UNIQUE, other], tmp_path)
    assert asked == [UNIQUE.kind] * 2
    for broken in ("", "{}", "[1, null]"):
        (tmp_path / "expectations.json").write_text(broken)
        known.require_known([UNIQUE], tmp_path)
    assert asked == [UNIQUE.kind] * 5
    assert len(json.loads((tmp_path / "expectations.json").read_text())) == 1


def test_what_is_none_is_never_known(tmp_path: Path, asked: list[str]) -> None:
    """Nor is what is asked beside it forgotten or taken for one."""
    slip = Expectation(table="t", kind="expect_colum_values_to_be_unique", where="crm.yaml line 2")
    for _ in range(2):
        with pytest.raises(ConfigurationInvalid, match="there is no expectation"):
            known.require_known([slip], tmp_path)
    assert not (tmp_path / "expectations.json").exists()


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, asked: list[str]) -> None:
    """It is looked up each time."""
    (tmp_path / "file").write_text("")
    for _ in range(2):
        known.require_known([UNIQUE], tmp_path / "file")
    assert len(asked) == 2


def test_what_is_known_is_imported_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread of its own."""
    ran = threading.Event()
    monkeypatch.setattr(gx, "import_it", ran.set)
    known.require_known([UNIQUE], tmp_path)
    assert not ran.is_set()
    known.require_known([UNIQUE], tmp_path)
    assert ran.wait(5)
    known.require_known([], tmp_path)
