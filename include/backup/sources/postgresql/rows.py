"""The rows of one table as a content: ranges that are read, and ranges that are taken over.

A range counts only if psql ended well and it has as many rows as the scan inside the same snapshot
counted. The lock that another session waits for is had by the coordinator alone: then it reads.
"""

from __future__ import annotations

from contextlib import ExitStack
from hashlib import sha256
from typing import TYPE_CHECKING, Self

from include.backup.errors import DamageFound, SourceError
from include.backup.sources.base import Reused
from include.backup.sources.postgresql.pump import LockRefused, Pump, of_snapshot
from include.backup.sources.postgresql.ranges import TableState, where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.backup.format.tree import Node
    from include.backup.sources.base import Part
    from include.backup.sources.postgresql.catalog import Relation
    from include.backup.sources.postgresql.ranges import Plan, Range
    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot


class TableRows:
    """The content of one table; see sources.base.Content.

    Args:
        plan: what to do about each range.
        guard: raises when the snapshot must not be held any longer.
    """

    def __init__(
        self,
        snapshot: DatabaseSnapshot,
        psql: str,
        relation: Relation,
        node: Node,
        plan: Plan,
        *,
        guard: Callable[[], None],
    ) -> None:
        self._snapshot = snapshot
        self._psql = psql
        self._relation = relation
        self._node = node
        self._plan = plan
        self._guard = guard
        self._whole = all(one.reused is None for one in plan.ranges)
        self._digest = sha256()
        self._opened = ExitStack()
        self._reader: _Reader | None = None
        self._now: Range | None = None
        self.rows: list[int] = []
        self.blobs: list[int] = []
        self.size_bytes = 0
        self.ids = sha256()

    def parts(self) -> Iterator[Part | Reused]:
        """See Content.parts."""
        read = [one for one in self._plan.ranges if one.reused is None]
        with self._opened:
            if read:
                queries = [self._query(one.number) for one in read]
                self._reader = self._opened.enter_context(
                    _Reader(self._snapshot, self._psql, self._relation, queries)
                )
            for one in self._plan.ranges:
                self._guard()
                self._now = one
                yield self if one.reused is None else Reused(one.reused)
            if self._reader is not None:
                self._reader.finish()

    def _query(self, number: int) -> str:
        return self._relation.select(where(number, len(self._plan.ranges), self._plan.pages))

    def readinto(self, buffer: memoryview) -> int:
        """See Part.readinto."""
        assert self._reader is not None
        count = self._reader.readinto(buffer)
        if self._whole:
            self._digest.update(buffer[:count])
        return count

    def stored(self, blobs: Sequence[bytes], size_bytes: int) -> None:
        """See Content.stored."""
        assert self._now is not None
        one, relation = self._now, self._relation
        if one.reused is not None:
            assert one.rows is not None
            rows = one.rows
        else:
            assert self._reader is not None
            rows = self._reader.take_rows()
            if one.rows is not None and rows != one.rows:
                raise SourceError(
                    f"{relation.label}: range {one.number} has {one.rows} rows, and {rows} came"
                )
        if one.audited is not None and tuple(blobs) != one.audited:
            raise DamageFound(
                f"{relation.label}: range {one.number} was taken for unchanged, and is not what "
                "the parent snapshot has",
                hint="the next backup is a full; tell the makers: this must not happen",
            )
        self.rows.append(rows)
        self.blobs.append(len(blobs))
        self.size_bytes += size_bytes
        for blob_id in blobs:
            self.ids.update(blob_id)

    def settle(self, *, last: bool) -> Node:
        """See Content.settle: inside a snapshot nothing changes."""
        del last
        return self._node._replace(size=self.size_bytes)

    def close(self) -> None:
        """End what is still running."""
        self._opened.close()

    @property
    def sha256(self) -> str:
        """Of all the rows as text; empty if some were taken over."""
        return self._digest.hexdigest() if self._whole else ""

    def state(self) -> TableState:
        """What the next incremental compares with."""
        return TableState(
            filenode=self._relation.filenode,
            fingerprint=self._relation.fingerprint,
            pages=self._plan.pages,
            rows=tuple(self.rows),
            blobs=tuple(self.blobs),
        )


class _Reader:
    """Reads some queries one after the other, through psql or, if it must, the coordinator."""

    def __init__(
        self, snapshot: DatabaseSnapshot, psql: str, relation: Relation, queries: list[str]
    ) -> None:
        self._snapshot = snapshot
        self._queries = queries
        self._number = 0
        self._pump: Pump | None = of_snapshot(snapshot, psql, relation, queries)
        self._copied: Iterator[bytes] | None = None
        self._left = b""
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pump is not None:
            self._pump.__exit__()
        if self._copied is not None:
            self._copied.close()  # type: ignore[attr-defined]

    def readinto(self, target: memoryview) -> int:
        if self._pump is None:
            return self._read_here(target)
        try:
            return self._pump.readinto(target)
        except LockRefused:
            self._pump.__exit__()
            self._pump = None
            return self._read_here(target)

    def take_rows(self) -> int:
        """How many rows the query had that has just ended; the next one begins."""
        if self._pump is not None:
            rows, self._pump.rows = self._pump.rows, 0
            return rows
        rows, self._rows = self._rows, 0
        return rows

    def finish(self) -> None:
        if self._pump is not None:
            self._pump.finish()

    def _read_here(self, target: memoryview) -> int:
        if self._copied is None:
            self._copied = self._snapshot.copied(self._queries[self._number])
        if not self._left:
            pieces, size = [], 0
            for piece in self._copied:
                pieces.append(piece)
                size += len(piece)
                if size >= len(target):
                    break
            self._left = b"".join(pieces)
            self._rows += self._left.count(b"\n")
        if not self._left:
            self._copied = None
            self._number += 1
            return 0
        count = min(len(self._left), len(target))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
