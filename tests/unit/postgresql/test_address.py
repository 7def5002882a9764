"""How a server may be reached, and what programs get to know."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.sources.connection import Connection
from include.backup.sources.postgresql import tools
from include.backup.sources.postgresql.address import Address, refused
from include.backup.sources.postgresql.programs import essence

PASSWORD = "not to be seen"
CA = {"sslrootcert": "/ca.pem"}


def address(host: str = "", reason: str = "", **extra: Any) -> Address:
    connection = Connection(host=host, login="anna", password=PASSWORD, extra=extra)
    return Address.of(connection, insecure_reason=reason)


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1", "127.9.9.9", "::1", "/run/pg"])
def test_on_this_machine_nobody_listens(host: str) -> None:
    """No certificate is asked for; one may be."""
    assert address(host).sslmode == "prefer"
    assert address(host, sslmode="verify-full").sslmode == "verify-full"


@pytest.mark.parametrize("host", ["db.example.com", "10.0.0.1", "localhost.evil.com", "a,b", "::2"])
@pytest.mark.parametrize(
    ("extra", "hint"),
    [
        ({}, "sslrootcert"),
        ({"sslmode": "verify-full"}, "sslrootcert"),
        ({"sslmode": "require", **CA}, "verify-full"),
        ({"sslmode": "verify-ca", **CA}, "verify-full"),
        ({"sslmode": "disable"}, "verify-full"),
        ({"sslmode": "prefer", **CA}, "verify-full"),
    ],
)
def test_to_another_machine_the_server_must_prove_who_it_is(
    host: str, extra: dict[str, Any], hint: str
) -> None:
    """Whatever is less is refused, with what to write instead."""
    with pytest.raises(ConfigurationInvalid) as caught:
        address(host, **extra)
    assert hint in caught.value.hint
    assert PASSWORD not in str(caught.value)


def test_a_verified_server_and_a_stated_reason_are_accepted() -> None:
    """The reason stands in the dataset, and is recorded."""
    assert address("db.example.com", **CA).sslmode == "verify-full"
    assert address("db.example.com", reason="a tunnel").sslmode == "require"
    assert address("db.example.com", reason="a tunnel", sslmode="disable").sslmode == "disable"


def test_programs_get_what_they_need_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password is in the environment of the program alone."""
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "secret")
    monkeypatch.setenv("PGPASSFILE", "/somebody's")
    monkeypatch.setenv("PGSERVICE", "another")
    found = address("db.example.com", **CA)
    environment = found.environment()
    assert environment["PGPASSWORD"] == PASSWORD
    assert environment["PGSSLMODE"] == "verify-full"
    assert environment["PGSSLROOTCERT"] == "/ca.pem"
    assert not {"AIRFLOW_CONN_OTHER", "PGPASSFILE", "PGSERVICE"} & set(environment)
    assert PASSWORD not in repr(found)
    assert PASSWORD not in found.shown


def test_nobodys_settings_end_a_restore() -> None:
    """A client's options come before those of the role and the database; a backup needs none."""
    assert "PGOPTIONS" not in address().environment()
    given = address(options="-c work_mem=9MB")
    assert given.environment()["PGOPTIONS"] == "-c work_mem=9MB"
    written = replace(given, restoring=True).of_database("x").environment()["PGOPTIONS"]
    assert "-c statement_timeout=0" in written
    assert written.endswith("-c work_mem=9MB")


def test_errors_say_what_to_look_at() -> None:
    """Each by what went wrong."""
    told = refused(psycopg.OperationalError("SSL error: certificate verify failed"), address())
    assert "sslrootcert" in told.hint
    told = refused(psycopg.OperationalError("password authentication failed"), address())
    assert "login and password" in told.hint
    told = refused(psycopg.errors.SerializationFailure("conflict with recovery"), address())
    assert "hot_standby_feedback" in told.hint


def test_details_of_errors_are_left_out() -> None:
    """They quote rows."""
    told = (
        "pg_restore: while PROCESSING TOC:\n"
        "pg_restore: from TOC entry 3; 2606 1 CONSTRAINT t t_pkey postgres\n"
        'pg_restore: error: could not execute query: ERROR:  could not create unique index "x"\n'
        "DETAIL:  Key (email)=(ERROR: secret@example.com) is duplicated.\n"
        "Command was: ALTER TABLE ONLY t ADD CONSTRAINT x PRIMARY KEY (email);\n"
    )
    assert essence(told) == (
        'pg_restore: error: could not execute query: ERROR: could not create unique index "x"'
    )
    assert essence("psql:<stdin>:3: ERROR:  x\nLINE 1: SELECT 'secret'\nHINT:  Do y.") == (
        "psql:<stdin>:3: ERROR: x HINT: Do y."
    )
    assert essence("something else\n") == "something else"
    assert essence("") == ""


@pytest.mark.parametrize(
    ("installed", "wanted", "chosen"),
    [([15], 15, 15), ([16, 15], 15, 15), ([9, 17, 16], 15, 16), ([17], 14, 17)],
)
def test_the_nearest_program_is_taken(
    monkeypatch: pytest.MonkeyPatch, installed: list[int], wanted: int, chosen: int
) -> None:
    """A newer pg_restore may set what an older server does not know."""
    monkeypatch.setattr(tools, "_candidates", lambda _: [f"/{version}" for version in installed])
    monkeypatch.setattr(tools, "_version", lambda path: int(path[1:]))
    assert tools.find_tool("pg_restore", at_least=wanted) == f"/{chosen}"


class Old:
    """A session with a server that is too old."""

    def __init__(self) -> None:
        self.closed = False
        self.info = SimpleNamespace(server_version=120_022)

    def close(self) -> None:
        """See psycopg.Connection.close."""
        self.closed = True


@pytest.mark.parametrize("restoring", [False, True])
def test_a_server_that_is_too_old_is_refused(
    monkeypatch: pytest.MonkeyPatch, restoring: bool
) -> None:
    """By name, before some statement fails that it does not know."""
    session = Old()
    monkeypatch.setattr(psycopg, "connect", lambda **_: session)
    made = replace(address(host="127.0.0.1"), restoring=restoring)
    with pytest.raises(made.error, match=r"version 12, and 13 is the oldest") as caught:
        made.connect()
    assert "pg_dump" in caught.value.hint
    assert session.closed
