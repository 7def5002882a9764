"""A verification beside the restore that is in it: compared, judged, reported, and removed.

A PostgreSQL database of 1.4 GB, all levels, ten expectations of users on its three largest tables.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from benchmarks.databases import TABLE_HEAD, OurSide, medians, table_rows
from benchmarks.measure import BenchmarkFailedError, Cost
from benchmarks.postgresql import SERVER
from benchmarks.postgresql_corpus import fill
from benchmarks.programs import DATASET
from benchmarks.report import Gate, Section
from tests.servers.postgresql import debian_binaries, make_server

if TYPE_CHECKING:
    from pathlib import Path

_NAME, _AGAIN = "bench", "again"
_SCALE: Final = 0.7  # of 2 GB
_LIMIT: Final = 1.5
_LARGEST: Final = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname IN ('shop', 'public')
 ORDER BY pg_table_size(c.oid) DESC LIMIT 3
"""
_EXPECTED: Final = {
    "shop.customers": (
        {"expectation": "expect_column_values_to_not_be_null", "column": "name"},
        {"expectation": "expect_column_values_to_be_unique", "column": "email"},
        {"expectation": "expect_table_row_count_to_be_between", "min_value": 1000},
        {"expectation": "newest", "column": "created", "not_older_than": "36500 days"},
    ),
    "public.pgbench_accounts": (
        {"expectation": "expect_column_values_to_be_unique", "column": "aid"},
        {"expectation": "expect_column_values_to_not_be_null", "column": "bid"},
        {
            "expectation": "expect_column_values_to_be_between",
            "column": "abalance",
            "min_value": -1_000_000,
            "max_value": 1_000_000,
        },
    ),
    "shop.order_items": (
        {"expectation": "expect_column_values_to_not_be_null", "column": "sku"},
        {
            "expectation": "expect_column_values_to_be_between",
            "column": "quantity",
            "min_value": 0,
            "max_value": 1_000_000,
        },
        {"expectation": "expect_table_row_count_to_be_between", "min_value": 1000},
    ),
}


def verification(work: Path, *, scale: float, rounds: int) -> Section:
    """Restores and verifications in turn; the first round only warms up."""
    if (binaries := debian_binaries()) is None:
        raise BenchmarkFailedError("PostgreSQL is not on this machine")
    work.mkdir()
    server = make_server(binaries, **SERVER)
    try:
        ours = OurSide(
            work=work,
            source={"type": "postgresql", "connection": "bench"},
            connections={"bench": server.variable(_NAME), "scratch": server.variable("postgres")},
            settle=lambda: server.run("CHECKPOINT"),
            more={"verification": {"postgresql": "scratch", "encrypted": True}},
            expectations=_expectations(),
        )
        fill(server, _NAME, scale=scale * _SCALE)
        largest = {name for (name,) in server.run(_LARGEST, database=_NAME)}
        if largest != set(_EXPECTED):
            raise BenchmarkFailedError(f"the largest tables are {', '.join(sorted(largest))}")
        ours.full()
        costs: dict[str, list[Cost]] = {"restore": [], "verify": []}
        for number in range(rounds + 1):
            found = {
                "restore": ours.run("restore", DATASET, "--to", f"connection:scratch/{_AGAIN}")
            }
            server.run(f"DROP DATABASE {_AGAIN} WITH (FORCE)")
            found["verify"] = ours.run("verify", DATASET)
            for name, cost in found.items():
                costs[name] += [cost] if number else []
    finally:
        server.remove()
    at = medians(costs)
    return Section(
        title="Verification of a PostgreSQL database of 1.4 GB, ten expectations of users",
        lines=[*TABLE_HEAD, *table_rows(at)],
        gates=[
            Gate(
                what="verify, all levels: wall, of the restore itself",
                limit=_LIMIT,
                figure=at["verify"].wall_seconds / at["restore"].wall_seconds,
            )
        ],
    )


def _expectations() -> str:
    """As YAML, which JSON is."""
    listed = [{"table": table, **one} for table, all_ in _EXPECTED.items() for one in all_]
    return json.dumps({"expectations": listed})
