"""Envelopes: what opens them, and what each wrong key is told."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.backup.errors import ConfigurationInvalid, DamageFound, KeyUnusable
from include.backup.evidence.fields import canonical
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.keyring import (
    Envelope,
    KeyContext,
    LocalKey,
    load_secret,
    new_envelope,
    open_envelope,
)
from tests.unit.vault.samples import NOW

GENERATION = "20261101T010000Z"
CONTEXT = KeyContext(dataset="crm", generation=GENERATION)
KEY = LocalKey(bytes(range(32)))
OTHER_KEY = LocalKey(bytes(range(1, 33)))
ENVELOPE, SECRET = new_envelope(KEY, CONTEXT, now=NOW)


def memory(*envelopes: Envelope) -> MemoryStorage:
    """The folder of a dataset with these envelopes."""
    storage = MemoryStorage(lambda: NOW)
    for envelope in envelopes:
        storage.save(envelope.name, envelope.to_bytes())
    return storage


def test_key_wrap_is_that_of_rfc_3394() -> None:
    """Section 4.6: any implementation unwraps what we wrap."""
    key = LocalKey(bytes(range(32)))
    secret = bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    assert key.wrap(secret, CONTEXT).hex() == (
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
    )


def test_envelope_gives_the_secret_back() -> None:
    """From the file in the vault, with the master key alone."""
    storage = memory(ENVELOPE)
    assert ENVELOPE.name == f"keys/{GENERATION}/{KEY.master_key_id}.json"
    secret = load_secret(storage, KEY, CONTEXT, envelope_sha256=ENVELOPE.sha256)
    assert secret == SECRET
    assert Envelope.parse(ENVELOPE.to_bytes()) == ENVELOPE
    assert sha256(storage.load(ENVELOPE.name)).hexdigest() == ENVELOPE.sha256


def test_password_is_plain_text_without_pitfalls() -> None:
    """64 hex digits: no dash in front, no quote, no newline that a shell or a file would change."""
    assert SECRET.password == SECRET.secret.hex()
    assert len(SECRET.password) == 64


def test_each_generation_has_a_secret_of_its_own() -> None:
    """Data keys rotate with every full."""
    envelope, secret = new_envelope(KEY, CONTEXT, now=NOW)
    assert secret != SECRET
    assert envelope.wrapped != ENVELOPE.wrapped


def test_other_master_key_is_told_which_one_it_takes() -> None:
    """The error names both ids, whether or not an envelope for the given key exists."""
    with pytest.raises(KeyUnusable) as caught:
        load_secret(memory(ENVELOPE), OTHER_KEY, CONTEXT)
    assert caught.value.message == (
        f"crm/{GENERATION} opens with master key {KEY.master_key_id}, "
        f"and local {OTHER_KEY.master_key_id} was given"
    )
    assert caught.value.hint == "give the master key of that id"
    with pytest.raises(KeyUnusable, match=f"opens with local master key {KEY.master_key_id}"):
        open_envelope(ENVELOPE, OTHER_KEY, CONTEXT)


def test_lost_envelope_is_said_to_be_lost() -> None:
    """It is no wrong key: there is nothing that any key could open."""
    with pytest.raises(DamageFound, match=f"the envelope of crm/{GENERATION} is gone"):
        load_secret(memory(), KEY, CONTEXT)


def test_envelope_of_another_generation_is_refused() -> None:
    """Moved to another place it would give the password of another repository."""
    other = KeyContext(dataset="crm", generation="20261201T010000Z")
    storage = memory()
    storage.save(f"keys/20261201T010000Z/{KEY.master_key_id}.json", ENVELOPE.to_bytes())
    with pytest.raises(KeyUnusable, match=f"is that of crm/{GENERATION}"):
        load_secret(storage, KEY, other)


def test_exchanged_envelope_is_damage() -> None:
    """Whoever has the master key can make another envelope, and the ledger tells them apart."""
    forged, _ = new_envelope(KEY, CONTEXT, now=NOW)
    with pytest.raises(DamageFound, match="is not the one that the ledger names"):
        load_secret(memory(forged), KEY, CONTEXT, envelope_sha256=ENVELOPE.sha256)


def test_changed_wrapping_opens_with_no_key() -> None:
    """A flipped bit is found by the key wrap itself."""
    wrapped = bytes([ENVELOPE.wrapped[0] ^ 1]) + ENVELOPE.wrapped[1:]
    document = json.loads(ENVELOPE.to_bytes()) | {"wrapped": base64.b64encode(wrapped).decode()}
    with pytest.raises(KeyUnusable, match=f"{KEY.master_key_id} does not open the envelope"):
        open_envelope(Envelope.parse(canonical(document)), KEY, CONTEXT)


@given(place=st.integers(0, len(ENVELOPE.to_bytes()) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_gives_one_clear_error_or_the_digest_tells(place: int, flip: int) -> None:
    """No flipped byte ends in another error than ours, and none passes the ledger's digest."""
    data = bytearray(ENVELOPE.to_bytes())
    data[place] ^= flip
    storage = memory()
    storage.save(ENVELOPE.name, bytes(data))
    with suppress(DamageFound, KeyUnusable):
        assert load_secret(storage, KEY, CONTEXT) == SECRET
    with pytest.raises(DamageFound):
        load_secret(storage, KEY, CONTEXT, envelope_sha256=ENVELOPE.sha256)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_damage(data: bytes) -> None:
    """Whatever lies where an envelope should, the error names the place."""
    storage = memory()
    storage.save(ENVELOPE.name, data)
    with pytest.raises(DamageFound, match=f"the envelope of crm/{GENERATION}"):
        load_secret(storage, KEY, CONTEXT)


def test_no_secret_is_shown() -> None:
    """Neither by what is printed nor by what is stored, nor by the id of the master key."""
    key = bytes(range(32))
    shown = f"{SECRET!r} {KEY!r} {ENVELOPE!r} {ENVELOPE.to_bytes()!r} {CONTEXT!r}"
    assert SECRET.password not in shown
    assert repr(SECRET.secret) not in shown
    assert base64.b64encode(SECRET.secret).decode() not in shown
    assert KEY.master_key_id != sha256(key).hexdigest()[:16]


def test_what_is_no_master_key_is_refused_without_being_shown() -> None:
    """As with the signing key."""
    with pytest.raises(ConfigurationInvalid, match="the master key is no base64") as caught:
        LocalKey.of_text("correct horse battery staple")
    assert "horse" not in str(caught.value)
    assert LocalKey.of_text(base64.b64encode(bytes(range(32))).decode()).master_key_id == (
        KEY.master_key_id
    )
    with pytest.raises(KeyUnusable, match="has 16 bytes"):
        LocalKey(bytes(16))
