"""A database that is replaced is there until the other is complete, whatever happens."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from include.backup.errors import DestinationRefused, RestoreRefused
from include.backup.sources.postgresql import naming
from include.backup.sources.postgresql.address import Address
from include.backup.sources.postgresql.putting import Putting
from tests.integration.postgresql.bed import properties, streams
from tests.integration.postgresql.given import NAME, OTHER, Given, change_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
PRECIOUS = [("old", 1)]


@pytest.fixture(autouse=True)
def there(given: Given) -> Iterator[None]:
    """A database of the other name, and none but it afterwards."""
    given.server.make_database(OTHER)
    given.server.run("CREATE TABLE precious AS SELECT 'old' AS x, 1 AS y", database=OTHER)
    yield
    for name in {*databases(given), OTHER} - {NAME}:
        given.server.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def databases(given: Given) -> set[str]:
    """Of the server, without its own."""
    rows = given.server.run("SELECT datname FROM pg_database WHERE datname LIKE 'shop%'")
    return {name for (name,) in rows}


def is_as_it_was(given: Given) -> bool:
    """Whether the old database is there, whole, and nothing else is."""
    rows = given.server.run("SELECT x, y FROM precious", database=OTHER)
    return rows == PRECIOUS and databases(given) == {NAME, OTHER}


def test_a_restore_that_fails_leaves_the_old_one(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are missing; what was put back in part is gone again."""
    change_rows(monkeypatch, lambda data: data.partition(b"\n")[2])
    with pytest.raises(RestoreRefused, match="had 30000"):
        given.restore(overwrite=True)
    assert is_as_it_was(given)


def test_a_restore_that_fails_makes_none(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has the name is complete, also when there was none before."""
    change_rows(monkeypatch, lambda data: data.partition(b"\n")[2])
    with pytest.raises(RestoreRefused, match="had 30000"):
        given.restore(place="shop, new")
    assert is_as_it_was(given)


def test_a_restore_that_is_cancelled_leaves_the_old_one(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, or the task is ended."""

    def interrupt(_: Putting) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Putting, "put_database", interrupt)
    with pytest.raises(KeyboardInterrupt):
        given.restore(overwrite=True)
    assert is_as_it_was(given)


def test_who_uses_the_old_one_is_sent_away(given: Given) -> None:
    """Also who comes back at once, again and again."""
    given.server.run(
        f'ALTER DATABASE "{OTHER}" CONNECTION LIMIT 7',
        f"COMMENT ON DATABASE \"{OTHER}\" IS 'of the old one'",
    )
    stop = threading.Event()

    def come_back() -> None:
        while not stop.is_set():
            try:
                with given.server.connect(OTHER) as session:
                    session.execute("SELECT pg_sleep(20)")
            except psycopg.Error:
                pass

    users = [threading.Thread(target=come_back) for _ in range(3)]
    for user in users:
        user.start()
    try:
        given.restore(overwrite=True)
    finally:
        stop.set()
        given.server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sl'"
        )
        for user in users:
            user.join(30)
    assert streams(given.server, OTHER) == streams(given.server, NAME)
    assert properties(given.server, OTHER) == properties(given.server, NAME)
    assert databases(given) == {NAME, OTHER}


def test_a_name_that_cannot_be_had(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody made a database of that name meanwhile: it stays, and the hint tells what to do."""
    put_database = Putting.put_database

    def put(self: Putting) -> None:
        put_database(self)
        given.server.make_database("shop, new")
        given.server.run("CREATE TABLE another AS SELECT 1 AS x", database="shop, new")

    monkeypatch.setattr(Putting, "put_database", put)
    with pytest.raises(RestoreRefused, match="all was restored") as caught:
        given.restore(place="shop, new")
    assert given.server.run("SELECT x FROM another", database="shop, new") == [(1,)]
    [made] = databases(given) - {NAME, OTHER, "shop, new"}
    assert f'ALTER DATABASE "{made}" RENAME TO "shop, new";' in caught.value.hint
    assert streams(given.server, made) == streams(given.server, NAME)


def test_an_old_one_that_cannot_go_is_noted(given: Given) -> None:
    """A template cannot be dropped, but gives its name."""
    given.server.run(f'ALTER DATABASE "{OTHER}" IS_TEMPLATE true')
    restored = given.restore(overwrite=True)
    assert streams(given.server, OTHER) == streams(given.server, NAME)
    [old] = databases(given) - {NAME, OTHER}
    assert old.startswith(f"{OTHER}_replaced_")
    [noted] = [one for one in restored.details["noted"] if "still there" in one]
    assert old in noted
    given.server.run(f'ALTER DATABASE "{old}" IS_TEMPLATE false')


def test_what_a_killed_restore_has_left_is_noted(given: Given) -> None:
    """Nobody else tells where the disk went."""
    left = f"{OTHER}_incomplete_0123abcd"
    given.server.make_database(left)
    restored = given.restore(overwrite=True)
    [noted] = [one for one in restored.details["noted"] if "killed" in one]
    assert left in noted


def test_what_may_not_be_replaced_is_told_first(given: Given) -> None:
    """Nothing is restored that could not take its place in the end."""
    with pytest.raises(DestinationRefused, match="may not make") as caught:
        given.restore("restorer", owner="", overwrite=True)
    assert "CREATEDB" in caught.value.hint
    given.server.run("ALTER ROLE restorer CREATEDB")
    try:
        with pytest.raises(DestinationRefused, match="does not belong to restorer"):
            given.restore("restorer", owner="", overwrite=True)
    finally:
        given.server.run("ALTER ROLE restorer NOCREATEDB")
    assert is_as_it_was(given)


def test_the_database_that_one_is_connected_to(given: Given) -> None:
    """It cannot be renamed meanwhile."""
    given.server.run("CREATE TABLE in_postgres AS SELECT 1 AS x")
    try:
        with pytest.raises(DestinationRefused, match="is what one is connected to"):
            given.restore(place="postgres", overwrite=True)
    finally:
        given.server.run("DROP TABLE in_postgres")


def test_long_names_are_made_shorter(given: Given) -> None:
    """PostgreSQL's longest name has 63 bytes, and a letter is not cut in two."""
    for name in ("n" * 63, "é" * 31):
        place = naming.incomplete(Address.of(given.server.connection(name))).database
        assert len(place.encode()) <= 63
        assert place.startswith(name[:20])
        given.restore(place=name)
        assert streams(given.server, name) == streams(given.server, NAME)
        given.server.run(f'DROP DATABASE "{name}"')


def test_what_keeps_a_name_is_found_before_anything_is_loaded(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after hours, when the new one is complete."""
    monkeypatch.setattr(Putting, "put_database", lambda _: pytest.fail("it was loaded"))
    server = given.server
    with server.connect(OTHER) as session:
        session.execute("BEGIN; CREATE TABLE prepared (); PREPARE TRANSACTION 'held'")
    try:
        with pytest.raises(DestinationRefused, match="prepared transaction held") as caught:
            given.restore(overwrite=True)
        assert "ROLLBACK PREPARED" in caught.value.hint
    finally:
        server.run("ROLLBACK PREPARED 'held'", database=OTHER)
    server.run("ALTER ROLE restorer CREATEDB", f'ALTER DATABASE "{OTHER}" OWNER TO restorer')
    try:
        with (
            server.connect(OTHER),
            pytest.raises(DestinationRefused, match="session of postgres") as caught,
        ):
            given.restore("restorer", owner="", overwrite=True)
        assert caught.value.hint == "GRANT pg_signal_backend TO restorer; or end it"
    finally:
        server.run(f'ALTER DATABASE "{OTHER}" OWNER TO postgres', "ALTER ROLE restorer NOCREATEDB")
    assert is_as_it_was(given)


def test_sessions_of_others_end_though_nobody_may_look_at_them(given: Given) -> None:
    """What kind of session it is, the server does not tell such a role."""
    server = given.server
    server.run(
        "CREATE ROLE stranger LOGIN PASSWORD 'p'",
        "GRANT pg_signal_backend TO restorer",
        "ALTER ROLE restorer CREATEDB",
        f'ALTER DATABASE "{OTHER}" OWNER TO restorer',
    )
    try:
        with server.connect(OTHER, user="stranger", password="p"):
            given.restore("restorer", owner="", overwrite=True)
        assert streams(server, OTHER) == streams(server, NAME)
    finally:
        server.run(
            "REVOKE pg_signal_backend FROM restorer",
            "ALTER ROLE restorer NOCREATEDB",
            f'DROP DATABASE "{OTHER}" WITH (FORCE)',
            "DROP ROLE stranger",
        )


def test_two_restores_at_once_lose_no_result(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds another database of that name than it was to replace."""
    put_database = Putting.put_database

    def put(self: Putting) -> None:
        put_database(self)
        given.server.run(f'DROP DATABASE "{OTHER}"')
        given.server.make_database(OTHER)
        given.server.run("CREATE TABLE of_the_other AS SELECT 1 AS x", database=OTHER)

    monkeypatch.setattr(Putting, "put_database", put)
    with pytest.raises(RestoreRefused, match="not the database any more"):
        given.restore(overwrite=True)
    assert given.server.run("SELECT x FROM of_the_other", database=OTHER) == [(1,)]


def test_what_is_left_has_its_name_in_the_error(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads it finds what was restored."""

    def lost(*_: object, **__: object) -> None:
        raise RestoreRefused("Connection refused")

    monkeypatch.setattr(naming, "take_name", lost)
    with pytest.raises(RestoreRefused, match="all was restored, and may be called") as caught:
        given.restore(overwrite=True)
    [made] = databases(given) - {NAME, OTHER}
    assert made in caught.value.message
