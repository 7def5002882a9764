"""Some tables of a database: which lines of pg_restore's list make them, and nothing else.

    123; 1259 16405 TABLE shop orders owner
    124; 2606 16411 CONSTRAINT shop orders orders_pkey owner       the table is named first
    125; 1259 16412 INDEX shop orders_placed_idx owner             the table is not named
    126; 0 0 COMMENT shop COLUMN orders.id owner

Which indexes and sequences are a table's the manifest tells.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

_LINE: Final = re.compile(r"\d+; \d+ \d+ (?P<what>.+)")
_WORD_END: Final = re.compile(r"[ .]|$")
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


def lines_of(
    listed: Iterable[str],
    relations: Iterable[Mapping[str, Any]],
    wanted: Container[tuple[str, str]],
) -> Iterator[str]:
    """The lines of a list that belong to some tables, in the order of the list.

    Names are not quoted there, and may hold spaces: a line is about the longest name that fits.

    Args:
        relations: all of the database, as the manifest describes them.
        wanted: schema and name of the tables.
    """
    known = {
        opening: (one["schema"], one["name"]) in wanted
        for one in relations
        for opening in _openings(one)
    }
    for line in listed:
        if (found := _LINE.fullmatch(line)) is None:
            continue
        what = found["what"]
        ends = [end.start() for end in _WORD_END.finditer(what)]
        openings = (what[:end] for end in reversed(ends))
        if next((known[one] for one in openings if one in known), False):
            yield line


def _openings(relation: Mapping[str, Any]) -> Iterator[str]:
    schema, name = relation["schema"], relation["name"]
    for kind in _OF_TABLE:
        yield f"{kind} {schema} {name}"
    for about in ("ACL", "COMMENT", "SECURITY LABEL"):
        yield f"{about} {schema} TABLE {name}"
        yield f"{about} {schema} COLUMN {name}"
        yield f"{about} {schema} CONSTRAINT {name}"
        yield f"{about} {schema} TRIGGER {name}"
    for index in relation.get("indexes", ()):
        yield f"INDEX {schema} {index}"
        yield f"INDEX ATTACH {schema} {index}"
        yield f"COMMENT {schema} INDEX {index}"
    for sequence in relation.get("sequences", ()):
        for kind in ("SEQUENCE", "SEQUENCE OWNED BY"):
            yield f"{kind} {schema} {sequence}"
        for about in ("ACL", "COMMENT"):
            yield f"{about} {schema} SEQUENCE {sequence}"
