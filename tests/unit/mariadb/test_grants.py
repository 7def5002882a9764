"""Reading what SHOW GRANTS says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from include.backup.errors import SourceError
from include.backup.sources.mariadb.grants import Grants, grants_of, require

if TYPE_CHECKING:
    from include.backup.sources.mariadb.session import Session


class Answers:
    """A session that knows some answers."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """See Session."""
        if sql == "SELECT CURRENT_USER()":
            return [("o'dd`@name@%",)]
        return [(line,) for line in self._lines]


def grants(*lines: str) -> Grants:
    return grants_of(cast("Session", Answers(*(f"GRANT {line} TO `u`@`%`" for line in lines))))


def test_rights_of_all_kinds() -> None:
    """On everything, on databases by pattern, on tables; columns count as nothing."""
    found = grants(
        "SHOW VIEW, RELOAD ON *.*",
        "SELECT ON `shop`.*",
        r"ALL PRIVILEGES ON `log\_%`.*",
        "SELECT ON `mysql`.`proc`",
        "SELECT (`a`, `b`), INSERT ON `other`.`t`",
        "`auditors`",
    )
    assert found.account == "`o'dd``@name`@`%`"
    assert found.everywhere("SHOW VIEW")
    assert found.within("shop", "SHOW VIEW")
    assert found.within("shop", "SELECT")
    assert not found.within("shop2", "SELECT")
    assert found.within("log_2026", "TRIGGER")
    assert not found.within("logx2026", "TRIGGER")
    assert found.of_table("other", "t", "INSERT")
    assert not found.of_table("other", "t", "SELECT")
    assert found.of_routines("shop")
    assert not found.of_users()


def test_wild_cards_of_patterns() -> None:
    """`_` is any letter, unless a backslash says that it is itself."""
    found = grants("SELECT ON `a_c`.*", "EVENT ON `50%`.*", "TRIGGER ON `t``k`.*")
    assert found.within("abc", "SELECT")
    assert found.within("50 percent", "EVENT")
    assert found.within("t`k", "TRIGGER")


def test_what_is_missing_is_granted_by_the_hint() -> None:
    """One line of SQL for each place."""
    found = grants("SELECT, SHOW VIEW, TRIGGER ON `shop`.*", "RELOAD ON *.*")
    with pytest.raises(SourceError) as caught:
        require(found, ["shop"], every=False)
    assert caught.value.hint == (
        "GRANT EVENT ON `shop`.* TO `o'dd``@name`@`%`; "
        "GRANT SELECT ON mysql.proc TO `o'dd``@name`@`%`"
    )
    require(grants("ALL PRIVILEGES ON *.*"), ["shop", "other"], every=True)
