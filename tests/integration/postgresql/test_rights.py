"""What a role may not read is no backup: it fails, and says the SQL that lets it pass."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.errors import ConfigurationInvalid, SourceError, ToolMissing
from include.backup.policy.source_model import PostgresqlSettings
from include.backup.sources.postgresql import address, tools
from include.backup.sources.postgresql.address import Address
from include.backup.sources.postgresql.source import PostgresSource
from tests.integration.postgresql.bed import DatabaseSite
from tests.servers.daemon import free_ports
from tests.servers.postgresql import PASSWORD
from tests.servers.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.backup.sources.connection import Connection
    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration
NAME, ROLE = "rights", 'Back "up" role'


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Iterator[DatabaseSite]:
    """A database that a role without any right is to back up."""
    postgres.make_database(NAME)
    role = ROLE.replace('"', '""')
    postgres.run(
        f'DROP ROLE IF EXISTS "{role}"',
        f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'p'",
    )
    postgres.run(
        "CREATE TABLE public.t (id int GENERATED ALWAYS AS IDENTITY)",
        "INSERT INTO t SELECT FROM generate_series(1, 20)",
        database=NAME,
    )
    yield DatabaseSite(tmp_path, postgres.connection(NAME, login=ROLE, password="p"))
    postgres.run(f"DROP DATABASE {NAME} WITH (FORCE)", f'DROP ROLE "{role}"')


def passes_after_hint(site: DatabaseSite, postgres: Postgres, *, told: str) -> None:
    """Fail, run the SQL of the hint, and be backed up."""
    before = site.place().state().points
    with pytest.raises(SourceError, match=told) as caught:
        site.back_up()
    assert site.place().state().points == before
    postgres.run(*caught.value.hint.partition(", for each")[0].split("; "), database=NAME)
    site.back_up()


def grant(postgres: Postgres, *statements: str) -> None:
    """Run statements in which ME is the role."""
    role = '"{}"'.format(ROLE.replace('"', '""'))
    postgres.run(*(one.replace("ME", role) for one in statements), database=NAME)


def test_a_table_that_may_not_be_read(site: DatabaseSite, postgres: Postgres) -> None:
    """The hint gives the right to all tables, those to come included."""
    passes_after_hint(site, postgres, told=r"may not read public\.t")


def test_a_schema_that_may_not_be_used(site: DatabaseSite, postgres: Postgres) -> None:
    """The table itself may be read, and is not reached."""
    grant(
        postgres,
        "CREATE SCHEMA inner_rooms",
        "CREATE TABLE inner_rooms.x AS SELECT 1",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, inner_rooms TO ME",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO ME",
    )
    passes_after_hint(site, postgres, told=r"may not read inner_rooms\.x$|inner_rooms\.x;")


def test_a_sequence_that_may_not_be_read(site: DatabaseSite, postgres: Postgres) -> None:
    """A NULL instead of its value would be a sequence that starts anew."""
    grant(postgres, "GRANT SELECT ON t TO ME")
    passes_after_hint(site, postgres, told=r"may not read public\.t_id_seq")


def test_a_large_object_that_may_not_be_read(site: DatabaseSite, postgres: Postgres) -> None:
    """pg_read_all_data does not cover them; as many as there are, one is named."""
    grant(postgres, "GRANT pg_read_all_data TO ME", "SELECT lo_from_bytea(4711, '\\x01')")
    passes_after_hint(site, postgres, told="may not read large object 4711")


def test_row_security_hides_nothing_in_silence(site: DatabaseSite, postgres: Postgres) -> None:
    """A role without BYPASSRLS would read no row, and no error."""
    grant(
        postgres,
        "GRANT pg_read_all_data TO ME",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    )
    passes_after_hint(site, postgres, told="row-level security hides rows of public.t")
    manifest = site.about(site.back_up(), "manifest.json")
    assert manifest["databases"][NAME]["relations"]['"public"."t"']["count"] == 20


def test_row_security_of_ones_own_table_that_is_forced(
    site: DatabaseSite, postgres: Postgres
) -> None:
    """FORCE hides rows from the owner as well; without it the owner sees them."""
    grant(postgres, "GRANT pg_read_all_data TO ME", "ALTER TABLE t OWNER TO ME")
    grant(postgres, "ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    site.back_up()
    grant(postgres, "ALTER TABLE t FORCE ROW LEVEL SECURITY")
    passes_after_hint(site, postgres, told="row-level security hides rows")


def test_a_role_with_no_more_than_reading_is_enough(site: DatabaseSite, postgres: Postgres) -> None:
    """No superuser is needed, nor any right to the server's files or password hashes."""
    grant(postgres, "GRANT pg_read_all_data TO ME")
    outcome = site.back_up()
    assert b"PASSWORD" not in site.file(outcome, "crm/roles.sql")


def test_every_database_is_found_when_the_backup_runs(
    site: DatabaseSite, postgres: Postgres
) -> None:
    """Those that may not be connected to, and templates, are left out; a new one is in the next."""
    postgres.make_database("made_later")
    postgres.run("ALTER DATABASE made_later ALLOW_CONNECTIONS false")
    first = _names_seen(postgres.connection(NAME))
    assert NAME in first
    assert "postgres" in first
    assert not {"template0", "template1", "made_later"} & set(first)
    postgres.run("ALTER DATABASE made_later ALLOW_CONNECTIONS true")
    try:
        assert "made_later" in _names_seen(postgres.connection(NAME))
        role = '"{}"'.format(ROLE.replace('"', '""'))
        postgres.run(
            "REVOKE CONNECT ON DATABASE made_later FROM PUBLIC",
            f"GRANT pg_read_all_data TO {role}",
        )
        names = _names_seen(postgres.connection("postgres", login=ROLE, password="p"))
        assert NAME in names
        assert "made_later" not in names
    finally:
        postgres.run("DROP DATABASE made_later")


def _names_seen(connection: Connection) -> list[str]:
    settings = PostgresqlSettings(connection="x", databases=("*",))
    return PostgresSource(Address.of(connection), settings)._names()


@pytest.mark.parametrize(
    ("changes", "told", "hint"),
    [
        ({"password": "wrong one"}, "password authentication failed", "password of the connection"),
        ({"login": "nobody here"}, "authentication failed", "look at login"),
        ({"schema": "absent_db"}, 'database "absent_db" does not exist', "database fit"),
        ({"port": free_ports(1)[0]}, "refused", "does the server run"),
    ],
    ids=["password", "login", "database", "server"],
)
def test_a_connection_that_does_not_work(
    postgres: Postgres, tmp_path: Path, changes: dict[str, Any], told: str, hint: str
) -> None:
    """One clear error with what to look at, and without the password."""
    site = DatabaseSite(tmp_path, postgres.connection(**changes))
    with pytest.raises(SourceError, match=told) as caught:
        site.back_up()
    assert hint in caught.value.hint
    assert "wrong one" not in str(caught.value)


def test_a_name_that_is_no_text(postgres: Postgres, tmp_path: Path) -> None:
    """Where the encoding is SQL_ASCII names are bytes: told, with what to do."""
    options = "TEMPLATE template0 ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'"
    postgres.make_database("bytes", options=options)
    with postgres.connect("bytes", client_encoding="SQL_ASCII") as session:
        session.execute(b'CREATE TABLE "caf\xe9" (x int)')
    site = DatabaseSite(tmp_path, postgres.connection("bytes"))
    with pytest.raises(SourceError, match="invalid byte sequence") as caught:
        site.back_up()
    assert "a name is no UTF-8" in caught.value.hint
    postgres.run("DROP DATABASE bytes")


def test_one_absent_database_among_others(postgres: Postgres, tmp_path: Path) -> None:
    """Of several databases none is backed up, rather than some."""
    site = DatabaseSite(tmp_path, postgres.connection(), ["postgres", "absent_db"])
    with pytest.raises(SourceError, match="absent_db"):
        site.back_up()
    assert site.place().state().points == ()


def test_the_certificate_is_verified(postgres: Postgres, tmp_path: Path) -> None:
    """By all sessions, psql's and pg_dump's too; another authority's is refused."""
    postgres.make_database("tls")
    postgres.run("CREATE TABLE t (id int)", database="tls")
    postgres.run("INSERT INTO t SELECT generate_series(1, 60000)", database="tls")
    extra = {"sslmode": "verify-full", "sslrootcert": str(postgres.certificate)}
    postgres.certificate.parent.chmod(0o755)
    site = DatabaseSite(tmp_path / "a", postgres.connection("tls", extra=extra))
    site.back_up()
    (tmp_path / "other").mkdir()
    wrong, _ = make_certificate(tmp_path / "other")
    extra = {"sslmode": "verify-full", "sslrootcert": str(wrong)}
    site = DatabaseSite(tmp_path / "b", postgres.connection("tls", extra=extra))
    with pytest.raises(SourceError, match="certificate") as caught:
        site.back_up()
    assert "sslrootcert" in caught.value.hint


def test_a_token_is_asked_for_by_each_session(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An IAM token lives for 15 minutes, and a backup longer."""
    asked: list[str] = []

    def token(of: Address) -> str:
        asked.append(of.database)
        return PASSWORD

    monkeypatch.setattr(address, "_iam_token", token)
    postgres.make_database("iam")
    postgres.run("CREATE TABLE t (id int)", database="iam")
    connection = postgres.connection("iam", password="", extra={"iam": "true"})
    DatabaseSite(tmp_path, connection).back_up()
    assert len(asked) >= 3  # the coordinator, pg_dump, pg_dumpall
    assert set(asked) == {"iam"}


def test_client_programs_that_are_too_old(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older pg_dump may leave out what it does not know."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("psql", "pg_dump", "pg_restore", "pg_dumpall"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 12.22'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(tools, "_candidates", lambda name: [str(folder / name)])
    site = DatabaseSite(tmp_path / "site", postgres.connection())
    with pytest.raises(ToolMissing, match="pg_dump is of version 12") as caught:
        site.back_up()
    major = re.escape(postgres.binaries.parent.name)
    assert re.search(f"postgresql-client-{major}", caught.value.hint)
    monkeypatch.setattr(tools, "_candidates", lambda _: [])
    with pytest.raises(ToolMissing, match="psql is not on this machine"):
        site.back_up()


def test_an_open_line_to_another_machine_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    """Before anything is sent."""
    site = DatabaseSite(tmp_path, postgres.connection(host="db.example.com"))
    with pytest.raises(ConfigurationInvalid, match="which certificate"):
        site.back_up()
