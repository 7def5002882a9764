"""What a database itself does not let be otherwise: such an expectation needs no look at the rows.

The server has checked each row as it was restored; no look at all of them could find another.
Only what certainly holds counts: constraints of plain tables, which are valid and checked at once.

    expect_column_values_to_not_be_null        NOT NULL
    expect_column_values_to_be_unique          a primary key or unique constraint of that column
    expect_compound_columns_to_be_unique       the same of those columns, which are NOT NULL
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.backup.quality.judged import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.backup.policy.expectations import Expectation

_ENFORCED: Final = Verdict(met=True, why="the database enforces it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """Constraints of one database's tables, by the names that users write."""

    filled: frozenset[tuple[str, str]]  # table and column: NOT NULL
    unique: frozenset[tuple[str, frozenset[str]]]  # table and columns

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, list[str]]]) -> Enforced:
        """Of what a server tells.

        Args:
            rows: the table, ``filled`` or ``unique``, and the columns that it is about.
        """
        filled, unique = set(), set()
        for table, kind, columns in rows:
            if kind == "filled":
                filled.add((table, columns[0]))
            else:
                unique.add((table, frozenset(columns)))
        return cls(filled=frozenset(filled), unique=frozenset(unique))

    def verdict(self, table: str, one: Expectation) -> Verdict | None:
        """The verdict, if the constraints give one; what else it asks for can only be less."""
        column = str(one.arguments.get("column", ""))
        if one.kind == "expect_column_values_to_not_be_null":
            holds = (table, column) in self.filled
        elif one.kind == "expect_column_values_to_be_unique":
            holds = (table, frozenset({column})) in self.unique
        elif one.kind == "expect_compound_columns_to_be_unique":
            columns = frozenset(map(str, one.arguments.get("column_list", ())))
            holds = (table, columns) in self.unique and all(
                (table, each) in self.filled for each in columns
            )
        else:
            holds = False
        return _ENFORCED if holds else None
