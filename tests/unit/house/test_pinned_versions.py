"""constraints.txt says exactly what is installed, and says it to everybody."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PIN = re.compile(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.+!]*)")


def lines(name: str) -> list[str]:
    """The lines of a requirements file without comments."""
    text = (ROOT / name).read_text(encoding="utf-8")
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]


def pins() -> dict[str, str]:
    """Version by canonical name."""
    matches = [PIN.fullmatch(line) for line in lines("constraints.txt")]
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def requirements() -> list[Requirement]:
    """What both requirements files name."""
    both = [*lines("requirements.txt"), *lines("requirements-dev.txt")]
    return [Requirement(line) for line in both if not line.startswith("-r ")]


def test_each_line_pins_one_version_and_names_no_place() -> None:
    """No ranges, addresses, options or paths: any package index can serve it."""
    assert [line for line in lines("constraints.txt") if not PIN.fullmatch(line)] == []
    assert len(pins()) == len(lines("constraints.txt")), "a package is pinned twice"


@pytest.mark.parametrize("requirement", requirements(), ids=lambda one: one.name)
def test_each_requirement_is_pinned_within_its_range(requirement: Requirement) -> None:
    """What we ask for and what we test with agree."""
    pinned = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned)


@pytest.mark.parametrize("requirement", requirements(), ids=lambda one: one.name)
def test_what_is_tested_is_what_is_pinned(requirement: Requirement) -> None:
    """The environment these tests run in was installed from constraints.txt."""
    if requirement.marker is not None and not requirement.marker.evaluate():
        pytest.skip(f"not for this machine: {requirement.marker}")
    assert version(requirement.name) == pins()[canonicalize_name(requirement.name)]
