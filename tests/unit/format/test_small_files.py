"""Config, locks, snapshots, keys and times that cannot be."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import DamageFound, KeyUnusable
from include.backup.format.config import open_config
from include.backup.format.crypto import MasterKey, seal
from include.backup.format.ids import parse_id
from include.backup.format.keys import open_key_file, seal_key_file
from include.backup.format.lock import decode_lock
from include.backup.format.snapshot import decode_snapshot
from include.backup.format.times import (
    datetime_of_text,
    nanoseconds_of_text,
    text_of_datetime,
    text_of_nanoseconds,
)
from include.backup.format.unpacked import seal_document, unseal_document

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = MasterKey.generate()
NOW = datetime(2026, 11, 1, 2, 3, 4, tzinfo=UTC)
KEY_FILE = json.loads(seal_key_file(KEY, "password", now=NOW, hostname="here"))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (open_config, '{"version":1e999,"id":"a","chunker_polynomial":"1"}'),
        (open_config, '{"version":2,"id":"a","chunker_polynomial":"xyz"}'),
        (open_config, '{"version":2}'),
        (
            lambda key, data: decode_lock(key, data, what="lock"),
            (
                '{"time":"2026-11-01T02:03:04Z","exclusive":true,"hostname":"","username":"",'
                '"pid":Infinity}'
            ),
        ),
        (
            lambda key, data: decode_snapshot(key, data, what="snapshot"),
            '{"time":"0001-01-01T00:00:00+01:00","tree":"' + "ab" * 32 + '","paths":[]}',
        ),
        (
            lambda key, data: decode_snapshot(key, data, what="snapshot"),
            '{"time":"2026-11-01T02:03:04Z","tree":"' + "ab" * 32 + '","paths":[],'
            '"summary":{"backup_start":"2026-11-01T02:03:04Z",'
            '"backup_end":"2026-11-01T02:03:04Z","files_new":-1e999}}',
        ),
    ],
)
def test_impossible_numbers_are_damage(
    parse: Callable[[MasterKey, bytes], object], text: str
) -> None:
    """Python reads more numbers from JSON than it can count with; none gets further."""
    with pytest.raises(DamageFound):
        parse(KEY, seal_document(KEY, text.encode()))


def test_other_versions_of_the_repository_are_refused() -> None:
    """A version that does not exist yet is not guessed at."""
    text = b'{"version":3,"id":"a","chunker_polynomial":"1"}'
    with pytest.raises(DamageFound, match="version 3, not 2"):
        open_config(KEY, seal(KEY, text))


def test_uncompressed_documents_are_read() -> None:
    """Stock restic accepts them, so somebody may have written them."""
    assert unseal_document(KEY, seal(KEY, b'{"a":1}'), what="x") == {"a": 1}
    with pytest.raises(DamageFound, match="x is not a JSON object"):
        unseal_document(KEY, seal(KEY, b"[1]"), what="x")


@pytest.mark.parametrize(
    "text", ["", "ab", "AB" * 31 + "A", "zz" * 32, "ab " * 21 + " ", "AB" * 32, None, 5, b"ab"]
)
def test_ids_are_64_hex_digits(text: object) -> None:
    """Nothing else is one, of whatever type."""
    with pytest.raises(DamageFound, match="index 1f3c holds"):
        parse_id(text, where="index 1f3c")


def key_file(**changes: Any) -> bytes:
    return json.dumps(KEY_FILE | changes).encode()


def test_key_files_open_with_their_password_alone() -> None:
    """The right one opens, another does not, and that is no damage."""
    assert open_key_file(key_file(), "password", what="key") == KEY
    with pytest.raises(KeyUnusable, match="the password does not open key file 1f3c"):
        open_key_file(key_file(), "Password", what="key file 1f3c")


@pytest.mark.parametrize(
    "changes",
    [
        {"kdf": "argon2"},
        {"N": 0},
        {"N": 1},
        {"N": 3},
        {"N": 1 << 40},
        {"N": -2},
        {"N": "many"},
        {"N": float("inf")},
        {"N": 1 << 16, "r": 1},  # refused by RFC 7914, so OpenSSL raises
        {"r": 0},
        {"r": -1},
        {"p": 0},
        {"r": 1 << 30},
        {"p": 1 << 18},  # affordable memory, hours of computing
        {"salt": "!"},
        {"data": None},
    ],
)
def test_key_files_that_cannot_be_are_damage(changes: dict[str, Any]) -> None:
    """Whoever may add a key file can neither fill our memory nor keep us busy with it."""
    begun = time.monotonic()
    with pytest.raises(DamageFound):
        open_key_file(key_file(**changes), "password", what="key")
    assert time.monotonic() - begun < 5


def test_a_master_key_of_the_wrong_length_is_damage() -> None:
    """It would seal what nobody can open."""
    short = MasterKey(encrypt=bytes(16), mac_k=bytes(16), mac_r=bytes(16))
    data = seal_key_file(short, "password", now=NOW, hostname="here")
    with pytest.raises(DamageFound, match="master key of the wrong length"):
        open_key_file(data, "password", what="key")


def test_salts_are_as_long_as_stock_restic_demands() -> None:
    """64 bytes, and other ones each time."""
    assert len(base64.b64decode(KEY_FILE["salt"])) == 64
    again = json.loads(seal_key_file(KEY, "password", now=NOW, hostname="here"))
    assert again["salt"] != KEY_FILE["salt"]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (-62_135_596_800_000_000_000, "0001-01-01T00:00:00Z"),
        (-62_135_596_800_000_000_001, "0001-01-01T00:00:00Z"),
        (1 << 80, "9999-12-31T23:59:59Z"),
        (-(1 << 80), "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_as_go_writes_them(nanoseconds: int, text: str) -> None:
    """No trailing zeros, four digits of year, and the nearest that can be written."""
    assert text_of_nanoseconds(nanoseconds) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-01",
        "2026-11-01T02:03:04",
        "2026-13-01T02:03:04Z",
        "2026-11-01T02:03:60Z",
        "2026-11-01T02:03:04.Z",
        "2026-11-01T02:03:04.1234567890Z",
        "2026-11-01T02:03:04+99:99",
        "२०२६-11-01T02:03:04Z",
        "2026-11-01T02:03:04Z\n",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(DamageFound):
        nanoseconds_of_text(text)
    with pytest.raises(DamageFound):
        datetime_of_text(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
def test_times_beyond_the_calendar_are_refused(text: str) -> None:
    """They are times elsewhere and none in UTC; their nanoseconds can still be told."""
    assert isinstance(nanoseconds_of_text(text), int)
    with pytest.raises(DamageFound, match="between the years 1 and 9999"):
        datetime_of_text(text)


def test_offsets_are_understood() -> None:
    """One moment, written in two places."""
    assert datetime_of_text("2026-11-01T03:03:04.5+01:00") == NOW.replace(microsecond=500_000)
    assert text_of_datetime(NOW) == "2026-11-01T02:03:04Z"
