"""What of a recovery point goes back into a server: databases, or some tables of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import DamageFound, DestinationRefused
from include.backup.sources.postgresql import manifest
from include.backup.sources.postgresql.loading import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_ENCODING: Final = re.compile("[A-Za-z0-9_]{1,64}")


def _everything(path: bytes) -> bool:
    del path
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may be done to the server, and how."""

    database: str = ""  # another name for the database; empty: its own
    overwrite: bool = False  # a database that is there is removed first
    into_source: bool = False  # the very database that the data is from may be written to
    owner: str | None = None  # of everything; "": whoever restores; None: as it was
    renamed: Callable[[str], str] | None = None  # another name for each of several databases
    jobs: int = 2
    statistics: bool = True  # gathered for the planner at the end
    wanted: Callable[[bytes], bool] = field(default=_everything)  # paths in the dataset

    def name_of(self, name: str) -> str:
        """What a database is to be called."""
        return self.renamed(name) if self.renamed else self.database or name


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A database, or some tables of it, on the way back."""

    name: str
    folder: bytes  # in the dataset
    described: Mapping[str, Any]  # in the manifest
    tables: Sequence[Table]
    whole: bool

    @property
    def version(self) -> int:
        """The major version of the server that it is from."""
        return int(self.described["server_version"]) // 10_000


def wanted_of(document: Mapping[str, Any], rules: Rules) -> list[Wanted]:
    """What of a recovery point is put back.

    Args:
        document: the manifest.

    Raises:
        DestinationRefused: nothing, or what cannot be put there.
        DamageFound: it is no manifest that we can have written.
    """
    if document.get("kind") != "postgresql":
        raise DestinationRefused(
            "the recovery point holds no PostgreSQL databases", hint="restore it to a directory"
        )
    databases: Any = document.get("databases")
    if not _can_be(databases):
        raise DamageFound(f"{manifest.MANIFEST} of the recovery point cannot be read")
    wanted = []
    for name, described in databases.items():
        folder = manifest.escaped(name).encode()
        whole = rules.wanted(folder)
        tables = [one for one in _tables(folder, described) if whole or rules.wanted(one.path)]
        if whole or tables:
            wanted.append(
                Wanted(name=name, folder=folder, described=described, tables=tables, whole=whole)
            )
    if not wanted:
        raise DestinationRefused(
            "nothing of the recovery point was chosen",
            hint="patterns are as in DATABASE, or DATABASE/data/SCHEMA.TABLE.copy",
        )
    if rules.database and len(wanted) > 1:
        raise DestinationRefused(
            f"{len(wanted)} databases cannot all be called {rules.database}",
            hint=f"choose one by --path: {', '.join(one.name for one in wanted)}",
        )
    return wanted


def _can_be(databases: Any) -> bool:  # noqa: ANN401  JSON
    """Whether databases can be as they are described.

    Names are quoted where they become SQL; an encoding stands there as it is.
    """
    try:
        return all(
            _is_text(name)
            and _ENCODING.fullmatch(described["encoding"]) is not None
            and int(described["server_version"]) > 0
            and all(map(_is_text, described.get("tablespaces", ())))
            and all(map(_relation_can_be, described["relations"].values()))
            for name, described in databases.items()
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return False


def _relation_can_be(one: Mapping[str, Any]) -> bool:
    names = [one["schema"], one["name"], one.get("file", "")]
    if "file" in one:
        names += [*one["columns"], *one["indexes"], *one["sequences"]]
        int(one["count"]), int(one["bytes"])
    return all(map(_is_text, names)) and "rows" in one


def _is_text(value: object) -> bool:
    """Whether a server can hold it: JSON may hold halves of characters, and NUL."""
    return isinstance(value, str) and "\0" not in value and value.encode() is not None


def _tables(folder: bytes, described: Mapping[str, Any]) -> Iterator[Table]:
    for one in described["relations"].values():
        if "file" in one:
            yield Table(
                schema=one["schema"],
                name=one["name"],
                columns=tuple(one["columns"]),
                indexes=tuple(one["indexes"]),
                sequences=tuple(one["sequences"]),
                path=folder + b"/" + one["file"].encode(),
                rows=int(one["count"]),
                size_bytes=int(one["bytes"]),
                shared=bool(one.get("extension")),
            )
