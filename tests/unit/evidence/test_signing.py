"""Signing keys: what is taken for one, and that none is ever shown."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.signing import Signer, key_id_of, signature_fits


def test_key_id_is_the_beginning_of_the_digest_of_the_public_key() -> None:
    """An auditor can compute the id of a published key with sha256sum."""
    signer = Signer(bytes(32))
    assert (
        signer.key_id == sha256(signer.public_key).hexdigest()[:16] == key_id_of(signer.public_key)
    )


def test_public_key_is_that_of_rfc_8032() -> None:
    """Test 1 of RFC 8032, 7.1: any Ed25519 verifies what we sign."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    signer = Signer(seed)
    assert signer.public_key.hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert signer.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974")


def test_signature_fits_only_its_key_and_data() -> None:
    """Another key, other data or a cut signature do not fit."""
    signer, other = Signer(bytes(32)), Signer(bytes(31) + b"\x01")
    signature = signer.sign(b"data")
    assert signature_fits(signer.public_key, signature, b"data")
    assert not signature_fits(signer.public_key, signature, b"date")
    assert not signature_fits(other.public_key, signature, b"data")
    assert not signature_fits(signer.public_key, signature[:-1], b"data")
    assert not signature_fits(b"short", signature, b"data")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2-hunter2",
        base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(33)).decode(),
        "schlüssel",
        "*" * 44,
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    """The error says what a key looks like, and never what was given instead."""
    with pytest.raises(ConfigurationInvalid) as caught:
        Signer.of_text(text)
    assert "32 random bytes in base64" in str(caught.value)
    assert not text or text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_key_is_read_with_the_newline_that_an_editor_leaves() -> None:
    """White space around the password is no part of it."""
    text = base64.b64encode(bytes(range(32))).decode()
    assert Signer.of_text(f" {text}\n").key_id == Signer(bytes(range(32))).key_id


def test_private_key_is_not_shown() -> None:
    """A signer in a traceback or log line shows its id only."""
    seed = bytes(range(32))
    assert repr(Signer(seed)) == f"Signer({Signer(seed).key_id})"
