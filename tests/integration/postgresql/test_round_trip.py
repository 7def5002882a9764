"""What is backed up comes back the same, by our own means and by stock tools alone."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from include.backup.sources.postgresql.manifest import escaped
from tests.integration.postgresql import nasty
from tests.integration.postgresql.bed import (
    definitions,
    others,
    properties,
    roles,
    streams,
)
from tests.interop.test_restore_md import commands
from tests.servers.postgresql import PASSWORD, make_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.postgresql.conftest import BackedUp
    from tests.interop.conftest import Restic
    from tests.servers.postgresql import Postgres

pytestmark = pytest.mark.integration


def _is_ours(line: str) -> bool:
    return any(role in line for role in (*nasty.ROLES, *(nasty.quoted(one) for one in nasty.ROLES)))


def assert_equal(server: Postgres, other: Postgres, database: str, called: str = "") -> None:
    """Two databases are the same in all that can be compared."""
    called = called or database
    assert definitions(server, database) == definitions(other, called)
    assert streams(server, database) == streams(other, called)
    assert others(server, database) == others(other, called)
    assert properties(server, database) == properties(other, called)


def test_all_databases_come_back_on_an_empty_server(backed_up: BackedUp, bare: Postgres) -> None:
    """Roles, databases with their settings, definitions, rows, sequences, large objects, views."""
    site, server = backed_up.site, backed_up.server
    site.connections["bare"] = bare.connection()
    outcome = site.restore_to(backed_up.incremental, "bare")
    for database in nasty.EVERY:
        assert_equal(server, bare, database)
    assert roles(server, _is_ours) == roles(bare, _is_ours)
    assert "tables in 4 databases" in outcome.sentence


def test_a_database_comes_back_under_another_name(backed_up: BackedUp) -> None:
    """Beside the source, on its own server, which is not touched."""
    site, server = backed_up.site, backed_up.server
    site.connections["beside"] = server.connection()
    before = properties(server, nasty.NASTY)
    name = "an other%name"
    site.restore_to(backed_up.full, "beside", place=name, path=escaped(nasty.NASTY))
    assert_equal(server, server, nasty.NASTY, name)
    assert properties(server, nasty.NASTY) == before
    server.run(f'DROP DATABASE "{name}"')


def test_every_file_is_what_the_manifest_says(backed_up: BackedUp) -> None:
    """Rows and SHA-256 are those of the stored bytes, and of the server's own COPY."""
    site, server = backed_up.site, backed_up.server
    manifest = site.about(backed_up.full, "manifest.json")
    for database in nasty.EVERY:
        described = manifest["databases"][database]
        wanted = streams(server, database)
        read = 0
        for label, relation in described["relations"].items():
            assert relation["rows"], label
            if "file" not in relation:
                continue
            read += 1
            path = f"crm/{escaped(database)}/{relation['file']}"
            pieces = site.pieces(backed_up.full, path)
            data = b"".join(pieces)
            assert data.count(b"\n") == relation["count"], label
            assert len(data) == relation["bytes"], label
            assert sha256(data).hexdigest() == relation["sha256"], label
            if not label.startswith('"configured"'):
                assert wanted[label] == (relation["count"], len(data), relation["sha256"])
        assert read


@pytest.mark.interop
def test_stock_tools_bring_everything_back(
    backed_up: BackedUp, restic: Restic, tmp_path: Path
) -> None:
    """RESTORE.md is followed to the letter in bash, by restic and psql, on a server of its own."""
    site, server, outcome = backed_up.site, backed_up.server, backed_up.incremental
    page = site.restic(restic, outcome, "dump", "latest", "/.holdfast/RESTORE.md")
    script = "\n".join(commands(page)).replace("/where/there/is/room", str(tmp_path / "target"))
    other = make_server(server.binaries)
    try:
        done = subprocess.run(
            ["bash", "-euxc", script],
            env={
                "PATH": f"{restic.binary.rpartition('/')[0]}:/usr/bin:/bin",
                "HOME": str(restic.home),
                "RESTIC_PASSWORD": site.password(outcome),
                "PGHOST": "127.0.0.1",
                "PGPORT": str(other.port),
                "PGUSER": "postgres",
                "PGPASSWORD": PASSWORD,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
        for database in nasty.EVERY:
            assert_equal(server, other, database)
        assert roles(server, _is_ours) == roles(other, _is_ours)
    finally:
        other.remove()


def test_what_has_not_changed_is_not_stored_again(backed_up: BackedUp) -> None:
    """Nothing changed: the parent's definitions are kept, and little more than a state is new."""
    site, full, incremental = backed_up.site, backed_up.full, backed_up.incremental
    assert incremental.details["bytes_stored"] < 20 << 10
    assert incremental.details["bytes_new"] == 0
    assert site.data_root(full) == site.data_root(incremental)
    assert site.about(full, "state.json") != site.about(incremental, "state.json")


def test_every_relation_stands_in_the_manifest(backed_up: BackedUp) -> None:
    """None is left out, and each says what became of its rows."""
    site, server = backed_up.site, backed_up.server
    manifest = site.about(backed_up.full, "manifest.json")
    for database in nasty.EVERY:
        wanted = {
            (schema, name)
            for schema, name in server.run(
                "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n "
                "ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') "
                "AND nspname !~ '^(pg_|information_schema)'",
                database=database,
            )
        }
        relations = manifest["databases"][database]["relations"].values()
        assert {(one["schema"], one["name"]) for one in relations} == wanted
    by_name = {
        one["name"]: one["rows"] for one in manifest["databases"][nasty.NASTY]["relations"].values()
    }
    assert by_name["far"] == "left out: they are another server's"
    assert by_name["parts"] == "none: its partitions have them"
    assert by_name["counted"] == "none: refreshed when it is restored"
    assert by_name["not_populated"] == "none: it had none"
    assert by_name["on_emptied"] == "left out: it reads an empty view, and cannot be refreshed"
    assert by_name["unlogged"] == by_name["orders"] == "read"
    assert by_name["down"] == "its value is in sequences.sql"
    if "settings" in by_name:
        assert by_name["settings"] == "read"
        assert by_name["plain"] == by_name["no_configuration"]
        assert by_name["plain"] == "left out: the extension makes them"


def test_no_password_is_in_the_repository(backed_up: BackedUp) -> None:
    """Neither that of the connection nor any role's, not even as a hash."""
    site = backed_up.site
    repository = site.repository(backed_up.incremental)
    hashed = backed_up.server.run("SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL")
    assert hashed
    secrets = [b"SCRAM-SHA-256", PASSWORD.encode(), *(row[0].encode() for row in hashed)]
    blobs = 0
    held = [one for blobs in repository.index.by_pack().values() for one in blobs]
    for kind, blob_id, _ in held:
        data = repository.load_blob(kind, blob_id)
        blobs += 1
        assert not any(secret in data for secret in secrets)
    assert blobs > 100
    for path in site.folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret in data for secret in secrets), path
