"""Some tables of a database: which lines of pg_restore's list make them, and nothing else.

    123; 1259 16405 TABLE shop orders owner
    124; 2606 16411 CONSTRAINT shop orders orders_pkey owner       the table is named first
    125; 1259 16412 INDEX shop orders_placed_idx owner             the table is not named
    126; 0 0 COMMENT shop COLUMN orders.id owner

Which indexes and sequences are a table's the manifest tells.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from include.backup.sources.postgresql.loading import Table

_LINE: Final = re.compile(r"\d+; \d+ \d+ (?P<what>.+)")
# What is said of a table, with its name right behind the schema's.
_OF_TABLE: Final = (
    "TABLE",
    "DEFAULT",
    "CONSTRAINT",
    "CHECK CONSTRAINT",
    "FK CONSTRAINT",
    "TRIGGER",
    "RULE",
    "POLICY",
    "ROW SECURITY",
)


def lines_of(listed: Iterable[str], tables: Iterable[Table]) -> Iterator[str]:
    """The lines of a list that belong to some tables, in the order of the list."""
    openings = [opening for table in tables for opening in _openings(table)]
    for line in listed:
        found = _LINE.fullmatch(line)
        if found and any(_begins(found["what"], opening) for opening in openings):
            yield line


def _begins(what: str, opening: str) -> bool:
    """Whether a text begins with whole words."""
    return what.startswith(opening) and what[len(opening) : len(opening) + 1] in {"", " ", "."}


def _openings(table: Table) -> Iterator[str]:
    schema, name = table.schema, table.name
    for kind in _OF_TABLE:
        yield f"{kind} {schema} {name}"
    for about in ("ACL", "COMMENT", "SECURITY LABEL"):
        yield f"{about} {schema} TABLE {name}"
        yield f"{about} {schema} COLUMN {name}"
        yield f"{about} {schema} CONSTRAINT {name}"
        yield f"{about} {schema} TRIGGER {name}"
    for index in table.indexes:
        yield f"INDEX {schema} {index}"
        yield f"INDEX ATTACH {schema} {index}"
        yield f"COMMENT {schema} INDEX {index}"
    for sequence in table.sequences:
        for kind in ("SEQUENCE", "SEQUENCE OWNED BY"):
            yield f"{kind} {schema} {sequence}"
        for about in ("ACL", "COMMENT"):
            yield f"{about} {schema} SEQUENCE {sequence}"
