"""Whatever bytes a parser is given, it returns what it promises or raises one of our errors."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from include.backup.errors import BackupError
from include.backup.format.compression import compress, decompress
from include.backup.format.config import open_config, seal_config
from include.backup.format.crypto import MasterKey, seal, unseal, unseal_many
from include.backup.format.ids import parse_id
from include.backup.format.index import decode_index, encode_index
from include.backup.format.keys import open_key_file
from include.backup.format.lock import decode_lock, encode_lock
from include.backup.format.names import unquote
from include.backup.format.pack import decode_trailer, encode_trailer, trailer_bytes
from include.backup.format.snapshot import decode_snapshot, encode_snapshot
from include.backup.format.times import datetime_of_text, nanoseconds_of_text
from include.backup.format.tree import Node, decode_tree, encode_tree
from include.backup.format.unpacked import unseal_document
from include.backup.repository.blob_index import BlobIndex
from tests.property.format.strategies import (
    KEY,
    configs,
    directories,
    locks,
    mutated,
    packed_blobs,
    packs,
    snapshots,
    spoilt,
    strange_values,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def read_index(data: bytes) -> BlobIndex:
    """An index file is only read right if its blobs can also be kept and found."""
    index = BlobIndex()
    for pack_id, blobs in decode_index(KEY, data, what="index"):
        index.add_pack(pack_id, blobs)
        for blob in blobs:
            assert index.locations(blob.type, blob.id)
    for table in index._tables.values():
        table.freeze()
    return index


MANY = settings(max_examples=300, deadline=None)
SEALED: dict[str, Callable[[bytes], object]] = {
    "config": lambda data: open_config(KEY, data),
    "lock": lambda data: decode_lock(KEY, data, what="lock"),
    "snapshot": lambda data: decode_snapshot(KEY, data, what="snapshot"),
    "index": read_index,
}
GOOD: dict[str, st.SearchStrategy[bytes]] = {
    "config": configs.map(lambda config: seal_config(KEY, config)),
    "lock": locks.map(lambda lock: encode_lock(KEY, lock)),
    "snapshot": snapshots.map(lambda snapshot: encode_snapshot(KEY, snapshot)),
    "index": packs.map(lambda packs: encode_index(KEY, packs)),
}
KEY_FILE: dict[str, Any] = {
    "created": "2026-11-01T02:03:04Z",
    "username": "u",
    "hostname": "h",
    "kdf": "scrypt",
    "N": 16,
    "r": 1,
    "p": 1,
    "salt": base64.b64encode(bytes(64)).decode(),
    "data": base64.b64encode(bytes(100)).decode(),
}


def plain(kind: str, data: bytes) -> dict[str, Any]:
    document = json.loads(unseal(KEY, data)) if kind == "config" else None
    return document or unseal_document(KEY, data, what=kind)


@MANY
@given(kind=st.sampled_from(sorted(SEALED)), data=st.data())
def test_sealed_documents_with_strange_values(kind: str, data: st.DataObject) -> None:
    """A right seal over a document that cannot be: nobody gets past the parser with it."""
    document = plain(kind, data.draw(GOOD[kind]))
    text = data.draw(spoilt(document))
    compressed = data.draw(st.booleans())
    with suppress(BackupError):
        SEALED[kind](seal(KEY, b"\x02" + compress(text) if compressed else text))


@MANY
@given(kind=st.sampled_from(sorted(SEALED)), data=st.data())
def test_sealed_bytes_of_any_kind(kind: str, data: st.DataObject) -> None:
    """A right seal over changed JSON, a changed frame, or over anything."""
    plaintext = unseal(KEY, data.draw(GOOD[kind]))
    changed = data.draw(
        mutated(plaintext) | st.binary(max_size=60) | strange_values.map(str.encode)
    )
    with suppress(BackupError):
        SEALED[kind](seal(KEY, changed))


@MANY
@given(data=st.data())
def test_unsealed_bytes_of_any_kind(data: st.DataObject) -> None:
    """What was never sealed by anybody."""
    anything = data.draw(st.binary(max_size=100))
    for parse in SEALED.values():
        with suppress(BackupError):
            parse(anything)
    with suppress(BackupError):
        decode_trailer(KEY, anything, len(anything), what="pack")
    with suppress(BackupError):
        unseal_many(KEY, [anything, seal(KEY, anything)])


@MANY
@given(blobs=packed_blobs(max_size=3), data=st.data())
def test_pack_headers_of_any_kind(blobs: list[Any], data: st.DataObject) -> None:
    """A right seal over a changed header, with any size of the pack."""
    header = unseal(KEY, encode_trailer(KEY, blobs)[:-4])
    sealed = seal(KEY, data.draw(mutated(header) | st.binary(max_size=100)))
    trailer = sealed + len(sealed).to_bytes(4, "little")
    size = data.draw(st.integers(0, 1 << 34))
    with suppress(BackupError):
        decode_trailer(KEY, trailer, size, what="pack")
    with suppress(BackupError):
        assert 36 <= trailer_bytes(data.draw(st.binary(max_size=5)), size, what="pack") <= size


@MANY
@given(nodes=directories(), data=st.data())
def test_trees_of_any_kind(nodes: list[Node], data: st.DataObject) -> None:
    """What is read from a changed tree can be written again: no field has a type of its own."""
    text = encode_tree(nodes)
    changed = data.draw(
        spoilt(json.loads(text))
        | mutated(text)
        | strange_values.map(lambda value: f'{{"nodes":{value}}}'.encode())
    )
    with suppress(BackupError):
        read = decode_tree(changed, what="tree")
        encode_tree(read)
        assert all(type(node.name) is bytes and type(node.mode) is int for node in read)


@MANY
@given(data=st.data())
def test_key_files_of_any_kind(data: st.DataObject) -> None:
    """Changed key files, and such as hold a strange master key."""
    text = data.draw(spoilt(KEY_FILE) | mutated(json.dumps(KEY_FILE).encode()) | st.binary())
    with suppress(BackupError):
        open_key_file(text, "password", what="key")


@MANY
@given(frame=st.binary(max_size=60), data=st.data(), size=st.none() | st.integers(0, 1 << 40))
def test_frames_of_any_kind(frame: bytes, data: st.DataObject, size: int | None) -> None:
    """Arbitrary bytes with and without the magic number, and changed frames."""
    changed = data.draw(mutated(compress(frame)))
    for candidate in (frame, b"\x28\xb5\x2f\xfd" + frame, changed):
        with suppress(BackupError):
            decompress(candidate, size=size if size is None or size < 1 << 20 else 1 << 20)


@MANY
@given(text=st.text(max_size=30) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[Z+-].*"))
def test_texts_of_any_kind(text: str) -> None:
    """Names, ids and times."""
    for parse in (unquote, nanoseconds_of_text, datetime_of_text):
        with suppress(BackupError):
            parse(text)
    with suppress(BackupError):
        parse_id(text, where="here")


def test_good_documents_are_not_refused() -> None:
    """The parsers above accept what the mutations begin with; else they would prove nothing."""

    @settings(max_examples=5, deadline=None)
    @given(data=st.data())
    def accepted(data: st.DataObject) -> None:
        for kind, strategy in GOOD.items():
            assert SEALED[kind](data.draw(strategy)) is not None

    accepted()
    assert isinstance(KEY, MasterKey)
