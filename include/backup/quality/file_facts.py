"""Facts of files that hold tables: how many rows, which columns, how many empty, which unique.

They stand in the record of a verification, and are compared with those of the one before: what
differs there may well be wanted, so it is a note, and no fault. Columns of CSV are told by their
number: the first line of a file need not be a heading, and no value of a row gets into a record. A
digest tells whether it is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from include.backup.format.tree import NodeType
from include.backup.quality.tabular import TabularFailed, is_tabular, load_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from include.backup.quality.data import Files
    from include.backup.sources.base import StoredFiles

MOST_FILES: Final = 20  # the first by name
_MOST_BYTES: Final = 64 << 20  # of each
_MOST_COLUMNS: Final = 200
_NAMED_BY_FORMAT: Final = (".parquet", ".jsonl", ".ndjson")  # whose columns have names of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What is known of one file.

    Args:
        columns: their names, or numbers from 1.
        nulls: how many values of each are empty.
        unique: whether each value of a column is there once.
        schema: digest of names and types: 16 hex digits.
    """

    path: str
    rows: int
    columns: tuple[str, ...]
    nulls: tuple[int, ...]
    unique: tuple[bool, ...]
    schema: str

    def to_json(self) -> dict[str, Any]:
        """As the record holds it."""
        return {
            "of": self.path,
            "rows": self.rows,
            "schema": self.schema,
            "columns": [
                {"column": name, "empty": nulls, "unique": unique}
                for name, nulls, unique in zip(self.columns, self.nulls, self.unique, strict=True)
            ],
        }


def facts_of(files: Files, stored: StoredFiles) -> list[FileFacts]:
    """Facts of the first files of a recovery point that hold tables, as they were restored."""
    found: list[FileFacts] = []
    for path, size_bytes in _tabular(stored):
        if len(found) == MOST_FILES:
            break
        if size_bytes > _MOST_BYTES:
            continue
        try:
            found.append(_facts(path, load_frame(files, path)))
        except (TabularFailed, OSError):
            continue  # its bytes are compared all the same
    return found


def drift(now: Iterable[FileFacts], before: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is not as it was at an earlier verification, one text for each.

    Args:
        before: what its record has of the facts.
    """
    known = {str(one["of"]): one for one in before}
    for one in now:
        was = known.get(one.path)
        if was is None:
            continue
        if was["schema"] != one.schema:
            yield f"{one.path}: other columns than at the last verification"
            continue
        if one.rows < was["rows"]:
            yield f"{one.path}: {one.rows:,} rows, and {was['rows']:,} at the last verification"
        for name, unique, column in zip(one.columns, one.unique, was["columns"], strict=True):
            if column["unique"] and not unique and was["rows"] > 1:
                yield f"{one.path}: column {name} was unique at the last verification"
        for name, nulls, column in zip(one.columns, one.nulls, was["columns"], strict=True):
            if nulls and not column["empty"]:
                yield f"{one.path}: column {name} had no empty value at the last verification"


def _tabular(stored: StoredFiles) -> Iterator[tuple[str, int]]:
    """Every file whose name says that it holds a table, and how large it is."""
    waiting = [b""]
    while waiting:
        folder = waiting.pop(0)
        for node in stored.list(folder):
            path = folder + b"/" + node.name if folder else node.name
            if node.type == NodeType.DIR:
                waiting.append(path)
            elif node.type == NodeType.FILE:
                name = path.decode("utf-8", "surrogateescape")
                if is_tabular(name) and name.isprintable():
                    yield name, node.size


def _facts(path: str, frame: Any) -> FileFacts:  # noqa: ANN401  of pandas
    columns = list(frame.columns)[:_MOST_COLUMNS]
    named = path.lower().removesuffix(".gz").endswith(_NAMED_BY_FORMAT)
    schema = "\n".join(f"{name!r} {frame[name].dtype.kind}" for name in columns)
    return FileFacts(
        path=path,
        rows=len(frame),
        columns=tuple(
            str(name) if named else str(number) for number, name in enumerate(columns, start=1)
        ),
        nulls=tuple(int(frame[name].isna().sum()) for name in columns),
        unique=tuple(_is_unique(frame[name]) for name in columns),
        schema=sha256(schema.encode("utf-8", "backslashreplace")).hexdigest()[:16],
    )


def _is_unique(column: Any) -> bool:  # noqa: ANN401  of pandas
    try:
        return bool(column.is_unique)
    except TypeError:  # lists and mappings of JSON cannot be compared
        return False
