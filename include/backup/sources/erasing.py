"""Erasing from what was restored: files, objects and rows that were erased at their source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.backup.errors import RestoreRefused
from include.backup.format.tree import NodeType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.backup.sources.base import StoredFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class ToErase:
    """One request. What it is about must not be told: it may name people."""

    id: str
    matches: Callable[[bytes], bool] | None = None  # paths of the dataset; None: there are none
    statements: str = ""  # SQL
    database: str = ""  # in which they are run, as the dataset calls it; empty: the only one


def paths_of(files: StoredFiles, matches: Callable[[bytes], bool]) -> Iterator[tuple[bytes, str]]:
    """What matches in a recovery point, each directory after what is in it.

    Raises:
        DamageFound, StorageError.
    """
    waiting, folders = [b""], []
    while waiting:
        folder = waiting.pop()
        for node in files.list(folder):
            path = folder + b"/" + node.name if folder else node.name
            if node.type == NodeType.DIR:
                waiting.append(path)
                if matches(path):
                    folders.append(path)
            elif matches(path):
                yield path, node.type
    for path in reversed(folders):  # each was found before those in it
        yield path, NodeType.DIR


def require_paths(requests: Sequence[ToErase]) -> None:
    """Refuse what can be done in a database alone.

    Raises:
        RestoreRefused.
    """
    for one in requests:
        if one.matches is None:
            raise RestoreRefused(f"erasure {one.id} is one of a database, and these are files")


def database_of(request: ToErase, restored: Sequence[tuple[str, str]]) -> str:
    """In which database of the server a request is carried out; empty: in none that was restored.

    Args:
        restored: the databases, as the dataset calls them, and as they are called there.

    Raises:
        RestoreRefused: it is one of files, or names no database, and several were restored.
    """
    if not request.statements:
        raise RestoreRefused(f"erasure {request.id} is one of files, and this is a database")
    if request.database:
        return dict(restored).get(request.database, "")
    if len(restored) > 1:
        raise RestoreRefused(
            f"erasure {request.id} names no database, and {len(restored)} were restored",
            hint="withdraw it, and register it with --database",
        )
    return restored[0][1] if restored else ""
