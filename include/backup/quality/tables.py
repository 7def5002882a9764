"""What is expected of tables and views of one restored database.

freshness     the newest value of a column: one query of our own
constraints   what the database enforces needs no query (enforced.py)
the rest      Great Expectations, with a query of the columns that are needed
"""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from include.backup.policy.expectations import NEWEST
from include.backup.quality.gx import Judge
from include.backup.quality.judged import Judged, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from include.backup.policy.expectations import Expectation
    from include.backup.quality.data import Database

TOO_OLD: Final = "the newest is older, or there is none"
_ABOUT_COLUMNS: Final = ("expect_table_column", "unexpected_rows", "expect_query_results")
_NAMES: Final = ("column", "column_A", "column_B")
_LISTS: Final = ("column_list", "column_set")
_PERCENT: Final = "Great Expectations takes no name with %"


class Tables:
    """The tables and views of one database.

    Args:
        shown: what stands before their names, for people.
    """

    def __init__(self, database: Database, *, shown: str) -> None:
        self._database = database
        self._shown = shown

    def judge(
        self, asked: Mapping[str, list[Expectation]], oldest: Callable[[Expectation], str]
    ) -> Iterator[Judged]:
        """Judge what is asked of them.

        Args:
            asked: by table.
            oldest: of an expectation of freshness, how old the newest value may be: a moment.
        """
        with self._session() as cursor, ExitStack() as stack:
            stack.callback(self._close)
            for name, expectations in asked.items():
                yield from self._table(cursor, name, expectations, oldest)

    def find(self, table: str) -> str | None:
        """The name of a table or view as the database has it: its schema may be left out."""
        if table in self._database.relations:
            return table
        below = [one for one in self._database.relations if one.partition(".")[2] == table]
        return below[0] if len(below) == 1 else None

    @contextmanager
    def _session(self) -> Iterator[Any]:
        with closing(self._database.connect()) as session, closing(session.cursor()) as cursor:
            yield cursor

    def _close(self) -> None:
        if "_judge" in self.__dict__:  # it was needed
            self._judge.close()

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self._database)

    def _table(
        self,
        cursor: Any,  # noqa: ANN401  of the driver
        name: str,
        asked: list[Expectation],
        oldest: Callable[[Expectation], str],
    ) -> Iterator[Judged]:
        sql = self._database.relations[name]
        try:
            cursor.execute(f"SELECT * FROM {sql} LIMIT 0")  # noqa: S608  quoted
        except self._database.errors as error:
            failed = self._failed(cursor, error)
            yield from (Judged.of(one, failed) for one in asked)
            return
        columns = {str(column[0]) for column in cursor.description}
        narrow: list[Expectation] = []
        wide: list[Expectation] = []
        for one in asked:
            if gone := sorted(set(_columns(one)) - columns):
                why = f"there is no column {', '.join(gone)}"
                yield Judged.of(one, Verdict(met=None, why=why))
            elif one.kind == NEWEST:
                yield Judged.of(one, self._newest(cursor, sql, one, oldest(one)))
            elif (verdict := self._database.enforced.verdict(name, one)) is not None:
                yield Judged.of(one, verdict)
            else:
                (wide if _is_wide(one) else narrow).append(one)
        named = dict.fromkeys(column for one in narrow for column in _columns(one))
        listed = ", ".join(map(self._database.quote, named)) or "1 AS one"
        yield from self._judged(f"SELECT {listed} FROM {sql}", narrow)  # noqa: S608  quoted
        yield from self._judged(f"SELECT * FROM {sql}", wide)  # noqa: S608  quoted

    def _judged(self, query: str, asked: list[Expectation]) -> Iterator[Judged]:
        if not asked:
            return
        if "%" in query:
            yield from (Judged.of(one, Verdict(met=None, why=_PERCENT)) for one in asked)
            return
        yield from map(Judged.of, asked, self._judge.of_query(query, asked))

    def _newest(self, cursor: Any, sql: str, one: Expectation, oldest: str) -> Verdict:  # noqa: ANN401
        column = self._database.quote(str(one.arguments["column"]))
        zone = "+00" if self._database.dialect.startswith("postgresql") else ""
        query = f"SELECT MAX({column}) >= '{oldest}{zone}' FROM {sql}"  # noqa: S608  quoted
        found = self._ask(cursor, query)
        if isinstance(found, Verdict):
            return found
        return Verdict(met=bool(found), why="" if found else TOO_OLD)

    def _ask(self, cursor: Any, query: str) -> Any:  # noqa: ANN401  of the driver
        """One value; a verdict if the server does not give it."""
        try:
            cursor.execute(query)
            return cursor.fetchone()[0]
        except self._database.errors as error:
            return self._failed(cursor, error)

    @staticmethod
    def _failed(cursor: Any, error: Exception) -> Verdict:  # noqa: ANN401  of the driver
        """The verdict for a query that the server refused: what it says may quote a value."""
        cursor.connection.rollback()
        return Verdict(met=None, why=f"it cannot be judged ({type(error).__name__})")


def _is_wide(one: Expectation) -> bool:
    """Whether it is about all columns, or may name any."""
    return one.kind.startswith(_ABOUT_COLUMNS) or "row_condition" in one.arguments


def _columns(one: Expectation) -> Iterator[str]:
    """The columns that it names; those that a table should have are another thing."""
    if one.kind.startswith(_ABOUT_COLUMNS):
        return
    for key in _NAMES:
        if key in one.arguments:
            yield str(one.arguments[key])
    for key in _LISTS:
        yield from map(str, one.arguments.get(key, ()))
