"""What the documents say of the tests is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(ROOT.glob("*.md"))
_NAMED = re.compile(r"`(test_\w+)(…?)`")
_DEFINED = re.compile(r"^ *def (test_\w+)\(", re.MULTILINE)


def known() -> set[str]:
    """The names of all tests, and of the modules that they are in."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= {path.stem, *_DEFINED.findall(path.read_text(encoding="utf-8"))}
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_is_named_exists(document: Path) -> None:
    """In full, or by how its name begins; so a row of a crash table cannot outlive its test."""
    names = known()
    for name, shortened in _NAMED.findall(document.read_text(encoding="utf-8")):
        assert name in names or (shortened and any(one.startswith(name) for one in names)), name


def test_the_crash_tables_name_tests() -> None:
    """The above compares something."""
    named = _NAMED.findall((ROOT / "DESIGN.md").read_text(encoding="utf-8"))
    assert len(named) > 60
