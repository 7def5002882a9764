"""Before a database is handed over: what goes is told, and what came is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.choosing import Order
from include.backup.actions.erasures import ErasureOrder, register, withdraw
from include.backup.actions.open_server import ServerOrder, open_server
from include.backup.actions.restore import restore
from include.backup.errors import ConfigurationInvalid, RestoreRefused
from include.backup.quality import scratch_postgresql
from include.backup.vault.erasures import Erased
from tests.damage.expiring import TWO
from tests.integration.postgresql.given import NAME, OTHER

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from tests.integration.postgresql.given import Given as Site

pytestmark = pytest.mark.integration
TABLE = "shop db/data/public.t.copy"


def standing(given: Site, place: str = OTHER, **rules: Any) -> list[str]:
    """What would be replaced."""
    server = open_server(given.site.place(), ServerOrder(connection="target", place=place, **rules))
    return server.standing(given.site.stored(given.outcome))


def restored(given: Site, place: str = OTHER, path: str = "", **rules: Any) -> Outcome:
    """Restore and compare."""
    order = ServerOrder(connection="target", place=place, pattern=path, **rules)
    server = open_server(given.site.place(), order)
    wish = Order(address="connection:target", requested_by="tests", path=path, compare=True)
    return restore(given.site.setting(), "crm", server, wish)


def drop(given: Site) -> None:
    given.server.run(f'DROP DATABASE IF EXISTS "{OTHER}" WITH (FORCE)')


def test_a_plan_changes_nothing_and_tells_what_goes(given: Site) -> None:
    """Nothing where there is none; refused without overwrite; named with it."""
    drop(given)
    assert standing(given) == []
    given.server.make_database(OTHER)
    given.server.run("CREATE TABLE t AS SELECT 1 AS id, 'x' AS content", database=OTHER)
    with pytest.raises(RestoreRefused, match="is not empty"):
        standing(given)
    [told] = standing(given, overwrite=True)
    assert told.endswith(f"{OTHER} is replaced, with all that is in it")
    [told] = standing(given, pattern=TABLE, overwrite=True)
    assert told.endswith("the rows of public.t are replaced")
    with pytest.raises(RestoreRefused, match="taken from"):
        standing(given, NAME, overwrite=True)
    assert given.server.run("SELECT id FROM t", database=OTHER) == [(1,)]
    drop(given)


def test_what_was_restored_is_read_again(given: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, or the tables that were asked for, beside what is there."""
    drop(given)
    assert restored(given).details["compared"] == "2 tables"
    given.server.run("DELETE FROM small", database=OTHER)
    done = restored(given, path=TABLE, overwrite=True)
    assert done.details["compared"] == "1 table"
    compare = scratch_postgresql.compare_databases

    def meddled(*arguments: Any) -> Any:
        given.server.run("DELETE FROM t WHERE id = 7", database=OTHER)
        return compare(*arguments)

    monkeypatch.setattr(scratch_postgresql, "compare_databases", meddled)
    for path in ("", TABLE):
        with pytest.raises(RestoreRefused, match=r"1 difference: shop db public\.t: "):
            restored(given, path=path, overwrite=True)
    drop(given)


@pytest.mark.parametrize("word", ["bogus", "target", "yes"])
def test_the_source_is_named_twice_by_its_own_name(given: Site, word: str) -> None:
    """No other word lets anybody overwrite the server that the data is from."""
    with pytest.raises(ConfigurationInvalid, match=f"is not backed up from {word}"):
        restored(given, NAME, overwrite=True, into_source=word)
    assert given.server.run("SELECT count(*) FROM t", database=NAME) == [(30_000,)]


def erasure(given: Site, statements: str) -> str:
    """Register statements; the id of the request."""
    erased = Erased(statements=statements)
    order = ErasureOrder(erased=erased, requested_by="dpo", reason="article 17")
    return str(register(given.site.setting(), "crm", order).details["erasure"])


def test_rows_that_were_erased_do_not_come_back(given: Site) -> None:
    """Compared first, then erased in one transaction; a table that was not restored is no error."""
    drop(given)
    first = erasure(given, "DELETE FROM t WHERE id < 11; DELETE FROM small WHERE '%' = 'x';")
    outcome = restored(given)
    assert "erasure carried out again: 1" in outcome.sentence
    assert given.server.run("SELECT min(id) FROM t", database=OTHER) == [(11,)]
    outcome = restored(given, path="shop db/data/public.small.copy", overwrite=True)
    wrong = erasure(given, "DELETE FROM t WHERE id = 12; DELETE FROM t WHERE secret = 'Ada'")
    with pytest.raises(RestoreRefused, match=rf"a statement of erasure {wrong} failed") as refused:
        restored(given, overwrite=True)
    assert "42703" in refused.value.message
    assert "Ada" not in f"{refused.value.outcome.sentence} {refused.value.hint}"
    assert given.server.run("SELECT min(id) FROM t", database=OTHER) == [(11,)]
    for request in (first, wrong):
        withdraw(given.site.setting(), "crm", request, TWO)
    drop(given)
