"""Which page ranges of a table are what they were: not read again, their blobs taken over.

A table is read in ranges of 128 pages, or fewer where most of it is TOAST, so that a range is about
a megabyte. Of each the backup keeps the number of rows. The next one
asks, inside its own snapshot, how many rows a range has, and how many of those are *new*: written
by a transaction that was not over when the earlier snapshot was taken. No new row, and as many as
before, means the same rows: a row version never moves or changes while its table is not rewritten,
and one that was visible then and is not now leaves the count smaller.

What "not over" means must be taken from the snapshot's xmin: transactions in progress then, and
all their subtransactions, are not older. Transaction ids repeat after 2^32; so the distance is
looked at, and everything else that could make an old id a lie (another server, another timeline, a
restart, a disk that was put back) makes the whole database be read. Whatever is not known to be
unchanged is read.

    state    = what the earlier snapshot leaves behind: token, xmin, types, durable
    audit    one in 30 of the unchanged ranges is read all the same, another thirtieth each time
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.backup.sources.postgresql.catalog import Relation
    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot, Token

PAGE_BYTES: Final = 8192
RANGE_PAGES: Final = 128
AUDITED: Final = 30  # one in as many
_RANGES_SINCE: Final = 140_000  # TID range scans
_HALF_OF_IDS: Final = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """What a recovery point remembers of the snapshot that it was taken in."""

    token: Token | None
    xmin: int
    types: str
    durable: bool  # whether all that it shows had reached the server's disk
    runs: int = 0  # incrementals since the last full: turns the audit on


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """What a recovery point remembers of a table that was read in ranges."""

    filenode: int
    fingerprint: str
    pages: int  # of a range
    rows: tuple[int, ...]  # of each range
    blobs: tuple[int, ...]  # how many each range became


class Range(NamedTuple):
    """What to do about one range."""

    number: int
    rows: int | None  # that it must have; None: not known
    reused: tuple[bytes, ...] | None  # blobs of the parent; None: it is read
    audited: tuple[bytes, ...] | None = None  # the blobs that must come out of reading it


class Plan(NamedTuple):
    """What to do about a table."""

    pages: int  # of a range; 0: it is read as one, and nothing is remembered of it
    ranges: tuple[Range, ...]
    why_all: str = ""  # why nothing is taken over, where something could have been


def why_all(now: DatabaseSnapshot, before: DatabaseState | None, *, full_read: bool) -> str:
    """Why nothing of a database can be taken over; empty if something may be."""
    if before is None:
        return "nothing is known of an earlier snapshot"
    reasons = {
        "full_read is set": full_read,
        "servers before version 14 cannot tell page ranges": now.version < _RANGES_SINCE,
        "the server does not tell who it is": now.token is None or before.token is None,
        _difference(now.token, before.token): now.token != before.token,
        "the earlier snapshot had not reached the server's disk": not before.durable,
        "a type, a collation or an extension changed": now.types != before.types,
        "too many transactions lie between the two snapshots": now.xmin < before.xmin
        or now.xmax - before.xmin >= _HALF_OF_IDS,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def why_table(
    relation: Relation, before: TableState | None, content: tuple[bytes, ...] | None
) -> str:
    """Why a table has to be read whole; empty if ranges of it may be taken over.

    Args:
        content: its blobs in the parent snapshot; None: they are not all there.
    """
    if before is None:
        return "it was not read in ranges before"
    if relation.filenode != before.filenode:
        return "it was rewritten or emptied"
    if relation.fingerprint != before.fingerprint:
        return "its columns changed"
    if content is None or len(content) != sum(before.blobs):
        return "the parent snapshot does not have it whole"
    return ""


def is_ranged(relation: Relation, version: int) -> bool:
    """Whether a table is large enough, and of a kind, to be read in ranges."""
    return (
        relation.bytes_all > RANGE_PAGES * PAGE_BYTES
        and relation.access_method == "heap"
        and relation.condition is None
        and version >= _RANGES_SINCE
    )


def pages_of(relation: Relation) -> int:
    """How many pages a range of a table should have: a megabyte, their TOAST included."""
    pages = RANGE_PAGES * relation.bytes_main // max(relation.bytes_all, 1)
    return 1 << max(pages - 1, 0).bit_length()


def count_of(relation: Relation, pages: int) -> int:
    """How many ranges of so many pages a table has."""
    return max(1, -(-relation.bytes_main // (pages * PAGE_BYTES)))


def where(number: int, count: int, pages: int) -> str:
    """The condition of a range. The last one has no end: nothing can lie behind it."""
    first, end = number * pages, (number + 1) * pages
    if count == 1:
        return ""
    if number == count - 1:
        return f"ctid >= '({first},0)'::pg_catalog.tid"
    return f"ctid >= '({first},0)'::pg_catalog.tid AND ctid < '({end},0)'::pg_catalog.tid"


def scan_query(relation: Relation, count: int, pages: int, xmin: int) -> str:
    """Rows, and new rows, of every range: it costs as much as counting the rows."""
    horizon = xmin & 0xFFFFFFFF
    return f"""
        SELECT g.n, x.every, x.fresh
          FROM pg_catalog.generate_series(0, {count - 1}) AS g(n), LATERAL (
               SELECT pg_catalog.count(*) AS every,
                      pg_catalog.count(*) FILTER (
                          WHERE pg_catalog.age(xmin) <= pg_catalog.age('{horizon}'::pg_catalog.xid))
                        AS fresh
                 FROM ONLY {relation.sql}
                WHERE ctid >= pg_catalog.format('(%s,0)', g.n * {pages})::pg_catalog.tid
                  AND ctid < pg_catalog.format('(%s,0)', (g.n + 1) * {pages})::pg_catalog.tid
               ) x
         ORDER BY g.n"""


def decide(
    scanned: Sequence[tuple[int, int, int]],
    before: TableState,
    content: tuple[bytes, ...],
    *,
    turn: int,
) -> list[Range]:
    """What to do about each range of a table of which something may be taken over.

    Args:
        scanned: number, rows and new rows of each range, in order.
        content: the blobs of the table in the parent snapshot.
        turn: which thirtieth is audited this time; another one for each table.
    """
    starts = [0]
    for blobs in before.blobs:
        starts.append(starts[-1] + blobs)
    decided = []
    for number, rows, fresh in scanned:
        if fresh or number >= len(before.rows) or rows != before.rows[number]:
            decided.append(Range(number, rows, None))
            continue
        blobs_of_range = content[starts[number] : starts[number + 1]]
        if (number + turn) % AUDITED == 0:
            decided.append(Range(number, rows, None, blobs_of_range))
        else:
            decided.append(Range(number, rows, blobs_of_range))
    return decided


def _difference(now: Token | None, before: Token | None) -> str:
    if now is None or before is None:
        return "the server does not tell who it is"
    if now.system_identifier != before.system_identifier:
        return "it is another server than before"
    if now.timeline != before.timeline:
        return "the server is on another timeline: a failover, or a recovery"
    if now.database_oid != before.database_oid:
        return "the database was made anew"
    return "the server was restarted"
