"""Great Expectations at work: one query or table at a time, counts and no value of a row.

A query asset, never a table asset: with a column of a composite type any expectation of a table
asset fails. What an expectation raises says nothing about the data, and may quote it: it is told by
the name of the error alone. Only this module knows Great Expectations; it takes seconds to import.

Source: Great Expectations 1.24, "Validate data".
"""

from __future__ import annotations

import difflib
import gc
import logging
import re
import sys
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.expectations import NEWEST
from include.backup.quality.judged import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.backup.policy.expectations import Expectation
    from include.backup.quality.data import Database

_COUNTED: Final = ("expect_table_row_count", "expect_table_column_count", "unexpected_rows")
_ERROR: Final = re.compile(r"^(?:\w+\.)*(\w+)(?::|$)", re.MULTILINE)
_NO_COLUMN: Final = re.compile(r'The column "([^"]*)" in BatchData does not exist')
_MOST_TOLD: Final = 3  # of what is wrong with arguments
# Their errors quote values; and one of them thinks that everybody wants to know of it.
_QUIET: Final = ("great_expectations", "great_expectations.data_context.types.base", "sqlalchemy")
_COUNTS: Final = {"result_format": "BASIC", "partial_unexpected_count": 0}


class Judge:
    """Judges tables of one database, or files; one after the other."""

    def __init__(self, database: Database | None = None) -> None:
        _import()
        import great_expectations as gx  # noqa: PLC0415  takes seconds
        from great_expectations.data_context.types.base import (  # noqa: PLC0415
            ProgressBarsConfig,
        )

        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._gx = gx
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        self._number = 0
        self._sessions: list[Any] = []
        self._errors = () if database is None else (database.errors,)
        self._source = self._opened(database)

    def _opened(self, database: Database | None) -> Any:  # noqa: ANN401  of Great Expectations
        sources = self._context.data_sources
        if database is None:
            return sources.add_pandas("restored")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are classes for single kinds of servers
            return sources.add_sql(
                "restored",
                connection_string=f"{database.dialect}://",
                kwargs={"creator": lambda: self._connected(database)},
            )

    def _connected(self, database: Database) -> Any:  # noqa: ANN401  of the driver
        session = database.connect()
        self._sessions.append(session)
        return session

    def close(self) -> None:
        """End its sessions: a pool of them would keep some for later."""
        for session in self._sessions:
            with suppress(OSError, *self._errors):  # it is closed already, or broken
                session.close()

    def of_query(self, query: str, asked: Sequence[Expectation]) -> list[Verdict]:
        """Judge what a query gives, in the order of what was asked."""
        escaped = query.replace(":", "\\:")  # in SQLAlchemy's texts it begins a parameter
        asset = self._source.add_query_asset(self._name(), query=escaped)
        with _no_rows_for(query):
            return self._run(asset.add_batch_definition_whole_table("all"), asked, {})

    def of_frame(self, frame: Any, asked: Sequence[Expectation]) -> list[Verdict]:  # noqa: ANN401
        """Judge a table of pandas."""
        asset = self._source.add_dataframe_asset(self._name())
        batch = asset.add_batch_definition_whole_dataframe("all")
        return self._run(batch, asked, {"batch_parameters": {"dataframe": frame}})

    def _run(self, batch: Any, asked: Sequence[Expectation], more: Any) -> list[Verdict]:  # noqa: ANN401
        name = self._name()
        made = [make(one, number) for number, one in enumerate(asked)]
        suite = self._context.suites.add(self._gx.ExpectationSuite(name, expectations=made))
        definition = self._context.validation_definitions.add(
            self._gx.ValidationDefinition(name=name, data=batch, suite=suite)
        )
        found = {}
        for result in definition.run(**more, result_format=_COUNTS).results:
            number = int(result.expectation_config.meta["holdfast"])
            found[number] = _verdict(asked[number], result)
        return [
            found.get(number, Verdict(met=None, why="was not judged"))
            for number in range(len(asked))
        ]

    def _name(self) -> str:
        self._number += 1
        return f"restored {self._number}"


@contextmanager
def _no_rows_for(query: str) -> Iterator[None]:
    """To learn the names of columns a query is run as it is: then without its rows.

    All of them would be sent to this process, and held in memory, and nobody would look at one.
    """
    from sqlalchemy import Engine, event  # noqa: PLC0415  heavy

    def shorten(
        _connection: Any,  # noqa: ANN401
        _cursor: Any,  # noqa: ANN401
        statement: str,
        parameters: Any,  # noqa: ANN401
        _context: Any,  # noqa: ANN401
        _many: bool,  # noqa: FBT001
    ) -> tuple[str, Any]:
        return (f"{statement} LIMIT 0" if statement == query else statement), parameters

    event.listen(Engine, "before_cursor_execute", shorten, retval=True)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", shorten)


def import_it() -> None:
    """Take the seconds that the import takes now, from whatever thread."""
    _import()


def _import() -> None:
    """Import Great Expectations, out of the sight of Python's collector.

    It would look through all that is made, now, with every expectation and at the end of the
    process, for what nobody needs any more: a second of processor time, and nothing to be found.
    """
    if "great_expectations.expectations" in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        import great_expectations.expectations  # noqa: F401, PLC0415

        gc.freeze()
    finally:
        if collects:
            gc.enable()


def make(one: Expectation, number: int = 0) -> Any:  # noqa: ANN401  of Great Expectations
    """An expectation of Great Expectations'.

    Raises:
        ConfigurationInvalid: it knows none of that name, or it takes other arguments.
    """
    _import()  # it registers them
    from great_expectations.exceptions import ExpectationNotFoundError  # noqa: PLC0415
    from great_expectations.expectations import registry  # noqa: PLC0415

    try:
        implementation: Any = registry.get_expectation_impl(one.kind)
    except ExpectationNotFoundError:
        known = [*registry.list_registered_expectation_implementations(), NEWEST]
        near = difflib.get_close_matches(one.kind, known, n=1)
        raise ConfigurationInvalid(
            f"{one.where}: there is no expectation {one.kind}",
            hint=f"did you mean {near[0]}?" if near else "see Great Expectations' gallery of them",
        ) from None
    try:
        return implementation(**one.arguments, meta={"holdfast": number})
    except ValueError as error:  # of pydantic
        wrong: list[Any] = getattr(error, "errors", list)()
        told = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong[:_MOST_TOLD]
        )
        raise ConfigurationInvalid(f"{one.where}: {one.kind}: {told or 'invalid'}") from None


def _verdict(one: Expectation, result: Any) -> Verdict:  # noqa: ANN401
    told = result.result or {}
    if trouble := _trouble(result.exception_info or {}):
        return Verdict(met=None, why=trouble)
    why = ""
    observed = told.get("observed_value")
    if not result.success and one.kind.startswith(_COUNTED) and isinstance(observed, int):
        why = f"there are {observed:,}"
    return Verdict(
        met=bool(result.success),
        why=why,
        elements=_whole(told.get("element_count")),
        unexpected=_whole(told.get("unexpected_count")),
    )


def _whole(number: Any) -> int | None:  # noqa: ANN401  a sum is a Decimal with some servers
    return None if number is None else int(number)


def _trouble(info: Any) -> str:  # noqa: ANN401  of Great Expectations
    """Why an expectation could not be judged, without values of rows; empty: it was."""
    for one in [info] if "raised_exception" in info else info.values():
        if not one.get("raised_exception"):
            continue
        if found := _NO_COLUMN.search(str(one.get("exception_message"))):
            return f"there is no column {found[1]}"
        names = [
            name
            for name in _ERROR.findall(str(one.get("exception_traceback")))
            if name.endswith(("Error", "Exception")) or name[:1].isupper()
        ]
        return f"it cannot be judged ({names[0] if names else 'an unknown error'})"
    return ""
