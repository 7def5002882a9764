"""Some tables of a database: which lines of pg_restore's list make them, and nothing else.

    123; 1259 16405 TABLE shop orders owner
    124; 2606 16411 CONSTRAINT shop orders orders_pkey owner       the table is named first
    125; 1259 16412 INDEX shop orders_placed_idx owner             the table is not named
    126; 0 0 COMMENT shop COLUMN "Orders".id owner                 here names are quoted, if need be
    127; 0 0 COMMENT shop POLICY mine ON orders owner              the table is named last

Which indexes and sequences are a table's the manifest tells.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from include.backup.sources.postgresql.catalog import quote

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

_LINE: Final = re.compile(r"\d+; \d+ \d+ (?P<what>.+)")
_WORD_END: Final = re.compile(r"[ .]|$")
_ABOUT_PART: Final = re.compile(
    r"(COMMENT|SECURITY LABEL) (.+?) (?:CONSTRAINT|TRIGGER|RULE|POLICY) .+ ON (.+)"
)
# What belongs to a table, and the list does not say to which; its SQL does.
NAMELESS: Final = re.compile(r"\d+; \d+ \d+ (STATISTICS|PUBLICATION TABLE) ")
_NAME: Final = r'("(?:[^"]|"")*"|[^\s".;(]+)'
_NAMED: Final = re.compile(rf"(?: FROM| ADD TABLE ONLY) {_NAME}\.{_NAME}(?=[;\s(])")
ATTACHING: Final = re.compile(r"\d+; \d+ \d+ TABLE ATTACH ")
_ATTACHING_INDEX: Final = re.compile(r"\d+; \d+ \d+ INDEX ATTACH ")
# What is said of a table, with its name right behind the schema's.
_OF_TABLE: Final = (
    "TABLE",
    "TABLE ATTACH",
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
        if part := _ABOUT_PART.fullmatch(what):
            what = f"{part[1]} {part[2]} ON {part[3]}"
        ends = [end.start() for end in _WORD_END.finditer(what)]
        openings = (what[:end] for end in reversed(ends))
        if next((known[one] for one in openings if one in known), False):
            yield line


def _openings(relation: Mapping[str, Any]) -> Iterator[str]:
    schema, name = relation["schema"], relation["name"]
    for kind in _OF_TABLE:
        yield f"{kind} {schema} {name}"
    for about in ("ACL", "COMMENT", "SECURITY LABEL"):
        for written in (name, quote(name)):
            yield f"{about} {schema} TABLE {written}"
            yield f"{about} {schema} COLUMN {written}"
            yield f"{about} {schema} ON {written}"
    for index in relation.get("indexes", ()):
        yield f"INDEX {schema} {index}"
        yield f"INDEX ATTACH {schema} {index}"
        for written in (index, quote(index)):
            yield f"COMMENT {schema} INDEX {written}"
    for sequence in relation.get("sequences", ()):
        for kind in ("SEQUENCE", "SEQUENCE OWNED BY"):
            yield f"{kind} {schema} {sequence}"
        for about in ("ACL", "COMMENT"):
            for written in (sequence, quote(sequence)):
                yield f"{about} {schema} SEQUENCE {written}"


def without_attaching(lines: Iterable[str]) -> list[str]:
    """The lines, but for those that make a partition of a table, and of its indexes.

    A partition is attached last, and takes its indexes along: those of its parent, which is there
    already, would be made once more otherwise.
    """
    return [
        line for line in lines if not ATTACHING.match(line) and not _ATTACHING_INDEX.match(line)
    ]


def table_named(sql: str) -> tuple[str, str] | None:
    """Schema and name of the table that a statement of `NAMELESS` is about."""
    found = _NAMED.findall(sql)  # the last one: an expression may have a FROM as well
    return (_unquoted(found[-1][0]), _unquoted(found[-1][1])) if found else None


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
