"""What was written is read, for every kind of file, name and time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import DamageFound
from include.backup.format.compression import compress, decompress
from include.backup.format.config import Config, open_config, seal_config
from include.backup.format.index import decode_index, encode_index
from include.backup.format.lock import LockFile, decode_lock, encode_lock
from include.backup.format.names import json_name, json_text, quote, unquote
from include.backup.format.pack import (
    PackedBlob,
    decode_trailer,
    encode_trailer,
    trailer_bytes,
)
from include.backup.format.snapshot import Snapshot, decode_snapshot, encode_snapshot
from include.backup.format.times import (
    datetime_of_text,
    nanoseconds_of_text,
    text_of_datetime,
    text_of_nanoseconds,
)
from include.backup.format.tree import Node, decode_tree, encode_tree
from tests.property.format.strategies import (
    KEY,
    QUICK,
    configs,
    directories,
    locks,
    moments,
    packed_blobs,
    packs,
    raw,
    snapshots,
    texts,
)

if TYPE_CHECKING:
    from datetime import datetime


@QUICK
@given(blobs=packed_blobs().filter(bool), difference=st.integers(-(1 << 33), 1 << 33))
def test_trailers_are_read_as_written(blobs: list[PackedBlob], difference: int) -> None:
    """With the right size of the pack every blob comes back; with another, damage is found."""
    trailer = encode_trailer(KEY, blobs)
    size = sum(blob.length for blob in blobs) + len(trailer)
    assert trailer_bytes(trailer[-4:], size, what="pack") == len(trailer)
    assert decode_trailer(KEY, trailer, size, what="pack") == blobs
    if difference:
        with pytest.raises(DamageFound):
            decode_trailer(KEY, trailer, size + difference, what="pack")


@QUICK
@given(packs=packs)
def test_indexes_are_read_as_written(packs: list[tuple[bytes, list[PackedBlob]]]) -> None:
    """Packs and blobs come back in order, plain ones as plain."""
    assert list(decode_index(KEY, encode_index(KEY, packs), what="index")) == packs


@QUICK
@given(nodes=directories())
def test_trees_are_read_as_written(nodes: list[Node]) -> None:
    """Every fact of every node comes back, and the tree gets the same bytes again."""
    text = encode_tree(nodes)
    assert decode_tree(text, what="tree") == nodes
    assert encode_tree(decode_tree(text, what="tree")) == text
    assert text.endswith(b"]}\n")
    json.loads(text)


@QUICK
@given(snapshot=snapshots)
def test_snapshots_are_read_as_written(snapshot: Snapshot) -> None:
    """With and without parent, tags and summary."""
    sealed = encode_snapshot(KEY, snapshot)
    assert decode_snapshot(KEY, sealed, what="snapshot") == snapshot


@QUICK
@given(lock=locks)
def test_locks_are_read_as_written(lock: LockFile) -> None:
    """Whoever holds it."""
    assert decode_lock(KEY, encode_lock(KEY, lock), what="lock") == lock


@QUICK
@given(config=configs)
def test_configs_are_read_as_written(config: Config) -> None:
    """Whatever the polynomial."""
    assert open_config(KEY, seal_config(KEY, config)) == config


@QUICK
@given(name=raw | st.binary(max_size=40))
def test_names_are_unquoted_as_quoted(name: bytes) -> None:
    """Any bytes at all survive, and JSON gives the quoted name back."""
    quoted = quote(name)
    assert unquote(quoted) == name
    assert json.loads(json_name(name)) == quoted
    assert json_name(name).isprintable() or "\n" not in json_name(name)


@QUICK
@given(text=texts)
def test_json_texts_parse_to_themselves(text: str) -> None:
    """And hold nothing that a browser or an old JavaScript would trip over."""
    encoded = json_text(text)
    assert json.loads(encoded) == text
    assert not set("<>&\u2028\u2029") & set(encoded)


@QUICK
@given(nanoseconds=st.integers(-62_135_596_800_000_000_000, 253_402_300_799_999_999_999))
def test_nanoseconds_are_read_as_written(nanoseconds: int) -> None:
    """No digit is lost in any year of the calendar, and none is written in vain."""
    text = text_of_nanoseconds(nanoseconds)
    assert nanoseconds_of_text(text) == nanoseconds
    assert not text.endswith(("0Z", ".Z")) or "." not in text
    assert len(text.partition(".")[0].rstrip("Z")) == 19


@QUICK
@given(one=st.integers(-(1 << 70), 1 << 70), other=st.integers(-(1 << 70), 1 << 70))
def test_written_times_keep_their_order(one: int, other: int) -> None:
    """Also those that the calendar cannot hold, which become its first or last second."""
    first, second = sorted((one, other))
    assert nanoseconds_of_text(text_of_nanoseconds(first)) <= nanoseconds_of_text(
        text_of_nanoseconds(second)
    )


@QUICK
@given(moment=moments)
def test_moments_are_read_as_written(moment: datetime) -> None:
    """Microseconds and all."""
    assert datetime_of_text(text_of_datetime(moment)) == moment


@QUICK
@given(data=st.binary(max_size=5000))
def test_frames_are_read_as_written(data: bytes) -> None:
    """With and without knowing the size."""
    assert decompress(compress(data)) == decompress(compress(data), size=len(data)) == data
