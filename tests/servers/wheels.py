"""Wheels of what is installed here, put together from its files: an index for tests, offline."""

from __future__ import annotations

import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution
    from pathlib import Path


def make_wheels(folder: Path, names: Iterable[str]) -> None:
    """Make one of each distribution that these need, directly or not."""
    folder.mkdir()
    for found in closure(names).values():
        wheel_text = found.read_text("WHEEL") or ""
        tags = [line[5:] for line in wheel_text.splitlines() if line.startswith("Tag: ")]
        parts = [{tag.split("-")[place] for tag in tags} for place in range(3)]
        tag = "-".join(".".join(sorted(part)) for part in parts)
        name = found.name.replace("-", "_").replace(".", "_")
        with zipfile.ZipFile(folder / f"{name}-{found.version}-{tag}.whl", "w") as wheel:
            for file in found.files or ():
                own = str(file)
                if own.startswith("..") or "__pycache__" in own or own.endswith("/INSTALLER"):
                    continue
                wheel.write(str(file.locate()), own)


def closure(names: Iterable[str]) -> dict[str, Distribution]:
    """The distributions that these need, as far as they are installed."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(name) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            found[key[0]] = here = distribution(wanted.name)
        except PackageNotFoundError:
            continue
        for text in here.requires or ():
            one = Requirement(text)
            if one.marker is None or any(
                one.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
            ):
                waiting.append(one)
    return found
