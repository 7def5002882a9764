"""Paths that lie inside one another: datasets in datasets, vaults in datasets, datasets in vaults.

A file in two datasets would be backed up twice and expire by two promises; a vault inside a
dataset would grow by its own copy with every backup. Paths are compared as they are written,
part by part: no file is touched, so a symbolic link is not followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Two paths that must not lie as they do."""

    name: str  # of the dataset that has to give way
    other: str  # name of the dataset or the vault it collides with
    relation: str  # "is the same as", "lies inside", "holds"


def nested(paths: Sequence[tuple[str, str]]) -> Iterator[Overlap]:
    """Every dataset that lies inside another one, or has the path of an earlier one.

    The outer dataset keeps its right: its backup covers the inner one too. O(n log n): sorted
    by their parts, all paths below a folder follow it directly.

    Args:
        paths: (dataset, absolute path) in the order of the files.
    """
    order = sorted((parts_of(path), rank, name) for rank, (name, path) in enumerate(paths))
    outer: tuple[tuple[str, ...], str] | None = None
    for parts, _, name in order:
        if outer is not None and parts[: len(outer[0])] == outer[0]:
            relation = "is the same as" if parts == outer[0] else "lies inside"
            yield Overlap(name=name, other=outer[1], relation=relation)
        else:
            outer = (parts, name)


def entangled(paths: Iterable[tuple[str, str]], vaults: Mapping[str, str]) -> Iterator[Overlap]:
    """Every dataset that holds a vault, or lies in one; one overlap for each such dataset.

    Args:
        paths: (dataset, absolute path).
        vaults: absolute path of each local vault, by name.
    """
    at = {parts_of(path): name for name, path in vaults.items()}
    above = {parts[:depth]: name for parts, name in at.items() for depth in range(len(parts))}
    for dataset, path in paths:
        parts = parts_of(path)
        if parts in at:
            yield Overlap(name=dataset, other=at[parts], relation="is the same as")
        elif parts in above:
            yield Overlap(name=dataset, other=above[parts], relation="holds")
        else:
            for depth in range(len(parts)):
                if parts[:depth] in at:
                    yield Overlap(name=dataset, other=at[parts[:depth]], relation="lies inside")
                    break


def parts_of(path: str) -> tuple[str, ...]:
    """The folders of an absolute path; none for the root."""
    return tuple(part for part in path.split("/") if part not in {"", "."})
