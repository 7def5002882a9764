"""Index files whose seal is right and whose content cannot be."""

from __future__ import annotations

import json

import pytest

from include.backup.errors import DamageFound
from include.backup.format.crypto import MasterKey
from include.backup.format.index import decode_index
from include.backup.format.unpacked import seal_document

KEY = MasterKey.generate()
GOOD: dict[str, object] = {"id": "ab" * 32, "type": "data", "offset": 0, "length": 40}


def index_of(blob: dict[str, object]) -> bytes:
    document = {"packs": [{"id": "cd" * 32, "blobs": [blob]}]}
    return seal_document(KEY, json.dumps(document).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"id": "ab" * 31},
        {"id": "ab" * 33},
        {"id": 5},
        {"offset": -1},
        {"offset": 1 << 32},
        {"offset": "0"},
        {"offset": 1.5},
        {"offset": None},
        {"length": 31},
        {"length": 1 << 32},
        {"length": True},
        {"uncompressed_length": 1 << 32},
        {"uncompressed_length": -1},
        {"uncompressed_length": [1]},
        {"type": "wood"},
    ],
)
def test_entries_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    """One wrong entry would shift all others of the same table; none gets in."""
    [(_, [blob])] = decode_index(KEY, index_of(GOOD), what="index 1f3c")
    assert blob.length == 40
    with pytest.raises(DamageFound, match="index 1f3c"):
        list(decode_index(KEY, index_of(GOOD | change), what="index 1f3c"))


def test_an_obsolete_list_of_superseded_indexes_is_passed_over() -> None:
    """Old versions of restic wrote it; no reader needs it."""
    document = {"supersedes": ["ab" * 32], "packs": []}
    sealed = seal_document(KEY, json.dumps(document).encode())
    assert not list(decode_index(KEY, sealed, what="index"))
