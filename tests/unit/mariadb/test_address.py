"""What a connection says, and what TLS it gets."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.sources.connection import Connection
from include.backup.sources.mariadb.address import Address, address_of


def address(reason: str = "", **fields: Any) -> Address:
    values: dict[str, Any] = {"conn_type": "mysql", "host": "db.example.com", "login": "u"}
    return address_of("shop", Connection(**{**values, **fields}), insecure_reason=reason)


def test_another_machine_is_verified_by_name() -> None:
    """Without a word in the connection."""
    context = address().tls()
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("mode", ["disabled", "preferred", "REQUIRED", "prefer"])
def test_less_than_that_is_refused(mode: str) -> None:
    """With a hint that names the option for the CA."""
    with pytest.raises(ConfigurationInvalid, match=r"does not verify db.example.com.*ssl_ca"):
        address(extra={"ssl_mode": mode})


def test_a_dataset_may_state_why_less_is_enough() -> None:
    """Then TLS trusts whoever answers, unless full TLS, or none at all, is asked for."""
    for mode in ("", "required", "preferred"):
        context = address("a lab", extra={"ssl_mode": mode}).tls()
        assert context is not None
        assert context.verify_mode is ssl.CERT_NONE
    assert address("a lab", extra={"ssl_mode": "disabled"}).tls() is None
    whole = address("a lab", extra={"ssl_mode": "verify_identity"}).tls()
    assert whole is not None
    assert whole.verify_mode is ssl.CERT_REQUIRED
    token = address("a lab", extra={"ssl_mode": "disabled", "iam": "true"}).tls()
    assert token is not None  # a token is as good as a password


def test_this_machine_needs_no_tls() -> None:
    """By loopback or by a socket; where a mode is asked for, it gets it."""
    assert address(host="127.0.0.1").tls() is None
    assert address(host="localhost").tls() is None
    assert address(host="localhost", extra={"ssl_mode": "disabled"}).tls() is None
    assert address(host="db.example.com", extra={"unix_socket": "/run/s"}).tls() is None
    context = address(host="::1", extra={"ssl_mode": "required"}).tls()
    assert context is not None
    assert context.verify_mode is ssl.CERT_NONE


def test_airflows_own_words_are_understood() -> None:
    """`ssl` as a dictionary, also as text."""
    assert address(extra={"ssl": {"ca": "/ca.pem", "cert": "/c", "key": "/k"}}).ca == "/ca.pem"
    assert address(extra={"ssl": '{"ca": "/ca.pem"}'}).ca == "/ca.pem"


def test_a_ca_that_cannot_be_read_is_told() -> None:
    """By the name of the connection."""
    with pytest.raises(ConfigurationInvalid, match="connection shop: its certificates"):
        address(extra={"ssl_ca": "/nowhere.pem"}).tls()


def test_a_token_is_made_for_each_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """By AWS's own library, for this account and host; it travels over TLS only."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    made = address(host="127.0.0.1", extra={"iam": "true", "region_name": "eu-west-1"})
    token = made.secret()
    assert token.startswith("127.0.0.1:3306/?Action=connect&DBUser=u&")
    assert "X-Amz-Signature=" in token
    assert made.tls() is not None
    assert "secret" not in repr(made)


def test_what_is_no_such_connection_is_refused() -> None:
    """Of another type, or without a login."""
    with pytest.raises(ConfigurationInvalid, match="of type postgres"):
        address(conn_type="postgres")
    with pytest.raises(ConfigurationInvalid, match="names no login"):
        address(login="")
