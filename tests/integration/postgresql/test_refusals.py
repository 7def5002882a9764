"""A restore does not write where it must not, and never calls done what is incomplete."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.choosing import Order
from include.backup.actions.put_back import PointFiles
from include.backup.actions.restore import restore
from include.backup.errors import (
    ConfigurationInvalid,
    DamageFound,
    DestinationRefused,
    RestoreRefused,
)
from include.backup.format.ids import BlobType
from include.backup.sources.postgresql.address import Address
from include.backup.sources.postgresql.target import PostgresTarget
from include.backup.sources.postgresql.wanted import Rules
from tests.damage.site import Site
from tests.integration.postgresql.bed import (
    SOURCE,
    DatabaseSite,
    definitions,
    others,
    streams,
)
from tests.integration.postgresql.given import NAME, OTHER, SECRET, Given, change_rows
from tests.integration.postgresql.test_processes import make_shell
from tests.interop.archives import Archives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def clean(given: Given) -> None:
    """No database of the other name."""
    given.server.run(f'DROP DATABASE IF EXISTS "{OTHER}" WITH (FORCE)')


def tamper(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]) -> None:
    """Another manifest than was stored."""
    original = PointFiles.about

    def about(self: PointFiles, name: str) -> bytes | None:
        data = original(self, name)
        if name != "manifest.json" or data is None:
            return data
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    monkeypatch.setattr(PointFiles, "about", about)


def test_what_somebody_has_made_is_not_written_over(given: Given) -> None:
    """Only on demand; and an empty database is used as it is."""
    given.server.make_database(OTHER)
    given.server.run("CREATE TABLE precious AS SELECT 1 AS x", database=OTHER)
    with pytest.raises(DestinationRefused, match="is not empty") as caught:
        given.restore()
    assert "--overwrite" in caught.value.hint
    assert given.server.run("SELECT x FROM precious", database=OTHER) == [(1,)]
    given.restore(overwrite=True)
    assert streams(given.server, OTHER) == streams(given.server, NAME)


def test_the_source_is_not_written_to(given: Given) -> None:
    """Neither through its own connection nor, by its own name, through another one."""
    with pytest.raises(ConfigurationInvalid, match="is backed up from"):
        given.restore(SOURCE)
    for overwrite in (False, True):
        with pytest.raises(DestinationRefused, match="was taken from"):
            given.restore(place="", overwrite=overwrite)
    assert given.server.run("SELECT count(*) FROM t", database=NAME) == [(30000,)]


def test_nothing_is_removed_when_something_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    """Of two databases one could be replaced and the other not: both stay."""
    for name in ("first", "second"):
        postgres.make_database(name)
        postgres.run("CREATE TABLE t AS SELECT 1 AS x", database=name)
    site = DatabaseSite(tmp_path, postgres.connection(), ["first", "second"])
    site.connections["target"] = postgres.connection()
    outcome = site.back_up()
    postgres.make_database("first")
    postgres.run("CREATE TABLE another AS SELECT 1 AS x", database="first")
    with pytest.raises(DestinationRefused, match="second is the database"):
        site.restore_to(outcome, "target", overwrite=True)
    assert postgres.run("SELECT x FROM another", database="first") == [(1,)]
    postgres.run("DROP DATABASE first", "DROP DATABASE second")


def test_an_older_server_is_refused(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not know would fail somewhere in the middle."""

    def newer(manifest: dict[str, Any]) -> None:
        manifest["databases"][NAME]["server_version"] = 990_001

    tamper(monkeypatch, newer)
    with pytest.raises(DestinationRefused, match="from a server of version 99"):
        given.restore()
    assert given.newest()["kind"] == "refused"


def test_files_are_not_restored_into_a_server(given: Given, tmp_path: Path) -> None:
    """A recovery point of a directory."""
    archives = Archives(tmp_path)
    archives.write(file=b"content")
    outcome = archives.back_up()
    target = PostgresTarget(Address.of(given.server.connection()), Rules())
    order = Order(
        recovery_point=outcome.details["snapshot"], address="connection:x", requested_by="tests"
    )
    with pytest.raises(DestinationRefused, match="no PostgreSQL databases"):
        restore(Site.setting(archives), "crm", target, order)


def failed(given: Given, match: str) -> str:
    """A restore fails, and is recorded as that; return what is told."""
    with pytest.raises(RestoreRefused, match=match) as caught:
        given.restore()
    record = given.newest()
    assert record["kind"] == "failed"
    told = f"{caught.value} {json.dumps(record)}"
    assert SECRET not in told
    return told


def test_rows_that_are_missing_are_noticed(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own count is compared with that of the backup."""
    change_rows(monkeypatch, lambda data: data.partition(b"\n")[2])
    failed(given, r"public\.t has 29999 rows, and had 30000")


def test_rows_that_the_server_does_not_take(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the table, and quotes no row."""
    change_rows(monkeypatch, lambda data: data.replace(b"7\t", SECRET.encode() + b"\t", 1))
    told = failed(given, r"public\.t: it does not take the rows: InvalidTextRepresentation")
    assert "at line 7" in told


def test_the_first_error_ends_all_the_rest(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large objects come beside the tables: the table would go on for ever."""
    original = PointFiles.stream

    def stream(self: PointFiles, path: bytes) -> Iterator[bytes]:
        if path.endswith(b"public.t.copy"):
            yield from (b"%d\tx\n" % number for number in itertools.count())
        elif path.endswith(b"large_objects.sql"):
            yield b"SELECT no_such_function();\n"
        else:
            yield from original(self, path)

    monkeypatch.setattr(PointFiles, "stream", stream)
    failed(given, "no_such_function")


def test_constraints_that_do_not_hold(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is there twice shows when the index is made."""
    change_rows(monkeypatch, lambda data: data.replace(b"2\t", b"1\t", 1))
    told = failed(given, 'could not create unique index "t_pkey"')
    assert "(1)" not in told


def test_damage_names_the_file(given: Given, tmp_path: Path) -> None:
    """A blob of a table's rows is not what it was."""
    site = DatabaseSite(tmp_path, given.server.connection(NAME))
    site.connections["target"] = given.server.connection()
    outcome = site.back_up()
    repository = site.repository(outcome)
    file = f"crm/{NAME}/data/public.t.copy"
    nodes = repository.load_tree(site.tree(outcome))
    for part in file.encode().split(b"/"):
        node = next(one for one in nodes if one.name == part)
        nodes = repository.load_tree(node.subtree) if node.subtree else []
    [place, *_] = repository.index.locations(BlobType.DATA, node.content[1])
    path = next(site.repository_folder(outcome).rglob(place.pack.hex()))
    data = bytearray(path.read_bytes())
    data[place.offset + 20] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(DamageFound) as caught:
        site.restore_to(outcome, "target", place=OTHER)
    assert "public.t.copy" in str(caught.value)


def test_a_missing_extension_fails_the_restore(
    postgres: Postgres, extension: str, tmp_path: Path
) -> None:
    """The server says so, and nothing is called done."""
    if not extension:
        pytest.skip("the server's extensions cannot be written to by this user")
    postgres.make_database("extended")
    postgres.run(f"CREATE EXTENSION {extension}", database="extended")
    site = DatabaseSite(tmp_path, postgres.connection("extended"))
    site.connections["target"] = postgres.connection()
    outcome = site.back_up()
    control = next(postgres.binaries.parents[3].glob(f"share/*/*/extension/{extension}.control"))
    hidden = control.rename(control.with_suffix(".hidden"))
    try:
        with pytest.raises(RestoreRefused, match=r"extension .* is not available"):
            site.restore_to(outcome, "target", place=OTHER)
    finally:
        hidden.rename(control)
        postgres.run("DROP DATABASE extended")


def test_a_role_that_may_not_make_databases(given: Given) -> None:
    """It is told the SQL; an empty database that somebody made for it is used as it is."""
    with pytest.raises(DestinationRefused, match="may not make the database") as caught:
        given.restore("restorer", owner="")
    assert "CREATEDB" in caught.value.hint
    given.server.run(f'CREATE DATABASE "{OTHER}" OWNER restorer CONNECTION LIMIT 9')
    given.restore("restorer", owner="")
    assert streams(given.server, OTHER) == streams(given.server, NAME)
    [found] = others(given.server, OTHER)["objects"]
    assert found[:4] == (77, "restorer", None, "x\nGRANT SELECT ON LARGE OBJECT 1")
    assert given.server.run(
        f"SELECT datconnlimit, datdba::regrole::text FROM pg_database WHERE datname = '{OTHER}'"
    ) == [(9, "restorer")]


def test_everything_is_given_to_one_role(given: Given) -> None:
    """Whoever owned it before, large objects included."""
    given.restore(owner="restorer")
    text = definitions(given.server, OTHER)
    assert "plain_owner" not in text
    assert "ALTER TABLE public.small OWNER TO restorer" in text
    assert others(given.server, OTHER)["objects"][0][1] == "restorer"


def test_statistics_are_gathered_unless_they_are_left_to_the_server(given: Given) -> None:
    """With a note that says how to make up for it."""
    known = "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 't'"
    outcome = given.restore(statistics=False)
    assert given.server.run(known, database=OTHER) == [(False,)]
    assert "vacuumdb --analyze-only" in str(outcome.details["noted"])
    given.restore(overwrite=True)
    assert given.server.run(known, database=OTHER) == [(True,)]


def test_the_command_ends_with_one(postgres: Postgres, tmp_path: Path) -> None:
    """A failed restore is exit code 1, a sentence that says so, and a record."""
    postgres.make_database("processes")
    postgres.run("CREATE TABLE t AS SELECT 1", database="processes")
    shell = make_shell(tmp_path, postgres)
    shell("back-up", "erp")
    shell.environment["AIRFLOW_CONN_TARGET"] = postgres.variable()
    shell("restore", "erp", "--to", "connection:target/cli_copy")
    printed = shell("restore", "erp", "--to", "connection:target/cli_copy", code=1)
    assert "is not empty" in printed
    postgres.run("DROP DATABASE cli_copy")


def test_a_missing_tablespace_is_noted(postgres: Postgres, tmp_path: Path) -> None:
    """Where the server has none of that name, all lies in its own; else where it lay."""
    place = postgres.folder / "tablespace"
    place.mkdir(exist_ok=True)
    owner = postgres.data.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    with postgres.connect() as session:
        session.execute(f"CREATE TABLESPACE \"Fast disk\" LOCATION '{place}'")
    postgres.make_database("placed", options='TABLESPACE "Fast disk"')
    postgres.run(
        "CREATE TABLE elsewhere (id int PRIMARY KEY) TABLESPACE pg_default",
        "CREATE INDEX ON elsewhere (id)",
        database="placed",
    )
    site = DatabaseSite(tmp_path, postgres.connection("placed"))
    site.connections["target"] = postgres.connection()
    outcome = site.back_up()
    assert "Fast disk" in site.file(outcome, ".holdfast/RESTORE.md").decode()
    site.restore_to(outcome, "target", place=OTHER)
    spaces = "SELECT spcname FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace "
    assert postgres.run(f"{spaces} WHERE datname = '{OTHER}'") == [("Fast disk",)]
    assert definitions(postgres, OTHER) == definitions(postgres, "placed")
    postgres.run(f'DROP DATABASE "{OTHER}"', "DROP DATABASE placed", 'DROP TABLESPACE "Fast disk"')
    restored = site.restore_to(outcome, "target", place=OTHER)
    assert "there is no Fast disk" in restored.details["noted"][0]
    assert postgres.run(f"{spaces} WHERE datname = '{OTHER}'") == [("pg_default",)]


def test_a_role_that_may_not_give_things_away(given: Given) -> None:
    """Roles can be made and databases too, as on a managed service, but no superuser is there."""
    given.server.run("ALTER ROLE restorer CREATEDB CREATEROLE")
    try:
        with pytest.raises(RestoreRefused, match="must be") as caught:
            given.restore("restorer")
        assert "--no-owner" in caught.value.hint
        given.restore("restorer", owner="", overwrite=True)
        assert streams(given.server, OTHER) == streams(given.server, NAME)
    finally:
        given.server.run("ALTER ROLE restorer NOCREATEDB NOCREATEROLE")
