"""Where every blob of a repository lies, in about 50 bytes a blob.

    segment = ids     n x 32 bytes, grouped by their leading bits
            + rows    n x 16 bytes: pack number, offset, length, size (uint32, little-endian)
            + starts  where each group begins; a group holds about four ids

A dict of Python objects takes eight times as much. Segments never change; new blobs gather in a
small dict that becomes a segment when it is full, and segments of like size are merged, so a
look-up asks a handful of them. Duplicates of a blob are kept: another copy may be the good one.
"""

from __future__ import annotations

import struct
import threading
from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from include.backup.format.crypto import OVERHEAD
from include.backup.format.ids import ID_SIZE, BlobType
from include.backup.format.pack import FRAME_BYTES, entries_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from include.backup.format.pack import PackedBlob

_ROW = struct.Struct("<IIII")
_RECENT_LIMIT = 32_768
_IDS_PER_GROUP = 4
_MAX_GROUP_BITS = 28


class Location(NamedTuple):
    """Where one copy of a blob lies."""

    pack: bytes  # 32 bytes
    offset: int  # bytes
    length: int  # sealed bytes
    size: int  # plaintext bytes of a compressed blob; 0 when it is stored plain

    @property
    def plaintext_bytes(self) -> int:
        """The size of the blob."""
        return self.size or self.length - OVERHEAD


class _Segment:
    """Blobs of one type, immutable."""

    def __init__(self, ids: bytes, rows: bytes) -> None:
        count = len(ids) // ID_SIZE
        bits = min(max((count // _IDS_PER_GROUP).bit_length(), 1), _MAX_GROUP_BITS)
        table = np.frombuffer(ids, dtype=np.uint8).reshape(count, ID_SIZE)
        groups = table[:, :4].copy().view(">u4").ravel() >> np.uint32(32 - bits)
        order = np.argsort(groups, kind="stable")
        self.count = count
        self.ids = table[order].tobytes()
        self.rows = np.frombuffer(rows, dtype=np.uint8).reshape(count, _ROW.size)[order].tobytes()
        ends = np.cumsum(np.bincount(groups, minlength=1 << bits))
        self._starts = array("I", bytes(4))
        self._starts.frombytes(ends.astype(np.uint32).tobytes())
        self._shift = 32 - bits

    def find(self, blob_id: bytes) -> Iterator[int]:
        """Yield the positions of every copy."""
        group = int.from_bytes(blob_id[:4], "big") >> self._shift
        position = self._starts[group] * ID_SIZE
        end = self._starts[group + 1] * ID_SIZE
        while (position := self.ids.find(blob_id, position, end)) >= 0:
            if position % ID_SIZE == 0:
                yield position // ID_SIZE
                position += ID_SIZE
            else:
                position += 1

    def holds(self, blob_id: bytes) -> bool:
        """Say whether the blob is here, faster than `find`."""
        group = int.from_bytes(blob_id[:4], "big") >> self._shift
        start, end = self._starts[group] * ID_SIZE, self._starts[group + 1] * ID_SIZE
        position = self.ids.find(blob_id, start, end)
        return position >= 0 and (position % ID_SIZE == 0 or any(True for _ in self.find(blob_id)))


class _BlobTable:
    """Blobs of one type."""

    def __init__(self) -> None:
        self._recent: dict[bytes, tuple[int, int, int, int]] = {}
        self._segments: list[_Segment] = []

    def __len__(self) -> int:
        return len(self._recent) + sum(segment.count for segment in self._segments)

    def holds(self, blob_id: bytes) -> bool:
        return blob_id in self._recent or any(segment.holds(blob_id) for segment in self._segments)

    def rows(self, blob_id: bytes) -> Iterator[tuple[int, int, int, int]]:
        if (recent := self._recent.get(blob_id)) is not None:
            yield recent
        for segment in self._segments:
            for position in segment.find(blob_id):
                yield _ROW.unpack_from(segment.rows, position * _ROW.size)

    def add(self, pack_number: int, blobs: Sequence[PackedBlob]) -> None:
        for blob in blobs:
            row = (pack_number, blob.offset, blob.length, blob.size)
            if blob.id in self._recent:  # a duplicate: both copies stay findable
                self._merge(_Segment(blob.id, _ROW.pack(*row)))
            else:
                self._recent[blob.id] = row
        if len(self._recent) >= _RECENT_LIMIT:
            self.freeze()

    def freeze(self) -> None:
        """Turn the recent blobs into a segment."""
        if not self._recent:
            return
        ids = b"".join(self._recent)
        rows = b"".join([_ROW.pack(*row) for row in self._recent.values()])
        # The segment is in place before the dict is emptied, so a reader always finds the blob.
        self._merge(_Segment(ids, rows))
        self._recent = {}

    def _merge(self, segment: _Segment) -> None:
        segments = list(self._segments)
        while segments and segments[-1].count <= 2 * segment.count:
            last = segments.pop()
            segment = _Segment(last.ids + segment.ids, last.rows + segment.rows)
        self._segments = [*segments, segment]

    def all(self) -> Iterator[tuple[bytes, tuple[int, int, int, int]]]:
        yield from list(self._recent.items())
        for segment in self._segments:
            for position in range(segment.count):
                yield (
                    segment.ids[position * ID_SIZE : (position + 1) * ID_SIZE],
                    _ROW.unpack_from(segment.rows, position * _ROW.size),
                )


class BlobIndex:
    """All blobs that the index files of one repository name. Safe to use from several threads."""

    def __init__(self) -> None:
        self._packs: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._bytes = array("Q")  # the size of each pack, as its blobs add up
        self.blob_bytes = 0  # of all blobs, sealed; what packs need beside them does not count
        self._tables = {kind: _BlobTable() for kind in BlobType}
        self._lock = threading.Lock()

    @property
    def packs(self) -> Sequence[bytes]:
        """Every pack named so far."""
        return self._packs

    def count(self, kind: BlobType) -> int:
        """How many copies of blobs of one type there are."""
        return len(self._tables[kind])

    def holds(self, kind: BlobType, blob_id: bytes) -> bool:
        """Say whether a pack holds the blob."""
        return self._tables[kind].holds(blob_id)

    def holds_all(self, kind: BlobType, blob_ids: Iterable[bytes]) -> bool:
        """Say whether packs hold all of the blobs."""
        return all(map(self._tables[kind].holds, blob_ids))

    def locations(self, kind: BlobType, blob_id: bytes) -> list[Location]:
        """Every place where the blob lies; empty when it is unknown."""
        return [Location(self._packs[row[0]], *row[1:]) for row in self._tables[kind].rows(blob_id)]

    def add_pack(self, pack_id: bytes, blobs: Sequence[PackedBlob]) -> None:
        """Remember the blobs of one pack. Of a pack named before, those that were not named.

        Two index files may name the same pack; the same blobs of it, if all is well.
        """
        with self._lock:
            number = self._numbers.get(pack_id)
            if number is None:
                number = self._numbers[pack_id] = len(self._packs)
                self._packs.append(pack_id)
                self._bytes.append(FRAME_BYTES)
            else:
                blobs = [blob for blob in blobs if not self._names(number, blob)]
            self._bytes[number] += entries_bytes((blob.length, blob.size) for blob in blobs)
            self.blob_bytes += sum(blob.length for blob in blobs)
            kinds = {blob.type for blob in blobs}
            for kind in kinds:
                chosen = blobs if len(kinds) == 1 else [b for b in blobs if b.type == kind]
                self._tables[kind].add(number, chosen)

    def _names(self, number: int, blob: PackedBlob) -> bool:
        row = (number, blob.offset, blob.length, blob.size)
        return row in self._tables[blob.type].rows(blob.id)

    def has_pack(self, pack_id: bytes) -> bool:
        """Say whether the pack is named in the index."""
        return pack_id in self._numbers

    def pack_bytes(self) -> Iterator[tuple[bytes, int]]:
        """Every pack named so far, and the bytes that its blobs add up to."""
        return zip(self._packs, self._bytes, strict=True)

    def by_pack(self) -> dict[bytes, list[tuple[BlobType, bytes, Location]]]:
        """Every blob, grouped by pack and ascending by offset. For checking; not small."""
        grouped: dict[bytes, list[tuple[BlobType, bytes, Location]]] = {
            pack: [] for pack in self._packs
        }
        for kind, table in self._tables.items():
            for blob_id, row in table.all():
                place = Location(self._packs[row[0]], *row[1:])
                grouped[place.pack].append((kind, blob_id, place))
        for blobs in grouped.values():
            blobs.sort(key=lambda blob: blob[2].offset)
        return grouped
