"""Random facts of the format: ids, names, nodes, packs, and JSON that should not be there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st

from include.backup.format.config import Config
from include.backup.format.crypto import OVERHEAD, MasterKey
from include.backup.format.ids import BlobType
from include.backup.format.lock import LockFile
from include.backup.format.pack import PackedBlob
from include.backup.format.snapshot import Snapshot, SnapshotSummary
from include.backup.format.times import text_of_nanoseconds
from include.backup.format.tree import Node

if TYPE_CHECKING:
    from collections.abc import Sequence

QUICK = settings(max_examples=100, deadline=None)
KEY = MasterKey(encrypt=b"e" * 32, mac_k=b"k" * 16, mac_r=b"r" * 16)

ids = st.binary(min_size=32, max_size=32)
uint32 = st.integers(0, (1 << 32) - 1)
uint64 = st.integers(0, (1 << 64) - 1)
# Text that can be written as UTF-8, with everything that JSON and Go treat in a special way.
texts = st.text(
    st.one_of(
        st.sampled_from('"\\/<>&\u2028\u2029\0\n\x7f\x85\xad\ufffd\ufeff\U0010ffff aä'),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)
raw = st.one_of(
    st.binary(max_size=12),
    texts.map(str.encode),
    st.sampled_from([b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\\x41"]),
)
file_names = raw.filter(
    lambda name: name not in {b"", b".", b".."} and b"/" not in name and b"\0" not in name
)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # Hypothesis adds the zone
times = st.integers(-62_135_596_800_000_000_000, 253_402_300_799_999_999_999).map(
    text_of_nanoseconds
)


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    """A node of any type with any facts that can be told of it."""
    kind = draw(st.sampled_from(["file", "dir", "symlink", "dev", "chardev", "fifo", "socket"]))
    return Node(
        name=draw(file_names),
        type=kind,
        mode=draw(uint32),
        mtime=draw(times),
        atime=draw(times),
        ctime=draw(times),
        uid=draw(uint32),
        gid=draw(uint32),
        user=draw(texts),
        group=draw(texts),
        inode=draw(uint64),
        device_id=draw(uint64),
        size=draw(uint64),
        links=draw(uint64),
        linktarget=draw(raw) if kind == "symlink" else b"",
        extended_attributes=draw(
            st.lists(st.tuples(texts, st.binary(max_size=8)), max_size=2).map(tuple)
        ),
        generic_attributes=draw(st.sampled_from(["", '{"windows.file_attributes":32}'])),
        device=draw(uint64),
        content=draw(st.lists(ids, max_size=3).map(tuple)) if kind == "file" else None,
        subtree=draw(ids) if kind == "dir" else None,
        error=draw(texts),
    )


def directories() -> st.SearchStrategy[list[Node]]:
    """Nodes in the order that a tree has."""
    return st.lists(nodes(), max_size=4, unique_by=lambda node: node.name).map(
        lambda found: sorted(found, key=lambda node: node.name)
    )


@st.composite
def packed_blobs(draw: st.DrawFn, *, max_size: int = 6) -> list[PackedBlob]:
    """The blobs of one pack, end to end."""
    kind = draw(st.sampled_from(BlobType))
    blobs: list[PackedBlob] = []
    offset = 0
    for _ in range(draw(st.integers(0, max_size))):
        length = draw(st.integers(OVERHEAD, 1 << 28))
        size = draw(st.one_of(st.just(0), st.integers(1, (1 << 32) - 1)))
        blobs.append(PackedBlob(kind, draw(ids), offset, length, size))
        offset += length
    return blobs


packs = st.lists(st.tuples(ids, packed_blobs()), max_size=4)
configs = st.builds(
    Config,
    version=st.just(2),
    id=ids.map(bytes.hex),
    chunker_polynomial=st.integers(1 << 53, (1 << 54) - 1),
)
locks = st.builds(
    LockFile,
    time=moments,
    exclusive=st.booleans(),
    hostname=texts,
    username=texts,
    pid=st.integers(0, 1 << 40),
)
summaries = st.builds(
    SnapshotSummary,
    backup_start=moments,
    backup_end=moments,
    files_new=uint64,
    data_added=uint64,
    total_bytes_processed=uint64,
)
snapshots = st.builds(
    Snapshot,
    time=moments,
    tree=ids,
    paths=st.lists(texts, max_size=2).map(tuple),
    hostname=texts,
    username=texts,
    parent=st.none() | ids,
    tags=st.lists(texts, max_size=2).map(tuple),
    program_version=texts,
    summary=st.none() | summaries,
)

# JSON values as text, for Python's writer would refuse or tame some of them.
strange_values = st.one_of(
    st.sampled_from([
        "null", "true", "[]", "{}", '""', "0", "-1", "1.5", "1e999", "-1e999", "NaN", "Infinity",
        "4294967296", "18446744073709551616", "9" * 30, "9" * 400, "-" + "9" * 4300, "9" * 5000,
        '"9999-12-31T23:59:59Z"', '"\\ud800"', '"\\u0000"', "[[]]",
        '{"id":{}}', "[null]", '["x"]', '"' + "ab" * 32 + '"', '"0001-01-01T00:00:00+23:59"',
        "[" * 20_000 + "]" * 20_000,
    ]),
    st.integers(-5, 300).map(str),
    st.text(max_size=5).map(json.dumps),
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, document: dict[str, Any]) -> bytes:
    """The text of a good document with one strange value, or with one field less."""
    document = json.loads(json.dumps(document))
    places = list(_places(document))
    holder, key = draw(st.sampled_from(places))
    if draw(st.integers(0, 4)):
        holder[key] = "@@HOLE@@"
    else:
        del holder[key]
    text = json.dumps(document)
    return text.replace('"@@HOLE@@"', draw(strange_values)).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Sequence[tuple[Any, Any]]:
    """Every (container, key) within a document."""
    if isinstance(value, dict):
        return [(value, key) for key in value] + [p for v in value.values() for p in _places(v)]
    if isinstance(value, list):
        return [(value, n) for n in range(len(value))] + [p for v in value for p in _places(v)]
    return []


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some of them changed, cut out or added."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(changed) - 1, 0)))
        how = draw(st.integers(0, 3))
        if how == 0:
            del changed[place:]
        elif how == 1:
            changed[place:place] = draw(st.binary(min_size=1, max_size=5))
        elif how == 2:
            del changed[place : place + draw(st.integers(1, 5))]
        elif changed:
            changed[place] ^= draw(st.integers(1, 255))
    return bytes(changed)
