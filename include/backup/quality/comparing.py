"""What is told of a comparison, whatever was compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from include.backup.sources.noting import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from datetime import datetime

    from include.backup.repository.progress import Progress
    from include.backup.repository.repository import Repository
    from include.backup.sources.base import StoredFiles

_LONGEST_NAMED: Final = 100  # characters of a statement


def everything(path: bytes) -> bool:
    """Whether a path was put back, where all of them were."""
    del path
    return True


class Everything:
    """A set of all entries: where so many were noted that not all notes were kept."""

    def __contains__(self, one: object) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A recovery point that was put back, as it lies in the vault."""

    repository: Repository  # its index loaded
    tree: bytes  # of the dataset's own directory
    files: StoredFiles
    excused: Container[str]  # entries that the restore noted as not quite as they were
    progress: Progress
    now: datetime  # when it had been put back
    wanted: Callable[[bytes], bool] = everything  # paths in the dataset that were put back
    alone: bool = True  # nothing else was there before


class Counted(NamedTuple):
    """The rows of a table, as they were read again."""

    table: str  # for people
    rows: int
    wanted: int  # how many the recovery point counted


@dataclass(slots=True, kw_only=True)
class Compared:
    """What was looked at, and what is not as it should be."""

    contents: str = ""  # what was compared, for people
    size_bytes: int = 0  # of content
    faults: Notes = field(default_factory=Notes)
    counted: list[Counted] = field(default_factory=list)  # of databases

    def fault(self, where: bytes | str, what: str) -> None:
        """Note something that is not as it was."""
        self.faults.add(where, what, lost=True)


def beginning_of(statement: str) -> str:
    """The beginning of a statement, which names what it makes: for people, on one line."""
    text = " ".join(statement.split())
    return text if len(text) <= _LONGEST_NAMED else f"{text[:_LONGEST_NAMED]}…"
