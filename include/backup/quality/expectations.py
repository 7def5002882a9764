"""What users expect of restored data: met, not met, or not to be judged.

    what users wrote    policy/expectations.py
      → by table        tables.py: freshness, Great Expectations
      → by file         tabular.py: pandas, freshness, Great Expectations

What could not be judged (a column that is not there, a type that cannot be compared) says nothing
about the data, and is told apart from what is wrong.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from include.backup.quality.data import Databases
from include.backup.quality.judged import Judged, Verdict
from include.backup.quality.tables import Tables
from include.backup.quality.tabular import judge_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from include.backup.policy.expectations import Expectation
    from include.backup.quality.data import Data


def judge(wanted: Sequence[Expectation], data: Data, *, taken_at: datetime) -> list[Judged]:
    """Judge what users expect.

    Args:
        taken_at: of the recovery point: how old data may be counts from there.
    """
    subjects: dict[tuple[str, str], list[Expectation]] = {}
    for one in wanted:
        subjects.setdefault((one.database, one.table or one.file), []).append(one)
    if isinstance(data, Databases):
        return [*_of_databases(data, subjects, taken_at)]
    return [
        judged
        for (_, path), asked in subjects.items()
        for judged in judge_file(data, path, asked, taken_at=taken_at)
    ]


def _of_databases(
    data: Databases, subjects: dict[tuple[str, str], list[Expectation]], taken_at: datetime
) -> Iterator[Judged]:
    only = next(iter(data.by_name)) if len(data.by_name) == 1 else ""
    tables = {
        name: Tables(database, shown="" if only else f"{name}/")
        for name, database in data.by_name.items()
    }
    asked: dict[str, dict[str, list[Expectation]]] = {name: {} for name in tables}
    for (database, table), expectations in subjects.items():
        name = database or only
        found = tables[name].find(table) if name in tables else None
        if found is None:
            missing = Verdict(met=False, why="is not there")
            yield from (Judged.of(one, missing) for one in expectations)
        else:
            asked[name].setdefault(found, []).extend(expectations)
    for name, of in tables.items():
        yield from of.judge(asked[name], oldest=lambda one: _oldest(one, taken_at))


def _oldest(one: Expectation, taken_at: datetime) -> str:
    """How old the newest value may be, in UTC."""
    assert one.not_older_than is not None
    return f"{(taken_at - one.not_older_than).astimezone(UTC):%Y-%m-%d %H:%M:%S}"
