"""Servers, databases and one backup of them all, made once for many tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from include.backup.policy.model import Method
from tests.integration.postgresql import nasty
from tests.integration.postgresql.bed import DatabaseSite
from tests.integration.postgresql.given import NAME, OTHER, Given
from tests.interop.conftest import restic  # noqa: F401  a fixture
from tests.servers.postgresql import make_server, postgres  # noqa: F401  a fixture
from tests.servers.postgresql_18 import postgres_18  # noqa: F401  a fixture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.backup.actions.outcome import Outcome
    from tests.servers.postgresql import Postgres

_CONTROL = "comment = 'tests of Holdfast'\ndefault_version = '1'\nrelocatable = true\n"
_SCRIPT = """
CREATE TABLE settings (name text PRIMARY KEY, value text, shipped bool NOT NULL DEFAULT false);
INSERT INTO settings VALUES ('of the extension', 'x', true), ('another of it', 'y', true);
CREATE TABLE plain (id int);
INSERT INTO plain SELECT generate_series(1, 10);
CREATE SEQUENCE numbers;
CREATE SEQUENCE no_configuration;
SELECT pg_catalog.pg_extension_config_dump('settings', 'WHERE NOT shipped');
SELECT pg_catalog.pg_extension_config_dump('numbers', '');
"""


@dataclass(frozen=True, kw_only=True)
class BackedUp:
    """The nasty databases with a full backup and an incremental of nothing new."""

    site: DatabaseSite
    server: Postgres
    full: Outcome
    incremental: Outcome


@pytest.fixture(scope="session")
def extension(postgres: Postgres) -> Iterator[str]:  # noqa: F811
    """An extension with tables of configuration; "" where none can be installed."""
    folder = postgres.binaries.parents[3] / "share/postgresql" / postgres.binaries.parent.name
    files = {
        folder / f"extension/{nasty.EXTENSION}.control": _CONTROL,
        folder / f"extension/{nasty.EXTENSION}--1.sql": _SCRIPT,
    }
    if not os.access(folder / "extension", os.W_OK):
        yield ""
        return
    for path, text in files.items():
        path.write_text(text)
    yield nasty.EXTENSION
    for path in files:
        path.unlink()


@pytest.fixture(scope="session")
def nasty_server(postgres: Postgres, extension: str) -> Postgres:  # noqa: F811
    """The server with all the nasty databases."""
    nasty.make_everything(postgres)
    return postgres


@pytest.fixture(scope="session")
def backed_up(nasty_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> BackedUp:
    """All nasty databases in a vault."""
    site = DatabaseSite(tmp_path_factory.mktemp("nasty"), nasty_server.connection(), nasty.EVERY)
    full = site.back_up(Method.FULL)
    incremental = site.back_up()
    return BackedUp(site=site, server=nasty_server, full=full, incremental=incremental)


@pytest.fixture(scope="module")
def bare(postgres: Postgres) -> Iterator[Postgres]:  # noqa: F811
    """Another server, without a role or database of anybody."""
    server = make_server(postgres.binaries)
    yield server
    server.remove()


@pytest.fixture(scope="module")
def given(
    postgres: Postgres,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Given]:
    """One backup for all tests."""
    postgres.run(
        "DROP ROLE IF EXISTS plain_owner, restorer",
        "CREATE ROLE plain_owner",
        "CREATE ROLE restorer LOGIN PASSWORD 'p'",
    )
    made = Given(postgres, tmp_path_factory.mktemp("refusals"))
    made.site.connections["restorer"] = postgres.connection(login="restorer", password="p")
    yield made
    for name in (NAME, OTHER):
        postgres.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    postgres.run("DROP ROLE plain_owner, restorer")
