"""An account that would not see everything is refused, with the SQL that helps."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.backup.errors import ConfigurationInvalid, SourceError, SourceGone, ToolMissing
from tests.integration.mariadb.site import MariadbSite, read_all, reading_of
from tests.servers.mariadb import make_server, server_program

if TYPE_CHECKING:
    from tests.servers.mariadb import Mariadb

LEAST = {"SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "LOCK TABLES"}


@pytest.fixture
def filled(mariadb: Mariadb, database: str) -> str:
    """A database with one of each."""
    mariadb.run(
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "INSERT INTO t VALUES (1), (2)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @x = 1",
        "CREATE PROCEDURE p() SELECT 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        database=database,
    )
    return database


def account(site: MariadbSite, *grants: str) -> None:
    """Let the site use an account that may do this and nothing else."""
    site.server.run(
        "CREATE OR REPLACE USER least IDENTIFIED BY 'pw'",
        *(f"GRANT {grant} TO least" for grant in grants),
    )
    site.connection = site.server.connection(site.database, login="least", password="pw")


def read(site: MariadbSite) -> dict[str, bytes]:
    with reading_of(site.source()) as reading:
        return read_all(reading)


def test_least_rights_are_enough(site: MariadbSite, filled: str) -> None:
    """The rights of SOURCES.md read all there is, triggers and routines of others included."""
    account(site, f"{', '.join(LEAST)} ON `{filled}`.*", "SELECT ON mysql.proc")
    files = read(site)
    assert {path.rpartition("/")[2] for path in files} == {
        *("t.sql", "schema.sql", "views.sql", "triggers.sql", "routines.sql"),
        *("manifest.json", "position.json"),
    }
    assert b"PROCEDURE `p`" in files[f"{filled}/routines.sql"]
    assert b"EVENT `e`" in files[f"{filled}/routines.sql"]
    position = json.loads(files[".holdfast/position.json"])
    assert position["lock"] == "LOCK TABLES … READ"
    assert position["binary_log"].keys() == {"gtid_binlog_pos", "gtid_current_pos"}
    manifest = json.loads(files[".holdfast/manifest.json"])
    assert manifest["accounts"] == "left out: no SELECT on mysql.*"


@pytest.mark.parametrize("right", sorted(LEAST))
def test_a_missing_right_is_named(site: MariadbSite, filled: str, right: str) -> None:
    """And what grants it: run, it helps."""
    account(site, f"{', '.join(LEAST - {right})} ON `{filled}`.*", "SELECT ON mysql.proc")
    with pytest.raises(SourceError, match=right) as caught:
        read(site)
    assert caught.value.hint.startswith(f"GRANT {right} ON")
    site.server.run(*caught.value.hint.split("; "))
    assert f"{filled}/data/t.sql" in read(site)


def test_routines_of_others_are_not_quietly_left_out(site: MariadbSite, filled: str) -> None:
    """An account that may not see them is refused."""
    account(site, f"{', '.join(LEAST)} ON `{filled}`.*")
    with pytest.raises(SourceError, match=r"mysql\.proc") as caught:
        read(site)
    site.server.run(caught.value.hint)
    assert b"PROCEDURE `p`" in read(site)[f"{filled}/routines.sql"]


def test_a_right_on_single_tables_is_not_enough(site: MariadbSite, filled: str) -> None:
    """The tables beside them would be invisible."""
    account(site, f"{', '.join(LEAST - {'SELECT'})} ON `{filled}`.*", "SELECT ON mysql.proc",
            f"SELECT ON `{filled}`.t")  # fmt: skip
    with pytest.raises(SourceError, match="SELECT on"):
        read(site)


def test_every_database_needs_rights_on_the_server(site: MariadbSite, filled: str) -> None:
    """An account sees only the databases it may read; all of these are not every database."""
    account(site, f"{', '.join(LEAST)} ON `{filled}`.*", "SELECT ON mysql.proc")
    with (
        pytest.raises(SourceError, match="on every database"),
        reading_of(site.source(databases=(), every=True)),
    ):
        pass


def test_rights_come_from_patterns_and_roles_too(site: MariadbSite, filled: str) -> None:
    r"""As in `t12\\_%`, and by a role that is on by default."""
    site.server.run(
        "CREATE OR REPLACE ROLE reader",
        f"GRANT SELECT, SHOW VIEW ON `{filled[:4]}%`.* TO reader",
    )
    account(site, f"TRIGGER, EVENT, LOCK TABLES ON `{filled}`.*", "SELECT ON mysql.proc", "reader")
    site.server.run("SET DEFAULT ROLE reader FOR least")
    assert f"{filled}/data/t.sql" in read(site)


def test_the_server_names_what_is_wrong(site: MariadbSite, filled: str) -> None:
    """Password, database, address: each has its own error, and none shows the password."""
    right = site.connection
    site.connection = site.server.connection(filled, password="wrong & secret")
    with pytest.raises(SourceError, match="refuses admin") as caught:
        read(site)
    assert "wrong & secret" not in str(caught.value) + repr(caught.value.__context__)
    site.connection = site.server.connection(filled, port=1)
    with pytest.raises(SourceGone, match="cannot be reached"):
        read(site)
    site.connection = right
    with (
        pytest.raises(SourceGone, match="no database nowhere"),
        reading_of(site.source(databases=("nowhere",))),
    ):
        pass
    with (
        pytest.raises(ConfigurationInvalid, match="the server's own"),
        reading_of(site.source(databases=("mysql",))),
    ):
        pass
    site.connection = site.server.connection("")
    with (
        pytest.raises(ConfigurationInvalid, match="names no database"),
        reading_of(site.source(databases=())),
    ):
        pass


def test_without_client_programs_there_is_a_hint(
    site: MariadbSite, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything else is tried."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolMissing, match="apt-get install mariadb-client"):
        read(site)


def test_every_database_is_found_at_run_time(
    site: MariadbSite, mariadb: Mariadb, filled: str
) -> None:
    """One made since the last backup is in the next, and the server's own are not."""
    source = site.source(databases=(), every=True, schema_only=("*.*",))
    mariadb.make_database("brand new")
    with reading_of(source) as reading:
        names = {node.name.decode() for node in reading.list(b"")}
    mariadb.run("DROP DATABASE `brand new`")
    assert {"brand new", filled, "users.sql"} <= names
    assert not names & {"mysql", "sys", "information_schema", "performance_schema"}


def test_accounts_have_no_passwords(site: MariadbSite, mariadb: Mariadb, filled: str) -> None:
    """users.sql makes locked accounts with their rights; no hash is in it."""
    mariadb.run(
        "CREATE OR REPLACE USER 'o''dd'@'10.%' IDENTIFIED BY 'hush' REQUIRE SSL",
        f"GRANT SELECT ON `{filled}`.* TO 'o''dd'@'10.%' WITH GRANT OPTION",
        "CREATE OR REPLACE ROLE auditors",
        "GRANT auditors TO 'o''dd'@'10.%'",
    )
    text = read(site)["users.sql"].decode()
    [(hashed,)] = mariadb.run("SELECT PASSWORD('hush')")
    mariadb.run("DROP USER 'o''dd'@'10.%'", "DROP ROLE auditors")
    assert hashed not in text
    assert not re.search(r"IDENTIFIED (VIA|BY PASSWORD)|\*[0-9A-F]{40}", text)
    assert "CREATE USER IF NOT EXISTS `o'dd`@`10.%` REQUIRE SSL ACCOUNT LOCK;" in text
    assert f"GRANT SELECT ON `{filled}`.* TO `o'dd`@`10.%` WITH GRANT OPTION;" in text
    own = "\n".join(line for line in text.splitlines() if "o'dd" in line or "auditors" in line)
    mariadb.feed(own, database="mysql")  # it is SQL
    assert mariadb.run("SHOW CREATE USER 'o''dd'@'10.%'")[0][0].endswith("ACCOUNT LOCK")
    mariadb.run("DROP USER 'o''dd'@'10.%'", "DROP ROLE auditors")


def test_what_examine_says(site: MariadbSite, filled: str) -> None:
    """`doctor` tells version, protocol, databases; or what is missing."""
    told = site.source(databases=(filled,)).preflight()
    assert told.endswith(f"(not encrypted, on this machine): {filled}; 1 table")
    assert "MariaDB" in told


def test_tls_is_verified(site: MariadbSite, mariadb: Mariadb, filled: str) -> None:
    """With the server's CA; another one is refused, with a hint that names the option."""
    site.connection = mariadb.connection(filled, extra={"ssl_ca": str(mariadb.certificate)})
    assert "TLSv1." in site.source().preflight()
    assert f"{filled}/data/t.sql" in read(site)
    site.connection = mariadb.connection(
        filled, extra={"ssl_ca": "/etc/ssl/certs/ca-certificates.crt"}
    )
    with pytest.raises(SourceGone, match=r"certificate cannot be verified.*ssl_ca"):
        read(site)


def test_a_server_without_tls_gets_no_password(site: MariadbSite, filled: str) -> None:
    """Where TLS is asked for, a server that offers none is not spoken to."""
    plain = make_server(str(server_program()), skip_ssl="1")
    try:
        site.connection = plain.connection(filled, extra={"ssl_ca": str(site.server.certificate)})
        with pytest.raises(SourceGone, match="no TLS"):
            read(site)
    finally:
        plain.remove()


def test_what_the_page_grants_is_enough(site: MariadbSite, mariadb: Mariadb, filled: str) -> None:
    """Its SQL is run as it stands, but for the name of the database."""
    page = (Path(__file__).parents[3] / "SOURCES.md").read_text(encoding="utf-8")
    [sql] = re.findall(r"^```sql\n(CREATE USER.*?)^```$", page, re.MULTILINE | re.DOTALL)
    mariadb.run("DROP USER IF EXISTS 'holdfast'@'%'")
    mariadb.feed(sql.replace("`shop`", f"`{filled}`"), database="mysql")
    site.connection = mariadb.connection(
        filled,
        login="holdfast",
        password="a long password",
        extra={"ssl_ca": str(mariadb.certificate)},
    )
    files = read(site)
    mariadb.run("DROP USER 'holdfast'@'%'")
    assert b"PROCEDURE `p`" in files[f"{filled}/routines.sql"]
    position = json.loads(files[".holdfast/position.json"])
    assert position["lock"] == "FLUSH TABLES WITH READ LOCK"
    assert position["binary_log"]["file"].startswith("binlog.")
